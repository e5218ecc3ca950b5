//! Answers that are due while an executor is stopped: how late they come, and that once it goes on, the same
//! question runs the missing shards alone.

use std::time::Duration;

use serde_json::{Value, json};
use watershed_core::clock::SystemClock;
use watershed_core::partial::{Part, Partial};
use watershed_core::{Error, Result};

use super::files::{Files, question, question_about};
use crate::answer::{Cell, cells, difference};
use crate::processes::{Cluster, Ran, Session, executor_name, ran};
use crate::show;

/// Questions of this part; those of others have other numbers.
const FIRST: u64 = 20_000;
/// Of a question about few partitions. One about all files gets twice the time that it takes.
const DEADLINE: Duration = Duration::from_millis(300);
/// What an answer may come later than its deadline.
const GRACE: Duration = Duration::from_millis(100);
/// Every other round asks about so many partitions, which those who are not stopped finish in time. The others
/// ask about all files, so that everyone is busy when the answer is due.
const FEW: u64 = 4;

/// What is asked, about how many partitions if not about all, and until when.
#[derive(Clone, Copy)]
struct Asked {
    number: u64,
    partitions: Option<u64>,
    deadline: Duration,
}

impl Asked {
    fn sql(&self) -> String {
        let number = self.number;
        self.partitions
            .map_or_else(|| question(number), |few| question_about(number, few))
    }
}

struct Round {
    stopped: String,
    asked: Asked,
    took: Duration,
    /// Those that the answer lacks, and how many there are.
    missing: Vec<u64>,
    shards: u64,
    /// Of the missing, those of executors that were not stopped.
    others: usize,
    completed: Ran,
}

impl Round {
    fn late(&self) -> Duration {
        self.took.saturating_sub(self.asked.deadline)
    }
}

pub(super) async fn run(
    cluster: &mut Cluster,
    session: &Session,
    files: &Files,
    executors: usize,
    rounds: u64,
    wrong: &mut Vec<String>,
) -> Result<Value> {
    let clock = SystemClock::shared();
    session.answer(&question(FIRST - 1)).await?;
    let of_all = (2 * clock.elapsed()).max(DEADLINE);
    session.update("SET watershed.partial_results = 'allow'").await?;
    let mut measured = Vec::new();
    let names = (1..=executors).map(executor_name).collect::<Vec<_>>();
    for (number, stopped) in (FIRST..FIRST + rounds).zip(names.iter().cycle()) {
        let partitions = (number % 2 == 0).then_some(FEW);
        let asked = Asked {
            number,
            partitions,
            deadline: partitions.map_or(of_all, |_| DEADLINE),
        };
        let round = ask(cluster, session, files, asked, stopped, wrong).await?;
        cluster.wait_for_executors(session, executors).await?;
        tell(&round);
        measured.push(round);
    }
    session.update("RESET watershed.partial_results").await?;
    let latest = measured.iter().map(Round::late).max().unwrap_or_default();
    show::line(format_args!(
        "\n{} answers with a deadline and one of {executors} executors stopped: the latest comes {} after it.\n",
        measured.len(),
        show::duration(latest),
    ));
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    Ok(json!({
        "rounds": measured.iter().map(|round| json!({
            "stopped": round.stopped,
            "partitions": round.asked.partitions,
            "deadline_ms": milliseconds(round.asked.deadline),
            "ms": milliseconds(round.took),
            "shards": round.shards,
            "missing_shards": round.missing,
            "missing_of_others": round.others,
            "reused_shards": i64::try_from(round.completed.shards_reused).ok(),
        })).collect::<Vec<_>>(),
        "max_late_ms": milliseconds(latest),
    }))
}

/// Asks while an executor is stopped, and again when it goes on.
async fn ask(
    cluster: &Cluster,
    session: &Session,
    files: &Files,
    asked: Asked,
    stopped: &str,
    wrong: &mut Vec<String>,
) -> Result<Round> {
    let sql = asked.sql();
    let owned = shards_of(session, stopped).await?;
    session
        .update(&format!(
            "SET watershed.deadline = '{}ms'",
            asked.deadline.as_millis()
        ))
        .await?;
    cluster.suspend(stopped)?;
    let clock = SystemClock::shared();
    let answer = session.answer(&sql).await;
    let took = clock.elapsed();
    cluster.resume(stopped)?;
    let (answer, told) = answer?;
    let missing = told.as_ref().map(shards).unwrap_or_default();
    let expected = files.answer_in_part(asked.number, asked.partitions, &missing);
    let part = difference(&expected, &cells(&answer)?);
    let first = ran(session, &sql).await?;

    session.update("RESET watershed.deadline").await?;
    let (answer, still) = session.answer(&sql).await?;
    let expected = files.answer_in_part(asked.number, asked.partitions, &[]);
    let whole = difference(&expected, &cells(&answer)?);
    let completed = ran(session, &sql).await?;

    wrong.extend(part.map(|what| format!("without shards {missing:?}: {what}")));
    wrong.extend(whole.map(|what| format!("once {stopped} went on: {what}")));
    if took > asked.deadline + GRACE {
        wrong.push(format!("an answer came after {}", show::duration(took)));
    }
    if let Some(still) = still {
        wrong.push(format!("without a deadline, {}", still.warning()));
    }
    // A whole answer is kept as such, and not by shards.
    if told.is_some() && (completed.id == first.id || completed.shards_reused != first.shards_completed) {
        wrong.push(format!(
            "{} of {} shards that were there were run again",
            first.shards_completed - completed.shards_reused,
            first.shards_completed
        ));
    }
    Ok(Round {
        stopped: stopped.to_owned(),
        asked,
        took,
        shards: told.map_or(0, |told| told.total_shards),
        others: missing.iter().filter(|shard| !owned.contains(shard)).count(),
        missing,
        completed,
    })
}

fn shards(told: &Partial) -> Vec<u64> {
    let shards = told
        .missing_shards
        .iter()
        .filter_map(|missing| match missing.part {
            Part::Shard(shard) => Some(u64::from(shard)),
            Part::ScanGroup(_) => None,
        });
    shards.collect()
}

/// The shards that an executor owns.
async fn shards_of(session: &Session, executor: &str) -> Result<Vec<u64>> {
    let rows = session
        .rows(&format!(
            "SELECT shard_id FROM system.shards WHERE table_name = 'files' AND owner = '{executor}' ORDER BY 1"
        ))
        .await?;
    let shards = cells(&rows)?.into_iter().flatten().map(|cell| match cell {
        Cell::Number { digits, .. } => u64::try_from(digits).ok(),
        _ => None,
    });
    shards
        .collect::<Option<_>>()
        .ok_or_else(|| Error::internal("a shard has no number"))
}

fn tell(round: &Round) {
    let partitions = round.asked.partitions;
    let asked = partitions.map_or("all files".to_owned(), |few| format!("{few} partitions"));
    let missing = match round.missing.len() {
        0 => "nothing is missing".to_owned(),
        missing => format!(
            "{} of {} shards, missing {:?} ({} of others)",
            round.shards - missing as u64,
            round.shards,
            round.missing,
            round.others,
        ),
    };
    show::line(format_args!(
        "{} stopped, {asked}, {} for it: {} and {missing}; then {} shards are reused",
        round.stopped,
        show::duration(round.asked.deadline),
        show::duration(round.took),
        round.completed.shards_reused,
    ));
}
