//! The life of a statement in the shell: asked, waited for, printed, timed, or interrupted.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use console::Term;
use futures::StreamExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use watershed_core::net::Notices;
use watershed_core::{Error, Result, SqlState};

use super::names::Names;
use super::output::{Expanded, Format, Screen, encoder};
use super::progress::{self, Progress};
use super::script::Script;
use super::split::{Item, Statement};
use super::style::{Style, printable};
use super::{Options, report};
use crate::connect::Client;
use crate::query::{Answer, Done, RowStream};

/// How often what is shown while waiting is drawn.
const TICK: Duration = Duration::from_millis(100);
/// Scripts that include scripts end somewhere.
pub(super) const INCLUDES_MAX: usize = 16;

/// A connection and how its answers are shown.
pub(super) struct Shell {
    pub(super) client: Client,
    pub(super) format: Format,
    pub(super) timing: bool,
    pub(super) expanded: Expanded,
    pub(super) names: Arc<Names>,
    /// How many scripts are open, one included by the other.
    pub(super) includes: usize,
    has_progress: bool,
}

/// How a statement or a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    Failed,
    Interrupted,
    /// Nobody reads stdout any more.
    Unread,
    Quit,
}

impl Ended {
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Well | Self::Quit => 0,
            Self::Failed => 1,
            Self::Interrupted => 130,
            Self::Unread => 141,
        }
    }
}

/// Why a statement did not come to its end.
enum Failure {
    Error(Error),
    Interrupted,
    Unread,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Each Ctrl-C.
pub(super) struct Interrupts(Signal);

impl Interrupts {
    /// From now on; earlier ones are not seen.
    pub(super) fn listen() -> std::io::Result<Self> {
        signal(SignalKind::interrupt()).map(Self)
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // No more can come.
            std::future::pending::<()>().await;
        }
    }
}

impl Shell {
    pub(super) fn new(client: Client, options: &Options) -> Self {
        Self {
            names: Arc::new(Names::new(client.clone())),
            client,
            format: options.format,
            timing: options.timing,
            expanded: Expanded::Auto,
            includes: 0,
            has_progress: !options.no_progress && std::io::stderr().is_terminal(),
        }
    }

    /// Runs a script up to its end or its first error.
    pub(super) async fn run_script(&mut self, script: &mut Script, interrupts: &mut Interrupts) -> Ended {
        loop {
            let item = tokio::select! {
                biased;
                () = interrupts.next() => return Ended::Interrupted,
                item = script.next() => item,
            };
            let ended = match item {
                None => return Ended::Well,
                Some(Err(error)) => {
                    say_error(&error, None, script.name());
                    Ended::Failed
                }
                Some(Ok(Item::Statement(statement))) => {
                    self.run_statement(&statement, script.name(), interrupts).await
                }
                Some(Ok(Item::Command(command))) => Box::pin(self.run_command(&command, interrupts)).await,
            };
            if ended != Ended::Well {
                return ended;
            }
        }
    }

    /// Runs a statement and prints all there is to it.
    pub(super) async fn run_statement(
        &mut self,
        statement: &Statement,
        source: Option<&str>,
        interrupts: &mut Interrupts,
    ) -> Ended {
        let mut progress = Progress::start(self.has_progress);
        let result = self.answer(&statement.text, &mut progress, interrupts).await;
        progress.stop();
        if changes_names(&statement.text) {
            self.names.forget();
        }
        let ended = match result {
            Ok(()) => Ended::Well,
            Err(Failure::Unread) => return Ended::Unread,
            Err(Failure::Interrupted) => {
                say("Cancelled.");
                Ended::Interrupted
            }
            Err(Failure::Error(error)) => {
                say_error(&error, Some(statement), source);
                Ended::Failed
            }
        };
        if self.timing {
            say(&format!("Time: {}", progress::duration(progress.elapsed())));
        }
        ended
    }

    async fn answer(
        &self,
        sql: &str,
        progress: &mut Progress,
        interrupts: &mut Interrupts,
    ) -> std::result::Result<(), Failure> {
        match unless_interrupted(self.client.run(sql), progress, interrupts).await? {
            Answer::Rows(mut rows) => self.print(&mut rows, progress, interrupts).await,
            Answer::Done(done) => {
                progress.stop();
                say_notices(&done.notices);
                say(&summary(sql, &done));
                Ok(())
            }
        }
    }

    async fn print(
        &self,
        rows: &mut RowStream,
        progress: &mut Progress,
        interrupts: &mut Interrupts,
    ) -> std::result::Result<(), Failure> {
        let unprintable = |error| Error::internal("cannot print the rows").with_detail(format!("{error}"));
        progress.expect_rows(rows.rows_expected());
        if !rows.notices().is_empty() {
            progress.clear();
            say_notices(rows.notices());
        }
        let mut encoder = encoder(self.format, rows.schema(), self.screen()).map_err(unprintable)?;
        let mut bytes = Vec::new();
        loop {
            let next = async { rows.next().await.transpose() };
            let Some(batch) = unless_interrupted(next, progress, interrupts).await? else {
                break;
            };
            progress.add_rows(batch.num_rows());
            // Batches may come faster than waiting would draw.
            progress.tick();
            encoder.batch(&batch, &mut bytes).map_err(unprintable)?;
            write(&mut bytes, progress)?;
        }
        encoder.finish(&mut bytes).map_err(unprintable)?;
        write(&mut bytes, progress)?;
        let closing = rows.closing();
        if !closing.notices.is_empty() {
            progress.clear();
            say_notices(&closing.notices);
        }
        Ok(())
    }

