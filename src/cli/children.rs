//! Processes that this one starts, and ends with itself.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use watershed_core::net::ClusterSecret;
use watershed_core::{Error, Result, SqlState};

use super::options::{ADMIN_PASSWORD_VARIABLE, SECRET_VARIABLE};

/// A child that was asked to end is killed after this.
const END_TIMEOUT: Duration = Duration::from_secs(6);

/// Children that end when this process does, even if it is killed: they watch their standard input.
pub(crate) struct Children {
    secret: ClusterSecret,
    running: Vec<Running>,
}

struct Running {
    name: String,
    child: Child,
}

impl Children {
    pub(crate) fn new(secret: ClusterSecret) -> Self {
        Self {
            secret,
            running: Vec::new(),
        }
    }

    /// Starts this very binary in another role. What it logs goes to a file, or where this process's
    /// own log goes.
    pub(crate) fn start(&mut self, name: &str, arguments: &[String], log: Option<&Path>) -> Result<u32> {
        let failed = |error: std::io::Error| {
            Error::new(SqlState::InsufficientResources, "a process cannot be started")
                .with_detail(format!("{name}: {error}"))
        };
        let log = match log {
            Some(path) => Stdio::from(
                File::options()
                    .create(true)
                    .append(true)
                    .open(path)
                    .map_err(failed)?,
            ),
            None => Stdio::inherit(),
        };
        let child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(arguments)
            .env(SECRET_VARIABLE, self.secret.expose())
            // Executors let nobody in.
            .env_remove(ADMIN_PASSWORD_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pid = child.id().unwrap_or_default();
        self.running.push(Running {
            name: name.to_owned(),
            child,
        });
        Ok(pid)
    }

    /// The names and process ids of those that were started and not killed.
    pub(crate) fn pids(&self) -> impl Iterator<Item = (&str, u32)> {
        self.running
            .iter()
            .filter_map(|running| Some((running.name.as_str(), running.child.id()?)))
    }

    /// Kills a child, as SIGKILL does, and waits until it is gone.
    pub(crate) async fn kill(&mut self, name: &str) -> Result<()> {
        let Some(at) = self.running.iter().position(|running| running.name == name) else {
            return Err(Error::internal(format!("there is no process called {name}")));
        };
        self.running.remove(at).child.kill().await.map_err(|error| {
            Error::internal(format!("{name} cannot be killed")).with_detail(error.to_string())
        })
    }

    /// The first child that has ended by itself, if one has.
    pub(crate) fn ended(&mut self) -> Option<(&str, ExitStatus)> {
        self.running
            .iter_mut()
            .find_map(|running| Some((running.name.as_str(), running.child.try_wait().ok()??)))
    }

    /// Waits until a child has ended that should not have, and names it.
    pub(crate) async fn first_ended(&mut self) -> String {
        loop {
            if let Some((name, status)) = self.ended() {
                return format!("{name}: {status}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Lets go of children as they end, and says so. It never ends itself.
    pub(crate) async fn tell_ended(&mut self, mut say: impl FnMut(&str, ExitStatus)) {
        loop {
            self.running.retain_mut(|running| match running.child.try_wait() {
                Ok(Some(status)) => {
                    say(&running.name, status);
                    false
                }
                Ok(None) | Err(_) => true,
            });
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Asks all to end, waits for them, and kills those that do not.
    pub(crate) async fn end(mut self) {
        for running in &mut self.running {
            drop(running.child.stdin.take());
        }
        for mut running in self.running {
            if tokio::time::timeout(END_TIMEOUT, running.child.wait())
                .await
                .is_err()
                && let Err(error) = running.child.kill().await
            {
                tracing::warn!(%error, "a process could not be killed");
            }
        }
    }
}
