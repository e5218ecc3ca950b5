//! `watershed dev`: a scheduler in this process and executors in processes of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use watershed_core::net::{ClusterSecret, ServerTls};
use watershed_core::{Error, Result, SqlState};
use watershed_scheduler::process::Scheduler;

use super::children::Children;
use super::options::{CacheSizes, Common, asked_to_stop, write_ready_file};
use super::report::say;
use super::scheduler::{Ports, start};
use super::tls::{TlsOptions, dev_certificate};
use super::work_dir::WorkDir;

/// Executors that have not joined by then will not.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the shell looks for Flight SQL if nothing is said.
const FLIGHT_PORT: u16 = 32010;

#[derive(Debug, Clone, Args)]
pub struct DevOptions {
    #[command(flatten)]
    common: Common,

    #[command(flatten)]
    ports: Ports,

    /// Serve Flight SQL and HTTP over TLS, with a certificate made for this machine and kept beside the
    /// tables
    #[arg(long, conflicts_with = "tls_cert")]
    tls: bool,

    #[command(flatten)]
    certificate: TlsOptions,
    /// Let in users only, as a scheduler does
    #[arg(long)]
    require_login: bool,

    /// Executors to start, each a process of its own
    #[arg(long, default_value_t = 1)]
    executors: usize,

    /// Do not start executors again that have ended by themselves
    #[arg(long)]
    no_restart: bool,

    #[command(flatten)]
    caches: CacheSizes,
}

impl DevOptions {
    pub(super) fn threads(&self) -> usize {
        self.common.threads()
    }
}

pub(super) async fn run(options: DevOptions) -> Result<()> {
    let secret = ClusterSecret::generate();
    let work_dir = WorkDir::open(options.common.work_dir.as_ref())?;
    let (tls, authority) = if options.tls {
        let ports = [options.ports.flight, options.ports.http];
        let made = dev_certificate(&options.common.store()?, &work_dir, ports)?;
        (
            Some(ServerTls::load(&made.certificate(), &made.key())?),
            Some(made.authority()),
        )
    } else {
        (options.certificate.load()?, None)
    };
    let login = options.ports.policy(options.require_login)?;
    let scheduler = start(
        &options.common,
        &with_cluster(&options.ports),
        tls,
        secret.clone(),
        &work_dir,
        login,
    )
    .await?;
    let mut children = Children::new(secret);
    for number in 1..=options.executors {
        let node = format!("executor-{number}");
        let folder = work_dir.path().join(&node);
        let arguments =
            executor_arguments(&options, &scheduler.cluster_url, &node, &folder.to_string_lossy());
        children.start(&node, &arguments, None)?;
    }
    tokio::select! {
        joined = scheduler.wait_for_executors(options.executors, JOIN_TIMEOUT) => joined?,
        ended = children.first_ended(), if options.executors > 0 => {
            return Err(Error::new(SqlState::CannotConnectNow, "an executor ended while starting")
                .with_detail(ended));
        }
    }
    scheduler.set_ready();
    if let Some(path) = &options.common.ready_file {
        write_ready_file(path, &ready(&scheduler, authority.as_deref()))?;
    }
    greet(&options, &scheduler, authority.as_deref())?;
    let outcome = tokio::select! {
        outcome = scheduler.serve(asked_to_stop()) => outcome,
        () = children.look_after(!options.no_restart, |news| say(news)) => Ok(()),
    };
    children.end().await;
    outcome
}

/// The ports, with one for the cluster that is free where Flight SQL has another than its usual one: two of these
/// run on a machine beside each other.
fn with_cluster(ports: &Ports) -> Ports {
    let own = ports.flight.port() != FLIGHT_PORT;
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ports {
        cluster: ports.cluster.or_else(|| own.then_some(free)),
        ..ports.clone()
    }
}

