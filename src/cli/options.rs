//! Options that several roles share.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio::io::AsyncReadExt;
use watershed_core::net::ClusterSecret;
use watershed_core::settings::parse_bytes;
use watershed_core::store::StoreRoot;
use watershed_core::{Error, Result, SqlState};
use watershed_scheduler::auth::Policy;
use watershed_sql::dialect::Secret;

/// The variable that carries the cluster's secret to a process.
pub(crate) const SECRET_VARIABLE: &str = "WATERSHED_CLUSTER_SECRET";
/// The variable that carries the password of user `admin` to a scheduler.
pub(crate) const ADMIN_PASSWORD_VARIABLE: &str = "WATERSHED_ADMIN_PASSWORD";

/// What every server role takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Root of all durable state: a folder, file:///folder or s3://bucket/prefix
    #[arg(long, env = "WATERSHED_STORE", default_value = "watershed-data")]
    pub store: String,

    /// Parallel pipelines; 0 takes one per core
    #[arg(long, default_value_t = 0)]
    pub threads: usize,

    /// Memory that operators of this process may reserve, such as 2GiB
    #[arg(long, default_value = "2GiB", value_parser = bytes)]
    pub memory_limit: usize,

    /// Folder for spilling and for an executor's caches; a temporary one by default
    #[arg(long)]
    pub work_dir: Option<PathBuf>,

    /// Write a JSON file with the addresses once the process is ready
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

impl Common {
    pub fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            chosen => chosen,
        }
    }

    pub fn store(&self) -> Result<StoreRoot> {
        StoreRoot::open(&self.store)
    }
}

/// How large the caches of each executor may get.
#[derive(Debug, Clone, Args)]
pub struct CacheSizes {
    /// Disk of each executor for what parts of queries came to over files; 0 keeps them in memory alone
    #[arg(long, default_value = "256MiB", value_parser = bytes_or_none)]
    pub fragment_cache_disk: usize,

    /// Memory of each executor for data of object stores such as S3; 0 keeps none, on disk neither
    #[arg(long, default_value = "64MiB", value_parser = bytes_or_none)]
    pub data_cache_memory: usize,

    /// Disk of each executor for data of object stores; 0 keeps it in memory alone
    #[arg(long, default_value = "1GiB", value_parser = bytes_or_none)]
    pub data_cache_disk: usize,
}

fn bytes(text: &str) -> std::result::Result<usize, String> {
    parse_bytes(text)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes >= 16 << 20)
        .ok_or_else(|| "write a size of at least 16MiB, such as 2GiB".to_owned())
}

fn bytes_or_none(text: &str) -> std::result::Result<usize, String> {
    if text == "0" {
        return Ok(0);
    }
    bytes(text).map_err(|error| format!("{error}, or 0"))
}

/// The cluster's secret, from a file or the environment.
pub(super) fn secret(file: Option<&PathBuf>) -> Result<Option<ClusterSecret>> {
    let text = match file {
        Some(path) => Some(read_private("the cluster's secret", path)?),
        None => std::env::var(SECRET_VARIABLE).ok(),
    };
    text.map(|text| ClusterSecret::new(text.trim())).transpose()
}

/// Reads a file that nobody else should read, and warns if others can.
fn read_private(what: &str, path: &Path) -> Result<String> {
    const READ_BY_OTHERS: u32 = 0o004;
    let failed = |error: std::io::Error| {
        Error::new(
            SqlState::IoError,
            format!("cannot read {what} from {}", path.display()),
        )
        .with_detail(error.to_string())
    };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & READ_BY_OTHERS != 0 {
        tracing::warn!(
            file = %path.display(),
            "every user of this machine may read {what}: chmod o-r"
        );
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// The built-in user's password, from a file or the environment.
pub(super) fn admin_password(file: Option<&PathBuf>) -> Result<Option<Secret>> {
    let text = match file {
        Some(path) => Some(read_private("the admin's password", path)?),
        None => std::env::var(ADMIN_PASSWORD_VARIABLE).ok(),
    };
    // An editor ends a file with a line's end.
    Ok(text.map(|text| Secret::new(text.trim_end_matches(['\r', '\n']))))
}

/// Refuses to be open to others without being told to.
pub(super) fn check_open(address: SocketAddr, policy: &Policy, allow_anonymous: bool) -> Result<()> {
    let users = matches!(policy, Policy::Users { .. });
    if address.ip().is_loopback() || users || allow_anonymous {
        return Ok(());
    }
    Err(Error::new(
        SqlState::InvalidParameterValue,
        format!(
            "{address} can be reached from other machines, and everyone who reaches it may do everything"
        ),
    )
    .with_hint("Listen on 127.0.0.1, let users log in, or say --allow-anonymous if that is meant."))
}

/// Writes the ready file: all of it or nothing.
pub(super) fn write_ready_file(path: &Path, content: &serde_json::Value) -> Result<()> {
    let draft = path.with_extension("tmp");
    std::fs::write(&draft, format!("{content}\n"))
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|error| {
            Error::new(
                SqlState::IoError,
                format!("cannot write the ready file {}", path.display()),
            )
            .with_detail(error.to_string())
        })
}

/// Ends with SIGTERM or SIGINT.
pub(crate) async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "signals cannot be heard");
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
    }
}

/// Ends when standard input does: whoever started this process is gone.
pub(super) async fn stdin_ended() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 64];
    // Whatever is said is not for us; an error is an end too.
    while !matches!(stdin.read(&mut buffer).await, Ok(0) | Err(_)) {}
}
