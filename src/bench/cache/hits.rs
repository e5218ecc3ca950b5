//! Full hits at a rate, over one connection. Each query has a moment at which it is due, and is timed from
//! then on, whether the ones before it were answered or not.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result};

use super::files::{Files, question};
use crate::answer::{cells, difference};
use crate::bench::percentile;
use crate::processes::Session;
use crate::show;

/// Different questions, asked in turn.
const QUESTIONS: u64 = 20;
/// Questions of this part; those of others have other numbers.
const FIRST: u64 = 5_000;

/// What became of a query: its time from when it was due, and whether its answer was the right one.
struct Asked {
    milliseconds: f64,
    error: Option<String>,
}

pub(super) async fn run(
    session: &Session,
    files: &Files,
    rate: u64,
    seconds: u64,
    wrong: &mut Vec<String>,
) -> Result<Value> {
    let mut questions = Vec::new();
    for number in FIRST..FIRST + QUESTIONS {
        let sql = question(number);
        let answer = session.rows(&sql).await?;
        let difference = difference(&files.answer(number), &cells(&answer)?);
        wrong.extend(difference.map(|what| format!("question {number}: {what}")));
        questions.push((sql, answer));
    }
    let asked = at_a_rate(session, questions, rate, rate * seconds).await?;
    let failed: Vec<_> = asked.iter().filter_map(|asked| asked.error.as_ref()).collect();
    wrong.extend(failed.iter().take(10).map(|error| format!("a hit: {error}")));
    let mut times: Vec<f64> = asked.iter().map(|asked| asked.milliseconds).collect();
    times.sort_by(f64::total_cmp);
    let [p50, p90, p99, last] = [0.5, 0.9, 0.99, 1.0].map(|share| percentile(&times, share));
    // Of those that are remembered.
    let listed = format!(
        "SELECT count(*) FROM system.queries WHERE statement LIKE '{}%' AND cache",
        &question(0)[..40].replace('\'', "''")
    );
    let hits = session
        .number(&format!("{listed} IN ('local', 'distributed', 'shared')"))
        .await?;
    let others = session
        .number(&format!("{listed} NOT IN ('local', 'distributed', 'shared')"))
        .await?;
    show::line(format_args!(
        "{} full hits at {rate} a second over one connection: p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, \
         slowest {last:.1} ms; of the last {}, {hits} were hits.\n",
        show::grouped(times.len() as i128),
        hits + others,
    ));
    Ok(json!({
        "rate_per_second": rate,
        "queries": times.len(),
        "failed": failed.len(),
        "milliseconds_from_due": { "p50": p50, "p90": p90, "p99": p99, "max": last },
        "listed_hits": i64::try_from(hits).ok(),
        "listed_others": i64::try_from(others).ok(),
    }))
}

async fn at_a_rate(
    session: &Session,
    questions: Vec<(String, RecordBatch)>,
    rate: u64,
    count: u64,
) -> Result<Vec<Asked>> {
    let questions = Arc::new(questions);
    let (send, mut receive) = mpsc::unbounded_channel();
    let (session, runtime) = (session.clone(), tokio::runtime::Handle::current());
    // A thread of its own wakes up to tens of microseconds, a timer of the runtime to milliseconds.
    let pacing = tokio::task::spawn_blocking(move || {
        let clock = SystemClock::shared();
        for number in 0..count {
            let due = Duration::from_secs_f64(number as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(clock.elapsed()));
            let (session, questions, send, clock) = (
                session.clone(),
                Arc::clone(&questions),
                send.clone(),
                Arc::clone(&clock),
            );
            runtime.spawn(async move {
                let (sql, right) = &questions[usize::try_from(number % QUESTIONS).unwrap_or_default()];
                let answer = session.rows(sql).await;
                let took = clock.elapsed().saturating_sub(due);
                let error = match answer {
                    Ok(answer) => (answer != *right).then(|| format!("another answer to {sql}")),
                    Err(error) => Some(error.to_string()),
                };
                let asked = Asked {
                    milliseconds: took.as_secs_f64() * 1_000.0,
                    error,
                };
                // Who waits for it outlives it.
                send.send(asked).ok();
            });
        }
    });
    let mut asked = Vec::new();
    while let Some(one) = receive.recv().await {
        asked.push(one);
    }
    pacing
        .await
        .map_err(|error| Error::internal("queries were not asked").with_detail(error.to_string()))?;
    Ok(asked)
}
