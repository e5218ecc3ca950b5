//! Commits: a statement's files become a version of the table, once or not at all.
//!
//! A statement's id stands in the log as a Delta application transaction. Whatever happens on the
//! way — a lost reply, a checkpoint that fails after the commit is durable, a race — the log says
//! whether the statement is in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake_core::kernel::{Action, Add, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use serde_json::Value;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::id::StatementId;
use watershed_core::telemetry::COMMITS;

use crate::layout::TableLayout;
use crate::write::WrittenFile;

use super::folder::{CHECKPOINT_INTERVAL, TableFolder};

/// The key in a commit's info that holds the rows a statement told its client.
const ROWS_KEY: &str = "watershed.rows";
/// The key in a commit's info that names what the statement did.
const OPERATION_KEY: &str = "watershed.operation";
/// Tries of one commit against others that come between, at least, and how long it is tried.
const ATTEMPTS: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(30);
/// Milliseconds between two tries, at most. Who waited longer for each try that is lost would lose to those who come new.
const PAUSE_MAX: u64 = 32;
/// Versions that are searched for a statement that was committed before.
const VERSIONS_SEARCHED: u64 = 10_000;

/// What a statement commits.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    pub statement: StatementId,
    /// As the table's history names it, such as `INSERT`.
    pub operation: &'static str,
    pub rows: u64,
}

/// A commit that is in the table's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    pub version: u64,
    pub rows: u64,
}

/// The statement's name in the log.
fn app_id(statement: StatementId) -> String {
    format!("watershed:{statement}")
}

/// Adds `files` to the table. `known` may be any version to go on from.
pub(super) async fn commit(
    folder: &TableFolder,
    known: Option<DeltaTableState>,
    layout: &TableLayout,
    files: Vec<WrittenFile>,
    request: &CommitRequest,
) -> Result<Committed> {
    let actions: Vec<Action> = files.into_iter().map(|file| Action::Add(add(file))).collect();
    let operation = DeltaOperation::Write {
        mode: SaveMode::Append,
        partition_by: Some(layout.delta_partitions()),
        predicate: None,
    };
    let properties = HashMap::from([
        (ROWS_KEY.to_owned(), Value::from(request.rows)),
        (OPERATION_KEY.to_owned(), Value::from(request.operation)),
    ]);
    commit_actions(
        folder,
        known,
        request.statement,
        request.rows,
        operation,
        properties,
        |_| Ok(actions.clone()),
    )
    .await
}