    fn screen(&self) -> Screen {
        let stdout = std::io::stdout();
        Screen {
            columns: Term::stdout()
                .size_checked()
                .filter(|_| stdout.is_terminal())
                .map(|(_, columns)| usize::from(columns)),
            expanded: self.expanded,
            style: Style::of(&stdout),
        }
    }
}

/// Waits for the server, showing that it does.
async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T>>,
    progress: &mut Progress,
    interrupts: &mut Interrupts,
) -> std::result::Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            () = interrupts.next() => return Err(Failure::Interrupted),
            done = &mut work => return Ok(done?),
            () = tokio::time::sleep(TICK) => progress.tick(),
        }
    }
}

/// Hands the bytes to stdout.
fn write(bytes: &mut Vec<u8>, progress: &mut Progress) -> std::result::Result<(), Failure> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut stdout = std::io::stdout().lock();
    if stdout.is_terminal() {
        // Rows on the screen show the progress themselves.
        progress.stop();
    }
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    bytes.clear();
    written.map_err(|error| {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::Unread;
        }
        let code = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => SqlState::DiskFull,
            _ => SqlState::IoError,
        };
        Failure::Error(Error::new(code, "cannot write to stdout").with_detail(error.to_string()))
    })
}

/// Tells something that is not data.
pub(super) fn say(text: &str) {
    // If stderr is closed, there is nobody to tell that to.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

pub(super) fn say_error(error: &Error, statement: Option<&Statement>, source: Option<&str>) {
    let style = Style::of(&std::io::stderr());
    say(report::render(error, statement, source, style).trim_end());
}

fn say_notices(notices: &Notices) {
    let style = Style::of(&std::io::stderr());
    for notice in &notices.notices {
        say(&format!("{} {}", style.strong("NOTICE:"), printable(notice)));
    }
    for warning in &notices.warnings {
        say_warning(warning);
    }
}

pub(super) fn say_warning(warning: &str) {
    let style = Style::of(&std::io::stderr());
    say(&format!("{} {}", style.warning("WARNING:"), printable(warning)));
}

/// The line after a statement without rows. Servers give a count to others than these as well.
fn summary(sql: &str, done: &Done) -> String {
    const COUNTED: [&str; 7] = ["insert", "update", "delete", "merge", "copy", "create", "with"];
    let is_counted = COUNTED.contains(&first_word(sql).as_str());
    match done.count {
        Some(1) if is_counted => "OK, 1 row".to_owned(),
        Some(0) if first_word(sql) == "create" => "OK".to_owned(),
        Some(count) if is_counted => format!("OK, {count} rows"),
        _ => "OK".to_owned(),
    }
}

fn changes_names(sql: &str) -> bool {
    matches!(first_word(sql).as_str(), "create" | "drop" | "alter" | "use")
}

/// The word a statement starts with, after comments, in lower case.
pub(super) fn first_word(sql: &str) -> String {
    let mut rest = sql.trim_start();
    loop {
        let skipped = match rest.get(..2) {
            Some("--") => rest.find('\n').map(|end| end + 1),
            Some("/*") => rest.find("*/").map(|end| end + 2),
            _ => break,
        };
        rest = rest[skipped.unwrap_or(rest.len())..].trim_start();
    }
    let word = rest
        .split(|character: char| !character.is_alphanumeric() && character != '_')
        .next();
    word.unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words() {
        assert_eq!(first_word("  -- why\n/* what */ Insert INTO t"), "insert");
        assert_eq!(first_word("-- only"), "");
        assert_eq!(first_word("größe"), "größe");
        assert!(changes_names("create or replace view v as select 1"));
        assert!(!changes_names("select 1"));
    }

    #[track_caller]
    fn check(sql: &str, count: Option<i64>, expected: &str) {
        let done = Done {
            count,
            notices: Notices::default(),
        };
        assert_eq!(summary(sql, &done), expected);
    }

    #[test]
    fn summaries() {
        check("INSERT INTO t VALUES (1)", Some(1), "OK, 1 row");
        check("INSERT INTO t SELECT 1 WHERE false", Some(0), "OK, 0 rows");
        check("CREATE TABLE t (a INT)", Some(0), "OK");
        check("CREATE TABLE t AS SELECT 1", Some(5), "OK, 5 rows");
        check("SET a = 1", Some(0), "OK");
        check("INSERT INTO t VALUES (1)", None, "OK");
    }
}