fn executor_arguments(options: &DevOptions, cluster: &str, node: &str, work_dir: &str) -> Vec<String> {
    let common = &options.common;
    let (threads, memory) = (common.threads().to_string(), common.memory_limit.to_string());
    let caches = &options.caches;
    [
        "executor",
        "--node",
        node,
        "--scheduler",
        cluster,
        "--store",
        &common.store,
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--threads",
        &threads,
        "--memory-limit",
        &memory,
        "--work-dir",
        work_dir,
        "--fragment-cache-disk",
        &caches.fragment_cache_disk.to_string(),
        "--data-cache-memory",
        &caches.data_cache_memory.to_string(),
        "--data-cache-disk",
        &caches.data_cache_disk.to_string(),
        "--end-with-stdin",
    ]
    .map(ToOwned::to_owned)
    .to_vec()
}

fn ready(scheduler: &Scheduler, authority: Option<&Path>) -> serde_json::Value {
    let members = scheduler.membership.current();
    let executors: Vec<_> = members
        .executors
        .values()
        .map(|executor| {
            json!({
                "node": executor.node.as_str(),
                "url": executor.url,
                "http": executor.http,
                "pid": executor.pid,
            })
        })
        .collect();
    let mut ready = json!({
        "flight": scheduler.flight_url,
        "http": scheduler.http_url,
        "cluster": scheduler.cluster_url,
        "pid": std::process::id(),
        "executors": executors,
    });
    if let Some(authority) = authority {
        ready["ca"] = json!(authority);
    }
    ready
}

fn greet(options: &DevOptions, scheduler: &Scheduler, authority: Option<&Path>) -> Result<()> {
    let store = options.common.store()?;
    let mut shell = String::new();
    if authority.is_some() || !scheduler.flight_url.ends_with(":32010") {
        // An address that stands for all others cannot be dialled, nor be in a certificate.
        let url = match options.ports.flight.ip() {
            all if all.is_unspecified() => scheduler.flight_url.replacen(&all.to_string(), "localhost", 1),
            _ => scheduler.flight_url.clone(),
        };
        shell = format!(" --url {url}");
    }
    if let Some(authority) = authority {
        shell = format!("{shell} --ca {}", authority.display());
    }
    if options.require_login {
        shell = format!("{shell} --user admin");
    }
    say(format_args!("Watershed {} is ready.", env!("CARGO_PKG_VERSION")));
    say(format_args!("  Flight SQL   {}", scheduler.flight_url));
    say(format_args!("  HTTP         {}/metrics", scheduler.http_url));
    say(format_args!("  store        {}", store.url()));
    say(format_args!("  executors    {}", options.executors));
    if let Some(authority) = authority {
        say(format_args!("  authority    {}", authority.display()));
    }
    say(format_args!("Ask it with:   watershed sql{shell}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_cluster_port_is_free_beside_a_flight_port_of_its_own() {
        let cluster = |asked: &[&str]| {
            let line = [&["watershed", "dev"], asked].concat();
            let Command::Dev(options) = Cli::parse_from(line).command else {
                panic!("it is no dev");
            };
            with_cluster(&options.ports).cluster.map(|cluster| cluster.port())
        };
        assert_eq!(cluster(&[]), None);
        assert_eq!(cluster(&["--flight=127.0.0.1:32011"]), Some(0));
        assert_eq!(
            cluster(&["--flight=127.0.0.1:0", "--cluster=127.0.0.1:7"]),
            Some(7)
        );
    }

    #[test]
    fn executors_get_the_caches_that_dev_is_asked_for() {
        let sizes = |asked: &[&str]| {
            let line = [&["watershed", "dev"], asked].concat();
            let Command::Dev(options) = Cli::parse_from(line).command else {
                panic!("it is no dev");
            };
            let arguments = executor_arguments(&options, "http://127.0.0.1:1", "executor-1", "folder");
            let line = std::iter::once("watershed".to_owned()).chain(arguments);
            let Command::Executor(executor) = Cli::parse_from(line).command else {
                panic!("it is no executor");
            };
            let caches = executor.caches;
            [
                caches.fragment_cache_disk,
                caches.data_cache_memory,
                caches.data_cache_disk,
            ]
        };
        assert_eq!(sizes(&[]), [256 << 20, 64 << 20, 1 << 30]);
        let asked = [
            "--fragment-cache-disk=0",
            "--data-cache-memory=16MiB",
            "--data-cache-disk=2GiB",
        ];
        assert_eq!(sizes(&asked), [0, 16 << 20, 2 << 30]);
    }
}
