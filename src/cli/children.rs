//! Processes that this one starts, and ends with itself.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use watershed_core::net::ClusterSecret;
use watershed_core::{Error, Result, SqlState};

use super::options::{ADMIN_PASSWORD_VARIABLE, SECRET_VARIABLE};

/// A child that was asked to end is killed after this.
const END_TIMEOUT: Duration = Duration::from_secs(6);
/// A child that has ended by itself is started again after the first of these; each time that it ends soon after, the
/// pause doubles up to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// One that has run for so long begins with the first pause again.
const STABLE: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Children that end when this process does, even if it is killed: they watch their standard input.
pub(crate) struct Children {
    secret: ClusterSecret,
    running: Vec<Running>,
}

struct Running {
    name: String,
    arguments: Vec<String>,
    log: Option<PathBuf>,
    child: Child,
    started: Instant,
    /// How often it has ended soon after it was started.
    ends: u32,
    /// When it is started again, if it has ended.
    again: Option<Instant>,
}

impl Running {
    /// Notes that it has ended, and gives the pause before it is started again.
    fn pause(&mut self) -> Duration {
        self.ends = match self.started.elapsed() {
            ran if ran >= STABLE => 0,
            _ => self.ends + 1,
        };
        let pause = pause_after(self.ends);
        self.again = Some(Instant::now() + pause);
        pause
    }
}

fn pause_after(ends: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(ends.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
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
        let child = self.spawn(name, arguments, log)?;
        let pid = child.id().unwrap_or_default();
        self.running.push(Running {
            name: name.to_owned(),
            arguments: arguments.to_vec(),
            log: log.map(Path::to_path_buf),
            child,
            started: Instant::now(),
            ends: 0,
            again: None,
        });
        Ok(pid)
    }

    fn spawn(&self, name: &str, arguments: &[String], log: Option<&Path>) -> Result<Child> {
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
        Command::new(std::env::current_exe().map_err(failed)?)
            .args(arguments)
            .env(SECRET_VARIABLE, self.secret.expose())
            // Executors let nobody in.
            .env_remove(ADMIN_PASSWORD_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)
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

    /// Starts children again that have ended by themselves, if `restart`, and says what becomes of them. It never ends
    /// itself.
    pub(crate) async fn look_after(&mut self, restart: bool, say: impl Fn(fmt::Arguments<'_>)) {
        loop {
            for at in 0..self.running.len() {
                self.look_after_one(at, restart, &say);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    fn look_after_one(&mut self, at: usize, restart: bool, say: &impl Fn(fmt::Arguments<'_>)) {
        let Some(running) = self.running.get_mut(at) else {
            return;
        };
        match running.again {
            None => match running.child.try_wait() {
                Ok(Some(status)) if restart => {
                    let pause = running.pause().as_secs();
                    say(format_args!(
                        "{} has ended: {status}. It is started again in {pause} s",
                        running.name
                    ));
                }
                Ok(Some(status)) => {
                    say(format_args!("{} has ended: {status}", running.name));
                    self.running.remove(at);
                }
                Ok(None) | Err(_) => {}
            },
            Some(again) if again <= Instant::now() => {
                let (name, arguments) = (running.name.clone(), running.arguments.clone());
                let log = running.log.clone();
                let spawned = self.spawn(&name, &arguments, log.as_deref());
                let Some(running) = self.running.get_mut(at) else {
                    return;
                };
                running.started = Instant::now();
                match spawned {
                    Ok(child) => {
                        running.child = child;
                        running.again = None;
                    }
                    Err(error) => {
                        let pause = running.pause().as_secs();
                        say(format_args!("{error}. It is tried again in {pause} s"));
                    }
                }
            }
            Some(_) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u64> = [0, 1, 2, 3, 6, 7, 8, 1_000]
            .map(|ends| pause_after(ends).as_secs())
            .to_vec();
        assert_eq!(pauses, [1, 1, 2, 4, 32, 60, 60, 60]);
    }
}
