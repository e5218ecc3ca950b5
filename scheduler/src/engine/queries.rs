//! What runs and what ran: the rows of `system.queries`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use watershed_core::clock::Clock;
use watershed_core::id::{SessionId, StatementId};
use watershed_core::{Error, Result, SqlState, telemetry};
use watershed_sql::dialect::redacted;
use watershed_storage::table::ScanReport;

use crate::cache::Fingerprint;
use crate::dispatch::context::{Counters, StatementContext};

/// Statements that are remembered after they ended.
const MAX_ENDED: usize = 1_000;
/// Characters of a statement's text that are kept.
const MAX_TEXT: usize = 4_096;

/// How a statement ended, if it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryState {
    Running,
    Finished,
    Failed { code: SqlState, message: String },
}

impl QueryState {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed {
                code: SqlState::QueryCanceled,
                ..
            } => "cancelled",
            Self::Failed { .. } => "failed",
        }
    }
}

/// One statement, at the moment it is looked at.
#[derive(Debug, Clone)]
pub struct QueryRecord {
    pub id: StatementId,
    pub session: SessionId,
    pub principal: String,
    pub text: String,
    pub state: QueryState,
    pub path: Option<&'static str>,
    pub path_reason: Option<String>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub elapsed: Duration,
    pub scans: Vec<ScanReport>,
    /// Figures of executors that were slow or lost may still come when it has ended.
    pub counters: Arc<Counters>,
    /// Of its plan, whatever versions its tables have.
    pub plan_hash: Option<String>,
    /// The versions of its tables, as a JSON object.
    pub table_versions: Option<String>,
    /// Where its answer came from.
    pub cache: Option<&'static str>,
    pub cache_reason: Option<String>,
}

struct Running {
    record: QueryRecord,
    started: Duration,
    context: Arc<StatementContext>,
}

impl Running {
    fn now(&self, clock: &dyn Clock) -> QueryRecord {
        let mut record = self.record.clone();
        record.elapsed = clock.elapsed().saturating_sub(self.started);
        record.scans = self.context.scans.reports();
        record
    }
}

#[derive(Default)]
struct State {
    running: BTreeMap<StatementId, Running>,
    ended: VecDeque<QueryRecord>,
}

/// The statements of a scheduler.
pub struct Queries {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl Queries {
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::default(),
        })
    }

    /// Enters a statement. It runs until the result is dropped or told how it ended.
    pub fn begin(
        self: &Arc<Self>,
        context: &Arc<StatementContext>,
        session: SessionId,
        principal: &str,
        text: &str,
    ) -> QueryGuard {
        let record = QueryRecord {
            id: context.id,
            session,
            principal: principal.to_owned(),
            text: redacted(&text.chars().take(MAX_TEXT).collect::<String>()).into_owned(),
            state: QueryState::Running,
            path: None,
            path_reason: None,
            started_at: self.clock.now(),
            ended_at: None,
            elapsed: Duration::ZERO,
            scans: Vec::new(),
            counters: Arc::clone(&context.counters),
            plan_hash: None,
            table_versions: None,
            cache: None,
            cache_reason: None,
        };
        let running = Running {
            record,
            started: self.clock.elapsed(),
            context: Arc::clone(context),
        };
        self.state.lock().running.insert(context.id, running);
        QueryGuard {
            notes: QueryNotes {
                queries: Arc::clone(self),
                id: context.id,
            },
            ended: false,
        }
    }

    /// All that is known, the newest first.
    pub fn list(&self) -> Vec<QueryRecord> {
        let state = self.state.lock();
        let running = state
            .running
            .values()
            .rev()
            .map(|running| running.now(&*self.clock));
        running.chain(state.ended.iter().rev().cloned()).collect()
    }

    /// Cancels one statement, if it is of someone that `may` name.
    pub fn kill(&self, id: StatementId, may: impl Fn(&str) -> bool) -> Result<()> {
        match self.state.lock().running.get(&id) {
            Some(running) if may(&running.record.principal) => {
                running.context.cancel.cancel();
                Ok(())
            }
            // Others' statements are not told from those that are not there.
            Some(_) | None => Err(Error::new(
                SqlState::UndefinedObject,
                format!("no statement {id} runs on this scheduler"),
            )
            .with_hint("system.queries lists those that do.")),
        }
    }

    /// Cancels what still runs, as the scheduler ends.
    pub fn cancel_all(&self) {
        for running in self.state.lock().running.values() {
            running.context.cancel.cancel();
        }
    }

    pub fn running(&self) -> usize {
        self.state.lock().running.len()
    }

    fn end(&self, id: StatementId, outcome: QueryState) {
        let mut state = self.state.lock();
        let Some(running) = state.running.remove(&id) else {
            return;
        };
        let mut record = running.now(&*self.clock);
        telemetry::STATEMENTS.with_label_values(&[outcome.name()]).inc();
        record.state = outcome;
        record.ended_at = Some(self.clock.now());
        if state.ended.len() >= MAX_ENDED {
            state.ended.pop_front();
        }
        state.ended.push_back(record);
    }
}

/// Enters what becomes known of a statement while it runs.
#[derive(Clone)]
pub struct QueryNotes {
    queries: Arc<Queries>,
    id: StatementId,
}

/// Ends a statement's row. Dropped without a word, the statement was cancelled: its client has gone.
pub struct QueryGuard {
    notes: QueryNotes,
    ended: bool,
}

impl QueryNotes {
    /// Notes the path that was chosen.
    pub fn path(&self, path: &'static str, why: &str) {
        if let Some(running) = self.queries.state.lock().running.get_mut(&self.id) {
            running.record.path = Some(path);
            running.record.path_reason = Some(why.to_owned());
        }
    }

    /// Notes what was asked, of which versions.
    pub fn print(&self, print: &Fingerprint) {
        let versions: serde_json::Map<_, _> = print
            .pins
            .iter()
            .map(|pin| (pin.table.clone(), pin.version.clone().into()))
            .collect();
        if let Some(running) = self.queries.state.lock().running.get_mut(&self.id) {
            running.record.plan_hash = Some(print.plan.to_string());
            running.record.table_versions = Some(serde_json::Value::Object(versions).to_string());
        }
    }

    /// Notes where the answer comes from.
    pub fn cache(&self, from: &'static str, why: &str) {
        if let Some(running) = self.queries.state.lock().running.get_mut(&self.id) {
            running.record.cache = Some(from);
            running.record.cache_reason = Some(why.to_owned());
        }
    }
}

impl QueryNotes {
    /// Ends the statement's row with an error that its client has not taken yet.
    pub fn fail(&self, error: &Error) {
        self.queries.end(self.id, failed(error));
    }
}

fn failed(error: &Error) -> QueryState {
    QueryState::Failed {
        code: error.code(),
        message: error.message().to_owned(),
    }
}

impl QueryGuard {
    pub fn notes(&self) -> &QueryNotes {
        &self.notes
    }

    pub fn end(mut self, outcome: Result<(), &Error>) {
        self.ended = true;
        self.notes.queries.end(
            self.notes.id,
            match outcome {
                Ok(()) => QueryState::Finished,
                Err(error) => failed(error),
            },
        );
    }
}

impl Drop for QueryGuard {
    fn drop(&mut self) {
        if !self.ended {
            let message = "the client has gone".to_owned();
            self.notes.queries.end(
                self.notes.id,
                QueryState::Failed {
                    code: SqlState::QueryCanceled,
                    message,
                },
            );
        }
    }
}
