//! How the demo tells what it does, and keeps count of what was right.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use watershed_core::clock::Clock;
use watershed_core::{Error, Result};

use crate::show;

const INDENT: &str = "   ";

/// The telling so far.
pub(super) struct Story {
    clock: Arc<dyn Clock>,
    started: Duration,
    chapter: usize,
    right: usize,
    /// What was wrong, in words.
    wrong: Vec<String>,
}

impl Story {
    pub(super) fn begin(clock: Arc<dyn Clock>, title: &str) -> Self {
        show::line(show::strong(title));
        Self {
            started: clock.elapsed(),
            clock,
            chapter: 0,
            right: 0,
            wrong: Vec::new(),
        }
    }

    pub(super) fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        show::line(format_args!(
            "\n{}",
            show::strong(&format!("{}. {title}", self.chapter))
        ));
    }

    pub(super) fn tell(&self, text: impl std::fmt::Display) {
        for line in text.to_string().lines() {
            show::line(format_args!("{INDENT}{line}").to_string().trim_end());
        }
    }

    /// Shows a statement as it is sent.
    pub(super) fn sql(&self, sql: &str) {
        for line in sql.lines() {
            show::line(format_args!("{INDENT}{}", show::faint(&format!("│ {line}"))));
        }
    }

    pub(super) fn rows(&self, batch: &RecordBatch) -> Result<()> {
        show::batch_table(batch, INDENT)
    }

    /// Notes whether something is as it should be; `difference` says what is not.
    pub(super) fn check(&mut self, what: &str, difference: Option<String>) {
        match difference {
            None => {
                self.right += 1;
                self.tell(format_args!("{} {what}", show::good("✓")));
            }
            Some(difference) => {
                self.tell(format_args!("{} {what}: {difference}", show::alarm("✗ NOT")));
                self.wrong.push(format!("{what}: {difference}"));
            }
        }
    }

    /// Notes that a chapter could not be told to its end.
    pub(super) fn failed(&mut self, error: &Error) {
        let mut text = format!("{}: {error}", error.code());
        for more in [error.detail(), error.hint()].into_iter().flatten() {
            text = format!("{text}\n{more}");
        }
        self.tell(format_args!("{} {text}", show::alarm("✗ ERROR")));
        self.wrong.push(text);
    }

    /// Does something, and says how long that took.
    pub(super) async fn timed<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, Duration)> {
        let started = self.clock.elapsed();
        let done = work.await?;
        Ok((done, self.clock.elapsed().saturating_sub(started)))
    }

    /// Sums up; whether all was right.
    pub(super) fn end(self) -> bool {
        let took = show::duration(self.clock.elapsed().saturating_sub(self.started));
        if self.wrong.is_empty() {
            show::line(format_args!(
                "\n{}",
                show::strong(&format!("All {} checks were right, in {took}.", self.right))
            ));
            return true;
        }
        show::line(format_args!(
            "\n{}",
            show::alarm(&format!(
                "{} of {} checks were wrong, in {took}:",
                self.wrong.len(),
                self.wrong.len() + self.right
            ))
        ));
        for wrong in &self.wrong {
            show::line(format_args!("{INDENT}✗ {wrong}"));
        }
        false
    }
}
