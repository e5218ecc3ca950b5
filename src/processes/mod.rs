//! A cluster of processes of its own for demo and bench: a scheduler, executors, and a client's
//! session with them.

mod history;
mod memory;
mod processor;
mod session;

use std::path::{Path, PathBuf};
use std::time::Duration;

use watershed_core::net::ClusterSecret;
use watershed_core::{Error, Result, SqlState};

use crate::cli::Children;
pub(crate) use history::{Ran, all_ran, literal, ran};
pub(crate) use memory::{forget_peak_memory, memory, peak_memory};
pub(crate) use processor::processor_time;
pub(crate) use session::Session;

/// A process that is not ready by then will not be.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

pub(crate) const SCHEDULER: &str = "scheduler";

/// How the processes are started.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Everything of theirs lies below it: the store, what they spill, what they log.
    pub(crate) folder: PathBuf,
    pub(crate) executors: usize,
    /// Threads of each process.
    pub(crate) threads: usize,
    /// Memory that each process may reserve, such as `2GiB`.
    pub(crate) memory_limit: String,
}

/// A scheduler and executors. [`Cluster::end`] ends them in good order; dropped, they are killed.
pub(crate) struct Cluster {
    options: Options,
    children: Children,
    flight: String,
    members: String,
}

/// The name of an executor by its number, from 1 on.
pub(crate) fn executor_name(number: usize) -> String {
    format!("executor-{number}")
}

impl Cluster {
    /// Starts the processes, and returns once all executors have joined.
    pub(crate) async fn start(options: Options) -> Result<Self> {
        let ready = options.folder.join("ready.json");
        let mut children = Children::new(ClusterSecret::generate());
        let mut arguments = common(&options, SCHEDULER);
        for (option, value) in [
            ("--flight", "127.0.0.1:0"),
            ("--cluster", "127.0.0.1:0"),
            ("--ready-file", &ready.to_string_lossy()),
        ] {
            arguments.extend([option.to_owned(), value.to_owned()]);
        }
        // On loopback, for as long as it takes.
        arguments.push("--allow-anonymous".to_owned());
        children.start(SCHEDULER, &arguments, Some(&log_file(&options.folder, SCHEDULER)))?;
        let facts = wait_for_file(&ready, &mut children).await?;
        let address = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
        let mut cluster = Self {
            flight: address("flight"),
            members: address("cluster"),
            options,
            children,
        };
        for number in 1..=cluster.options.executors {
            cluster.start_executor(number)?;
        }
        let session = cluster.session().await?;
        cluster
            .wait_for_executors(&session, cluster.options.executors)
            .await?;
        Ok(cluster)
    }

    /// Where Flight SQL is served.
    pub(crate) fn flight(&self) -> &str {
        &self.flight
    }

    /// A new session, by a connection of its own.
    pub(crate) async fn session(&self) -> Result<Session> {
        Session::open(&self.flight).await
    }

    /// Starts an executor, which joins by itself a moment later.
    pub(crate) fn start_executor(&mut self, number: usize) -> Result<u32> {
        let name = executor_name(number);
        let mut arguments = common(&self.options, &name);
        for (option, value) in [
            ("--node", name.as_str()),
            ("--scheduler", &self.members),
            ("--listen", "127.0.0.1:0"),
        ] {
            arguments.extend([option.to_owned(), value.to_owned()]);
        }
        self.children
            .start(&name, &arguments, Some(&log_file(&self.options.folder, &name)))
    }

    /// Stops a process, as SIGSTOP does, until it is told to go on.
    pub(crate) fn suspend(&self, name: &str) -> Result<()> {
        self.signal(name, "STOP")
    }

    /// Lets a stopped process go on.
    pub(crate) fn resume(&self, name: &str) -> Result<()> {
        self.signal(name, "CONT")
    }

    fn signal(&self, name: &str, signal: &str) -> Result<()> {
        let pid = self.pids().into_iter().find(|(running, _)| running == name);
        let failed = |detail: String| {
            Error::internal(format!("{name} cannot be sent SIG{signal}")).with_detail(detail)
        };
        let (_, pid) = pid.ok_or_else(|| failed("there is no such process".to_owned()))?;
        let status = std::process::Command::new("kill")
            .args(["-s", signal, &pid.to_string()])
            .status()
            .map_err(|error| failed(error.to_string()))?;
        match status.success() {
            true => Ok(()),
            false => Err(failed(status.to_string())),
        }
    }

    /// Kills a process, as SIGKILL does.
    pub(crate) async fn kill(&mut self, name: &str) -> Result<()> {
        self.children.kill(name).await
    }

    /// Names and process ids.
    pub(crate) fn pids(&self) -> Vec<(String, u32)> {
        self.children
            .pids()
            .map(|(name, pid)| (name.to_owned(), pid))
            .collect()
    }

    /// Waits until exactly so many executors are alive.
    pub(crate) async fn wait_for_executors(&mut self, session: &Session, count: usize) -> Result<()> {
        let question = "SELECT count(*) FROM system.executors";
        let joined = async {
            while session.number(question).await? != count as i128 {
                still_running(&mut self.children)?;
                tokio::time::sleep(POLL).await;
            }
            Ok(())
        };
        tokio::time::timeout(START_TIMEOUT, joined)
            .await
            .unwrap_or_else(|_| Err(late("the executors")))
    }

    pub(crate) async fn end(self) {
        self.children.end().await;
    }
}

fn common(options: &Options, name: &str) -> Vec<String> {
    let role = if name == SCHEDULER { SCHEDULER } else { "executor" };
    let store = options.folder.join("store");
    let work_dir = options.folder.join("work").join(name);
    [
        role,
        "--store",
        &store.to_string_lossy(),
        "--http",
        "127.0.0.1:0",
        "--threads",
        &options.threads.to_string(),
        "--memory-limit",
        &options.memory_limit,
        "--work-dir",
        &work_dir.to_string_lossy(),
        "--end-with-stdin",
    ]
    .map(ToOwned::to_owned)
    .to_vec()
}

fn log_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

async fn wait_for_file(path: &Path, children: &mut Children) -> Result<serde_json::Value> {
    let written = async {
        loop {
            // It appears whole or not at all.
            if let Ok(text) = tokio::fs::read_to_string(path).await {
                return serde_json::from_str(&text).map_err(|error| {
                    Error::internal("the ready file is no JSON").with_detail(error.to_string())
                });
            }
            still_running(children)?;
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(START_TIMEOUT, written)
        .await
        .unwrap_or_else(|_| Err(late("the scheduler")))
}

fn still_running(children: &mut Children) -> Result<()> {
    match children.ended() {
        None => Ok(()),
        Some((name, status)) => Err(Error::new(
            SqlState::CannotConnectNow,
            format!("{name} ended while it was needed"),
        )
        .with_detail(status.to_string())),
    }
}

fn late(who: &str) -> Error {
    Error::new(
        SqlState::CannotConnectNow,
        format!("{who} were not ready within {} s", START_TIMEOUT.as_secs()),
    )
}
