//! `watershed executor`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use watershed_core::id::NodeId;
use watershed_core::{Error, Result, SqlState};
use watershed_executor::{Joined, Options};

use super::options::{
    CacheSizes, Common, SECRET_VARIABLE, asked_to_stop, secret, stdin_ended, write_ready_file,
};
use super::report::say;
use super::work_dir::WorkDir;

/// Streams that are open at the end may take this long.
const DRAIN: Duration = Duration::from_secs(5);
/// The same when whoever started this process is gone: nobody waits for its rows.
const ABANDONED_DRAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Args)]
pub struct ExecutorOptions {
    #[command(flatten)]
    pub common: Common,

    #[command(flatten)]
    pub caches: CacheSizes,

    /// Name in the cluster; shards are placed by it, so it should outlive restarts
    #[arg(long)]
    pub node: Option<String>,

    /// The scheduler's cluster port
    #[arg(long, default_value = "http://127.0.0.1:32050")]
    pub scheduler: String,

    /// Where members of the cluster reach this executor; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:32060")]
    pub listen: SocketAddr,

    /// Health and metrics
    #[arg(long, default_value = "127.0.0.1:0")]
    pub http: SocketAddr,

    /// The URL that others are told, where it differs from --listen
    #[arg(long)]
    pub advertise: Option<String>,

    /// File with the secret that the cluster's members share; WATERSHED_CLUSTER_SECRET holds it too
    #[arg(long)]
    pub secret_file: Option<PathBuf>,

    /// End when standard input ends, as it does when the process that started this one is gone
    #[arg(long)]
    pub end_with_stdin: bool,
}

pub(super) async fn run(options: ExecutorOptions) -> Result<()> {
    let Some(secret) = secret(options.secret_file.as_ref())? else {
        return Err(
            Error::new(SqlState::InvalidParameterValue, "the cluster has no secret").with_hint(format!(
                "Give --secret-file, or set {SECRET_VARIABLE} to what the scheduler has."
            )),
        );
    };
    if options.listen.ip().is_unspecified() && options.advertise.is_none() {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("{} is no address that others can dial", options.listen),
        )
        .with_hint("Say --advertise http://host:port with the name that other members reach."));
    }
    let work_dir = WorkDir::open(options.common.work_dir.as_ref())?;
    let node = options
        .node
        .clone()
        .unwrap_or_else(|| format!("executor-{}", std::process::id()));
    let shutdown = CancellationToken::new();
    let (joined, joins) = oneshot::channel();
    let executor = watershed_executor::run(
        Options {
            node: NodeId::new(node),
            scheduler: options.scheduler,
            secret,
            store: options.common.store()?,
            listen: options.listen,
            http: options.http,
            advertise: options.advertise,
            threads: options.common.threads(),
            memory_limit: options.common.memory_limit,
            work_dir: work_dir.path().to_owned(),
            fragment_cache_disk: options.caches.fragment_cache_disk,
            data_cache_memory: options.caches.data_cache_memory,
            data_cache_disk: options.caches.data_cache_disk,
        },
        joined,
        shutdown.clone(),
    );
    tokio::pin!(executor);
    tokio::select! {
        ended = &mut executor => return ended,
        Ok(joined) = joins => greet(&joined, options.common.ready_file.as_deref())?,
        () = asked_to_stop() => return Ok(()),
        () = stdin_ended(), if options.end_with_stdin => return Ok(()),
    }
    let drain = tokio::select! {
        ended = &mut executor => return ended,
        () = asked_to_stop() => DRAIN,
        () = stdin_ended(), if options.end_with_stdin => ABANDONED_DRAIN,
    };
    shutdown.cancel();
    match tokio::time::timeout(drain, executor).await {
        Ok(ended) => ended,
        Err(_) => {
            tracing::info!("streams that were still open are cut");
            Ok(())
        }
    }
}

/// Says where the executor is, to people and to scripts.
fn greet(joined: &Joined, ready_file: Option<&Path>) -> Result<()> {
    if let Some(path) = ready_file {
        let ready = serde_json::json!({
            "node": joined.node.as_str(),
            "url": joined.url,
            "http": joined.http,
            "pid": std::process::id(),
        });
        write_ready_file(path, &ready)?;
    }
    say(format_args!(
        "Watershed executor {}: joined the cluster, serves it on {}",
        joined.node, joined.url
    ));
    Ok(())
}
