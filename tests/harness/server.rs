//! The built binary in a role that serves: started, waited for, and ended for certain.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{signal, wait_until};

/// Debug builds on a busy machine take a while.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Streams that are open may take some seconds to end.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// What a failing test shows of the logs.
const LOG_TAIL_BYTES: usize = 8 << 10;

/// A process, its log, and what its ready file says. Dropped, it is killed; when the test fails, the end
/// of the log is shown.
pub struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    /// Starts the binary. Its ready file is an option that every serving role takes.
    pub fn spawn(arguments: &[&str], variables: &[(&str, String)], file_limit_kib: Option<u64>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("watershed-test-")
            .tempdir()
            .unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let limit = match file_limit_kib {
            // The unit is blocks of 512 bytes.
            Some(kib) => (kib * 2).to_string(),
            None => "unlimited".to_owned(),
        };
        let child = Command::new("sh")
            .args(["-c", "ulimit -f \"$1\" && shift && exec \"$@\"", "sh", &limit])
            .arg(env!("CARGO_BIN_EXE_watershed"))
            .args(arguments)
            .arg("--ready-file")
            .arg(folder.path().join("ready.json"))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the binary can be started");
        Self { child, folder }
    }

    /// Waits until the process is ready, and gives what it says of itself.
    pub fn ready(&mut self) -> Value {
        let file = self.ready_file();
        let ended = wait_until(START_LIMIT, || file.exists() || self.exited());
        assert!(ended && file.exists(), "the server did not become ready");
        let text = fs::read_to_string(&file).unwrap();
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("the ready file is written whole or not at all: {error}\n{text}"))
    }

    /// Waits until the process has given up, with an exit code that says so, and gives its log.
    pub fn gives_up(mut self) -> String {
        assert!(
            wait_until(START_LIMIT, || self.exited()),
            "the server did not end"
        );
        assert!(!self.ready_file().exists(), "the server said that it is ready");
        let code = self.child.wait().unwrap().code();
        assert!(code.is_some_and(|code| code != 0), "exit code {code:?}");
        self.log()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it and its children have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Asks it to end and waits until it has. Gives the exit code.
    pub fn stop(&mut self) -> i32 {
        signal(self.pid(), "TERM");
        assert!(
            wait_until(STOP_LIMIT, || self.exited()),
            "SIGTERM did not end the server"
        );
        let status = self.child.wait().unwrap();
        status
            .code()
            .unwrap_or_else(|| panic!("it ended by a signal: {status}"))
    }

    pub fn kill(&mut self) {
        if !self.exited() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }

    pub fn exited(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn ready_file(&self) -> PathBuf {
        self.folder.path().join("ready.json")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let start = log.ceil_char_boundary(log.len().saturating_sub(LOG_TAIL_BYTES));
            eprintln!("--- the server's log ends with:\n{}\n---", &log[start..]);
        }
    }
}
