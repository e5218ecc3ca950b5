//! Statements from elsewhere than the keyboard, read as they are needed.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use watershed_core::{Error, Result, SqlState};

use super::split::{Item, Splitter};

/// How far reading is ahead of running.
const ITEMS_AHEAD: usize = 16;
/// A line longer than any statement may be is read no further.
const LINE_BYTES_MAX: u64 = 65 << 20;

/// A source of statements. A thread reads it, so that waiting for a pipe can be interrupted.
#[derive(Debug)]
pub(super) struct Script {
    name: Option<String>,
    items: mpsc::Receiver<Result<Item>>,
}

impl Script {
    pub(super) fn of_text(text: &str) -> Self {
        Self::read(None, Cursor::new(text.to_owned()))
    }

    pub(super) fn of_file(path: &Path) -> std::result::Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(format!("cannot read {}: it is a folder", path.display()));
        }
        Ok(Self::read(Some(path.display().to_string()), BufReader::new(file)))
    }

    pub(super) fn of_stdin() -> Self {
        Self::read(Some("stdin".into()), BufReader::new(std::io::stdin()))
    }

    fn read(name: Option<String>, reader: impl BufRead + Send + 'static) -> Self {
        let (sender, items) = mpsc::channel(ITEMS_AHEAD);
        // Ends when all is read, or when nobody takes the items any more.
        std::thread::spawn(move || {
            if let Err(error) = send_items(reader, &sender) {
                // If nobody waits for it, the error concerns nobody.
                drop(sender.blocking_send(Err(error)));
            }
        });
        Self { name, items }
    }

    /// The file it comes from, if it does.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) async fn next(&mut self) -> Option<Result<Item>> {
        self.items.recv().await
    }

    /// Whether nothing follows, as far as that can be known without waiting for a pipe.
    pub(super) async fn is_at_end(&mut self) -> bool {
        let next = tokio::time::timeout(Duration::from_millis(100), self.items.recv());
        matches!(next.await, Ok(None))
    }
}

fn send_items(mut reader: impl BufRead, sender: &mpsc::Sender<Result<Item>>) -> Result<()> {
    let mut splitter = Splitter::default();
    let mut line = Vec::new();
    let mut is_first = true;
    loop {
        line.clear();
        let read = reader
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .map_err(|error| {
                Error::new(SqlState::IoError, "cannot read on").with_detail(error.to_string())
            })?;
        let text = std::str::from_utf8(&line).map_err(|error| {
            Error::new(SqlState::DataException, "the script is not UTF-8").with_detail(error.to_string())
        })?;
        let text = if std::mem::take(&mut is_first) {
            text.trim_start_matches('\u{feff}')
        } else {
            text
        };
        splitter.push(text)?;
        let is_end = read == 0;
        while let Some(item) = if is_end {
            splitter.finish()
        } else {
            splitter.next()
        } {
            if sender.blocking_send(Ok(item)).is_err() {
                return Ok(());
            }
        }
        if is_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn items(mut script: Script) -> Vec<String> {
        let mut shown = Vec::new();
        while let Some(item) = script.next().await {
            shown.push(match item {
                Ok(Item::Statement(statement)) => format!("{}:{}", statement.line, statement.text),
                Ok(Item::Command(command)) => format!("\\{command}"),
                Err(error) => error.code().to_string(),
            });
        }
        shown
    }

    #[tokio::test]
    async fn reads_to_the_end() {
        let text = format!("\u{feff}SELECT 1;\n\\d\n{}SELECT 3", "SELECT 2;\n".repeat(100));
        let read = items(Script::of_text(&text)).await;
        assert_eq!(read.len(), 103);
        assert_eq!(
            (read[0].as_str(), read[1].as_str(), read[102].as_str()),
            ("1:SELECT 1", "\\d", "103:SELECT 3")
        );
    }

    #[tokio::test]
    async fn what_is_not_text_is_an_error_after_what_is() {
        let bytes: &[u8] = b"SELECT 1;\nSELECT '\xff';\n";
        let script = Script::read(None, BufReader::new(bytes));
        assert_eq!(items(script).await, ["1:SELECT 1", "22000"]);
    }

    #[tokio::test]
    async fn files_must_be_there() {
        assert!(Script::of_file(Path::new("/nonexistent.sql")).is_err());
        assert!(Script::of_file(Path::new("/")).is_err());
    }
}
