//! `watershed scheduler`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use watershed_core::duration;
use watershed_core::net::{ClusterSecret, ServerTls};
use watershed_core::settings::parse_bytes;
use watershed_core::{Error, Result, SqlState};
use watershed_scheduler::auth::Policy;
use watershed_scheduler::process;

use super::options::{
    Common, SECRET_VARIABLE, admin_password, asked_to_stop, check_open, secret, stdin_ended, write_ready_file,
};
use super::report::say;
use super::tls::TlsOptions;
use super::work_dir::WorkDir;

#[derive(Debug, Clone, Args)]
pub struct SchedulerOptions {
    #[command(flatten)]
    pub common: Common,

    #[command(flatten)]
    pub ports: Ports,

    #[command(flatten)]
    pub tls: TlsOptions,

    /// File with the secret that the cluster's members share; WATERSHED_CLUSTER_SECRET holds it too
    #[arg(long)]
    pub secret_file: Option<PathBuf>,

    /// End when standard input ends, as it does when the process that started this one is gone
    #[arg(long)]
    pub end_with_stdin: bool,
}

/// Where executors register if nothing is said.
const CLUSTER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 32050);

/// The ports of a scheduler.
#[derive(Debug, Clone, Args)]
pub struct Ports {
    /// Flight SQL; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:32010")]
    pub flight: SocketAddr,

    /// Health and metrics
    #[arg(long, default_value = "127.0.0.1:32080")]
    pub http: SocketAddr,

    /// Where executors register: 127.0.0.1:32050 if nothing is said
    #[arg(long)]
    pub cluster: Option<SocketAddr>,

    /// Let in everyone who reaches the Flight SQL port, and let them do everything
    #[arg(long)]
    pub allow_anonymous: bool,

    /// File with the password of user admin; WATERSHED_ADMIN_PASSWORD holds it too
    #[arg(long)]
    pub admin_password_file: Option<PathBuf>,

    /// Statements that run at a time
    #[arg(long, default_value_t = 64)]
    pub max_running: usize,

    /// Statements that wait for their turn; more are refused
    #[arg(long, default_value_t = 1_000)]
    pub max_waiting: usize,

    /// Sessions, prepared statements and unfetched results that nobody uses for this long end, such as 30m
    #[arg(long, default_value = "1h", value_parser = idle_timeout)]
    pub idle_timeout: Duration,

    /// Statements whose clients neither take rows nor send them for this long end, such as 5m
    #[arg(long, default_value = "10m", value_parser = idle_timeout)]
    pub stall_timeout: Duration,

    /// Bytes that the files of one session's temporary tables may have, such as 10GiB
    #[arg(long, default_value = "10GiB", value_parser = size)]
    pub temporary_limit: u64,
}

fn size(text: &str) -> std::result::Result<u64, String> {
    parse_bytes(text).ok_or_else(|| "write a size such as 10GiB".to_owned())
}

fn idle_timeout(text: &str) -> std::result::Result<Duration, String> {
    duration::parse(text)
        .ok()
        .filter(|timeout| *timeout >= Duration::from_secs(1))
        .ok_or_else(|| "write a duration of at least 1s, such as 30m".to_owned())
}

impl Ports {
    /// Whom the scheduler lets in.
    pub(super) fn policy(&self, users_only: bool) -> Result<Policy> {
        if users_only && self.allow_anonymous {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                "--allow-anonymous lets in everyone, so that nobody is required to log in",
            ));
        }
        if users_only {
            let admin_password = admin_password(self.admin_password_file.as_ref())?;
            return Ok(Policy::Users { admin_password });
        }
        if self.admin_password_file.is_some() {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                "--admin-password-file has no effect where nobody has to log in",
            ));
        }
        Ok(Policy::Anonymous)
    }
}

/// Starts a scheduler from its options.
pub(super) async fn start(
    common: &Common,
    ports: &Ports,
    tls: Option<ServerTls>,
    secret: ClusterSecret,
    work_dir: &WorkDir,
    login: Policy,
) -> Result<process::Scheduler> {
    for address in [ports.flight, ports.http] {
        check_open(address, &login, ports.allow_anonymous)?;
    }
    process::start(process::Options {
        store: common.store()?,
        secret,
        flight: ports.flight,
        http: ports.http,
        cluster: ports.cluster.unwrap_or(CLUSTER),
        tls,
        threads: common.threads(),
        memory_limit: common.memory_limit,
        work_dir: work_dir.path().to_owned(),
        max_running: ports.max_running.max(1),
        max_waiting: ports.max_waiting,
        login,
        idle_timeout: ports.idle_timeout,
        stall_timeout: ports.stall_timeout,
        temporary_limit: ports.temporary_limit,
    })
    .await
}

pub(super) async fn run(options: SchedulerOptions) -> Result<()> {
    let Some(secret) = secret(options.secret_file.as_ref())? else {
        return Err(Error::new(SqlState::InvalidParameterValue, "the cluster has no secret").with_hint(format!(
            "Give --secret-file, or set {SECRET_VARIABLE} to 16 or more letters and digits, the same for every member."
        )));
    };
    let work_dir = WorkDir::open(options.common.work_dir.as_ref())?;
    let tls = options.tls.load()?;
    let login = options.ports.policy(!options.ports.allow_anonymous)?;
    let scheduler = start(
        &options.common,
        &options.ports,
        tls.clone(),
        secret,
        &work_dir,
        login,
    )
    .await?;
    scheduler.set_ready();
    if let Some(path) = &options.common.ready_file {
        let ready = serde_json::json!({
            "flight": scheduler.flight_url,
            "http": scheduler.http_url,
            "cluster": scheduler.cluster_url,
            "pid": std::process::id(),
            "executors": [],
        });
        write_ready_file(path, &ready)?;
    }
    say(format_args!(
        "Watershed scheduler: Flight SQL on {}, executors register on {}",
        scheduler.flight_url, scheduler.cluster_url
    ));
    let asked = async {
        tokio::select! {
            () = asked_to_stop() => {}
            () = stdin_ended(), if options.end_with_stdin => {}
        }
    };
    let rereading = async {
        match tls {
            Some(tls) => tls.read_at_hangups().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = scheduler.serve(asked) => ended,
        () = rereading => Ok(()),
    }
}
