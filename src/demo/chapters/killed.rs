//! An executor is killed while a query runs, and the answer is right all the same.

use std::time::Duration;

use arrow::array::RecordBatch;
use watershed_core::{Error, Result};

use crate::answer::{Cell, cells, difference};
use crate::demo::{EXECUTORS, Stage};
use crate::processes::{executor_name, ran};
use crate::show::duration;

/// How long the query should run, so that there is time to kill somebody.
const LONG: Duration = Duration::from_millis(2_000);
const ROUNDS_MAX: usize = 64;
const VICTIM: usize = 2;
/// The query may be done with the victim before it dies.
const TRIES: u32 = 3;

const EXECUTORS_NOW: &str = "SELECT node_id, process_id, threads, last_heartbeat_at
FROM system.executors
ORDER BY node_id";

pub(super) async fn play(stage: &mut Stage) -> Result<()> {
    stage.story.chapter("Kill an executor while a query runs");
    stage
        .session
        .update("SET watershed.execution = 'pipelined'")
        .await?;
    // What is cached needs no executor.
    stage.session.without_caches().await?;
    let (_, once) = ask(stage, &fingerprints(1)).await?;
    let rounds = (LONG.as_secs_f64() / once.as_secs_f64()).ceil().max(1.0) as usize;
    let sql = fingerprints(rounds.min(ROUNDS_MAX));
    stage
        .story
        .tell("A question that takes a while: hash every row, over and over.");
    stage.story.sql(&shortened(&sql));
    let (undisturbed, took) = ask(stage, &sql).await?;
    stage.story.tell(format_args!("Undisturbed: {}.", duration(took)));
    let mut delay = took.mul_f64(0.4);
    for attempt in 1..=TRIES {
        let (found, disturbed) = ask_and_kill(stage, &sql, delay).await?;
        let ran = ran(&stage.session, &sql).await?;
        if ran.retries == 0 && attempt < TRIES {
            stage
                .story
                .tell("The query had its parts from the victim before it died; once more.");
            revive(stage).await?;
            delay /= 2;
            continue;
        }
        stage.story.rows(&found)?;
        let took = format!(
            "{} instead of {}, {} run again",
            duration(disturbed),
            duration(took),
            parts(ran.retries)
        );
        stage.story.check(
            &format!("the answer is right all the same; {took}"),
            difference(&expected(stage, &undisturbed)?, &cells(&found)?),
        );
        let untouched = (ran.retries < 1).then(|| "nothing had to be tried again".to_owned());
        stage.story.check(
            "the scheduler ran the lost parts on the other executors",
            untouched,
        );
        break;
    }
    aftermath(stage).await?;
    for setting in ["execution", "result_cache", "fragment_cache"] {
        stage
            .session
            .update(&format!("RESET watershed.{setting}"))
            .await?;
    }
    Ok(())
}

/// `rounds` nested hashes of every row's request, the least of which is the fingerprint of an edge.
fn fingerprints(rounds: usize) -> String {
    let hash = (0..rounds).fold("request_id".to_owned(), |inner, _| format!("sha512({inner})"));
    format!(
        "SELECT cdn_edge_location,
  count(*) AS requests,
  sum(bytes_transferred) AS bytes,
  left(min(encode({hash}, 'hex')), 16) AS fingerprint
FROM cdn_logs
GROUP BY cdn_edge_location
ORDER BY cdn_edge_location"
    )
}

fn shortened(sql: &str) -> String {
    let nested = sql.matches("sha512(").count();
    if nested <= 3 {
        return sql.to_owned();
    }
    let open = "sha512(".repeat(nested);
    let close = ")".repeat(nested);
    sql.replace(
        &format!("{open}request_id{close}"),
        &format!("sha512(sha512(… {nested} times …))"),
    )
}

async fn ask(stage: &Stage, sql: &str) -> Result<(RecordBatch, Duration)> {
    stage.story.timed(stage.session.rows(sql)).await
}

async fn ask_and_kill(stage: &mut Stage, sql: &str, delay: Duration) -> Result<(RecordBatch, Duration)> {
    let victim = executor_name(VICTIM);
    let asking = {
        let (session, sql) = (stage.session.clone(), sql.to_owned());
        tokio::spawn(async move { session.rows(&sql).await })
    };
    let answer = async {
        asking
            .await
            .map_err(|error| Error::internal("the question was not asked").with_detail(error.to_string()))?
    };
    let (cluster, story) = (&mut stage.cluster, &stage.story);
    let killing = async {
        tokio::time::sleep(delay).await;
        story.tell(format_args!(
            "kill -9 {victim}, {} after the start.",
            duration(delay)
        ));
        cluster.kill(&victim).await
    };
    let both = async {
        let (answer, killed) = tokio::join!(answer, killing);
        killed?;
        answer
    };
    story.timed(both).await
}

/// What the generator counted, and the fingerprints of the undisturbed run.
fn expected(stage: &Stage, undisturbed: &RecordBatch) -> Result<Vec<Vec<Cell>>> {
    let edges = stage.facts.logs.edges.iter();
    Ok(edges
        .zip(cells(undisturbed)?)
        .map(|((edge, facts), mut row)| {
            let fingerprint = row.pop().unwrap_or(Cell::Null);
            vec![
                Cell::text(*edge),
                Cell::int(facts.all.rows),
                Cell::int(facts.all.bytes),
                fingerprint,
            ]
        })
        .collect())
}

/// The dead is missed, and another takes its place.
async fn aftermath(stage: &mut Stage) -> Result<()> {
    let waited = stage.cluster.wait_for_executors(&stage.session, EXECUTORS - 1);
    let ((), took) = stage.story.timed(waited).await?;
    let batch = stage.session.rows(EXECUTORS_NOW).await?;
    stage.story.rows(&batch)?;
    let victim = Cell::text(executor_name(VICTIM));
    let wrong = cells(&batch)?
        .iter()
        .any(|row| row[0] == victim)
        .then(|| "it is said to be alive".to_owned());
    stage
        .story
        .check(&format!("the dead executor is missed; {}", duration(took)), wrong);
    let ((), took) = {
        let story = &stage.story;
        let (cluster, session) = (&mut stage.cluster, &stage.session);
        story
            .timed(async {
                cluster.start_executor(VICTIM)?;
                cluster.wait_for_executors(session, EXECUTORS).await
            })
            .await?
    };
    stage.story.tell(format_args!(
        "A new process takes its name and its shards: joined after {}.",
        duration(took)
    ));
    Ok(())
}

async fn revive(stage: &mut Stage) -> Result<()> {
    stage.cluster.start_executor(VICTIM)?;
    stage.cluster.wait_for_executors(&stage.session, EXECUTORS).await
}

fn parts(count: i128) -> String {
    match count {
        1 => "1 part".to_owned(),
        count => format!("{count} parts"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_hashes_are_told_shortly() {
        assert!(fingerprints(2).contains("encode(sha512(sha512(request_id)), 'hex')"));
        assert_eq!(shortened(&fingerprints(2)), fingerprints(2));
        assert!(shortened(&fingerprints(9)).contains("encode(sha512(sha512(… 9 times …)), 'hex')"));
    }
}
