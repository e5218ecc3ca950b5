//! Python's deltalake, another writer of our tables: a process that is told what to commit.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::python::interpreter;

/// Dropped, it ends, as its input does.
pub struct ForeignWriter {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl ForeignWriter {
    pub fn start() -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/python/cache_foreign_writer.py"
        );
        let mut child = std::process::Command::new(interpreter())
            .args(["-B", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be started");
        Self {
            commands: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().expect("it has an output")),
            child,
        }
    }

    /// Commits to the table in a folder, and gives the version that this left.
    #[track_caller]
    pub fn commit(&mut self, table: &Path, mut command: Value) -> u64 {
        command["table"] = json!(table);
        let commands = self.commands.as_mut().expect("it runs");
        writeln!(commands, "{command}").expect("it listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let answer: Value =
            serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{command}: {error}: {answer:?}"));
        answer["version"]
            .as_u64()
            .unwrap_or_else(|| panic!("{command}: {answer}"))
    }
}

impl Drop for ForeignWriter {
    fn drop(&mut self) {
        drop(self.commands.take());
        self.child.wait().ok();
    }
}
