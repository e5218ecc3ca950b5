//! What ends a statement before its end: its time, someone who says so, a mistake of ours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use watershed_core::interrupt::interruptible;
use watershed_core::{Error, Result, SqlState};

use crate::dispatch::context::StatementContext;
use crate::dispatch::partial::overdue;

/// When a statement's time is up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    pub(super) fn after(after: Duration) -> Self {
        Self {
            at: Instant::now() + after,
            after,
        }
    }

    fn passed(self) -> Error {
        Error::new(
            SqlState::QueryCanceled,
            format!(
                "the statement ran longer than statement_timeout, {}",
                watershed_core::duration::format(self.after)
            ),
        )
        .with_hint("SET statement_timeout = '0' lets statements run.")
    }
}

/// Plans, and gives up between two steps when the statement is cancelled or its time is up.
pub(super) async fn planning<T>(
    deadline: Option<Deadline>,
    statement: &StatementContext,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let cancel = statement.cancel.clone();
    let interrupt = Arc::new(move || match deadline {
        _ if cancel.is_cancelled() => Some(cancelled()),
        Some(deadline) if deadline.at <= Instant::now() => Some(deadline.passed()),
        _ => None,
    });
    interruptible(interrupt, work).await
}

pub(super) fn cancelled() -> Error {
    Error::new(SqlState::QueryCanceled, "the statement was cancelled")
}

/// Does `work`, unless it is cancelled or its time is up before.
pub(super) async fn until<T>(
    deadline: Option<Deadline>,
    statement: &StatementContext,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let expired = async {
        match deadline {
            Some(deadline) => {
                tokio::time::sleep_until(deadline.at.into()).await;
                deadline.passed()
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = statement.cancel.cancelled() => Err(cancelled()),
        error = expired => Err(error),
        error = overdue(statement) => Err(error),
    }
}

pub(super) fn panicked<T>(panic: Box<dyn std::any::Any + Send>) -> Result<T> {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(text, "a statement panicked");
    Err(Error::internal("the statement met a mistake in Watershed").with_detail(text.to_owned()))
}