/// Commits what `actions` makes of the newest version, until it is in or fails for good.
pub(super) async fn commit_actions(
    folder: &TableFolder,
    known: Option<DeltaTableState>,
    statement: StatementId,
    rows: u64,
    operation: DeltaOperation,
    metadata: HashMap<String, Value>,
    actions: impl Fn(&DeltaTableState) -> Result<Vec<Action>>,
) -> Result<Committed> {
    let app_id = app_id(statement);
    let mut state = match known {
        Some(known) => folder.update(known).await?,
        None => folder.load(None).await?,
    };
    let began = Instant::now();
    for attempt in 1.. {
        if let Some(done) = replay(folder, &state, &app_id, rows).await? {
            return Ok(done);
        }
        let transaction = Transaction::new_with_last_update(&app_id, 1, Some(Utc::now().timestamp_millis()));
        let cleanup = (state.version() + 1) % CHECKPOINT_INTERVAL == 0;
        let properties = CommitProperties::default()
            .with_metadata(metadata.clone())
            // Retries are ours: they look for the statement in the log first.
            .with_max_retries(0)
            .with_cleanup_expired_logs(if cleanup { None } else { Some(false) })
            .with_application_transaction(transaction);
        let committed = CommitBuilder::from(properties)
            .with_actions(actions(&state)?)
            .build(Some(&state), folder.log.clone(), operation.clone())
            .await;
        let error = match committed {
            Ok(committed) => {
                COMMITS.inc();
                return Ok(Committed {
                    version: committed.version(),
                    rows,
                });
            }
            Err(error) => error,
        };
        // It may be in all the same.
        let failed = folder.failed("commit to", &error);
        state = match folder.update(state).await {
            Ok(state) => state,
            Err(unreadable) => {
                tracing::warn!(%unreadable, "cannot tell whether a commit is in");
                return Err(failed.with_hint(
                    "Run the statement again under the same statement id: it counts once, whether or not \
                     this try is in the log.",
                ));
            }
        };
        if let Some(done) = replay(folder, &state, &app_id, rows).await? {
            COMMITS.inc();
            return Ok(done);
        }
        if !is_conflict(&error) {
            return Err(failed);
        }
        if attempt >= ATTEMPTS && began.elapsed() >= PATIENCE {
            return Err(Error::new(
                SqlState::SerializationFailure,
                format!("others keep changing the table in {}", folder.url),
            )
            .with_detail(failed.detail().unwrap_or_default())
            .with_hint("Run the statement again."));
        }
        // Whole milliseconds that differ from writer to writer, and from try to try.
        let own = statement.as_uuid().as_bytes()[15];
        let factor = u8::try_from(attempt % 64).unwrap_or_default();
        let spread = own.wrapping_mul(2 * factor + 1);
        tokio::time::sleep(Duration::from_millis(u64::from(spread) % PAUSE_MAX)).await;
    }
    Err(Error::internal("a commit was tried too often"))
}

/// Whether another's commit came between.
fn is_conflict(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => matches!(
            source,
            TransactionError::VersionAlreadyExists(_)
                | TransactionError::CommitConflict(_)
                | TransactionError::MaxCommitAttempts(_)
        ),
        _ => false,
    }
}

/// The statement's first answer, if it is in the log.
async fn replay(
    folder: &TableFolder,
    state: &DeltaTableState,
    app_id: &str,
    rows: u64,
) -> Result<Option<Committed>> {
    let found = state
        .transaction_version(folder.log.as_ref(), app_id)
        .await
        .map_err(|error| folder.failed("read", &error))?;
    if found.is_none() {
        return Ok(None);
    }
    let newest = state.version();
    let oldest = newest.saturating_sub(VERSIONS_SEARCHED);
    for version in (oldest..=newest).rev() {
        let entry = folder
            .log
            .read_commit_entry(version)
            .await
            .map_err(|error| folder.failed("read", &error))?;
        // The log was cleaned from here on back.
        let Some(entry) = entry else { break };
        if let Some(first) = answer_in(&entry, app_id) {
            return Ok(Some(Committed {
                version,
                rows: first.unwrap_or(rows),
            }));
        }
    }
    Ok(Some(Committed {
        version: newest,
        rows,
    }))
}

/// Whether a version is the statement's, and the rows it told.
fn answer_in(entry: &[u8], app_id: &str) -> Option<Option<u64>> {
    let actions: Vec<Value> = serde_json::Deserializer::from_slice(entry)
        .into_iter::<Value>()
        .map_while(std::result::Result::ok)
        .collect();
    let ours = |action: &Value| action.pointer("/txn/appId").and_then(Value::as_str) == Some(app_id);
    actions.iter().any(ours).then(|| {
        actions
            .iter()
            .find_map(|action| action.get("commitInfo")?.get(ROWS_KEY)?.as_u64())
    })
}

fn add(file: WrittenFile) -> Add {
    let tags: HashMap<_, _> = file
        .tags
        .into_iter()
        .map(|(key, value)| (key, Some(value)))
        .collect();
    Add {
        path: file.path,
        partition_values: file.partition_values.into_iter().collect(),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: file.modified_ms,
        data_change: true,
        stats: Some(file.statistics),
        tags: (!tags.is_empty()).then_some(tags),
        ..Add::default()
    }
}
