//! Other engines, in Python: they read the table's files, as they are at the time, and replay the same queries
//! at the same pace, while Watershed goes on ingesting.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use watershed_core::Result;

use super::DashboardOptions;
use super::events::Events;
use super::queries::Panel;
use crate::show;

const SCRIPT: &str = include_str!("peers.py");
/// What is installed where no Python is given.
const PACKAGES: [&str; 2] = ["duckdb==1.5.5", "chdb==4.4.0"];
/// For starting and ending, beyond the time of the replay.
const SLACK: Duration = Duration::from_secs(60);
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);
/// So much is shown of what a process said when it failed.
const SHOWN_BYTES: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    #[value(name = "duckdb")]
    DuckDb,
    #[value(name = "chdb")]
    ChDb,
}

impl Peer {
    const fn name(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::ChDb => "chdb",
        }
    }
}

pub(super) struct Replay {
    pub(super) name: &'static str,
    /// What the script found, or why it found nothing.
    pub(super) outcome: std::result::Result<Value, String>,
}

/// Lets one after the other replay. What fails is told, and fails nothing else.
pub(super) async fn run(
    panels: &[Panel],
    events: &Events,
    options: &DashboardOptions,
) -> Result<Vec<Replay>> {
    show::line("\nThe same by others, over the same files:");
    let python = match &options.python {
        Some(python) => Ok(python.clone()),
        None => environment(&options.common.data()).await,
    };
    let mut replays = Vec::new();
    for peer in &options.peers {
        let task = json!({
            "engine": peer.name(),
            // The log has Parquet files of its own.
            "files": events.folder().join("_shard=*/*.parquet"),
            "panels": panels.iter().map(Panel::parts).collect::<Vec<_>>(),
            "viewers": options.viewers,
            "refresh": options.refresh,
            "duration": options.peer_duration,
        });
        let outcome = match &python {
            Ok(python) => {
                let limit = Duration::from_secs(options.peer_duration) + SLACK;
                replay(python, &task, limit).await
            }
            Err(cause) => Err(cause.clone()),
        };
        replays.push(Replay {
            name: peer.name(),
            outcome,
        });
    }
    Ok(replays)
}

async fn replay(python: &Path, task: &Value, limit: Duration) -> std::result::Result<Value, String> {
    let mut command = Command::new(python);
    command.args(["-B", "-c", SCRIPT]);
    let printed = output(command, &task.to_string(), limit).await?;
    serde_json::from_str(printed.trim()).map_err(|error| format!("it printed no JSON: {error}"))
}

/// An environment with all peers, made once.
async fn environment(data: &Path) -> std::result::Result<PathBuf, String> {
    let folder = data.join(format!("peers-{}", PACKAGES.join("-").replace("==", "-")));
    let (python, complete) = (folder.join("bin/python"), folder.join("complete"));
    if complete.exists() {
        return Ok(python);
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    output(make, "", INSTALL_TIMEOUT).await?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(PACKAGES);
    output(install, "", INSTALL_TIMEOUT).await?;
    std::fs::write(&complete, "").map_err(|error| format!("{}: {error}", complete.display()))?;
    Ok(python)
}

/// What a process prints that is given a text, or what it says of its failure.
async fn output(mut command: Command, input: &str, limit: Duration) -> std::result::Result<String, String> {
    let ran = async {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(limit, ran)
        .await
        .map_err(|_| format!("it did not end within {} s", limit.as_secs()))?
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim_end();
    let tail = &said[said.ceil_char_boundary(said.len().saturating_sub(SHOWN_BYTES))..];
    Err(format!("{}: {tail}", output.status))
}
