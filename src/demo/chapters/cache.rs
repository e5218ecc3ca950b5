//! The same question again and again: what was computed is kept, and never answers for what has changed.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use watershed_core::partial::Partial;
use watershed_core::{Error, Result};

use crate::answer::{Cell, cells, difference};
use crate::demo::Stage;
use crate::demo::events::Totals;
use crate::processes::{Ran, executor_name, ran};
use crate::show::{self, bytes, duration};

const STOPPED: usize = 2;
const DEADLINE: Duration = Duration::from_millis(500);
/// What an answer may come later than its deadline.
const GRACE: Duration = Duration::from_millis(100);
/// An invalidation has reached every cache long before.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

const BY_DAY: &str =
    "SELECT CAST(request_ts AS DATE) AS day, count(*) AS requests, sum(bytes_transferred) AS bytes
FROM watched
GROUP BY 1
ORDER BY 1";

/// The same question to the planner, though hardly a word is the same.
const RESPELLED: &str = "select cast(w.request_ts as date) as on_day, COUNT(*) requests, /* again */ \
                         sum(w.bytes_transferred) total from watched w group by 1 order by 1";

/// One that was not asked before; the columns are the same, so that the answer can be checked.
const OTHER: &str =
    "SELECT CAST(request_ts AS DATE) AS day, count(request_ts) AS requests, sum(bytes_transferred) AS bytes
FROM watched
WHERE user_id > 0
GROUP BY 1
ORDER BY 1";

const CACHED: &str = "SELECT left(query_hash, 12) AS query_hash, completed_shards, total_shards, created_at,
  left(CAST(results AS STRING), 48) AS results
FROM distributed_query_cache
ORDER BY created_at DESC
LIMIT 5";

/// What a step came to.
struct Step {
    title: &'static str,
    answer: RecordBatch,
    took: Duration,
    /// What it lacks.
    partial: Option<Partial>,
    ran: Ran,
}

pub(super) async fn play(stage: &mut Stage) -> Result<()> {
    stage
        .story
        .chapter("Ask again: what was computed is kept, and never answers for what has changed");
    let mut days = stage.facts.logs.days.clone();
    let prepared = prepare(stage).await;
    let played = match prepared {
        Ok(()) => steps(stage, &mut days).await,
        Err(error) => Err(error),
    };
    // Whatever became of it, others find the cluster as it was.
    stage.cluster.resume(&executor_name(STOPPED))?;
    for setting in [
        "watershed.execution",
        "watershed.partial_results",
        "watershed.deadline",
    ] {
        stage.session.update(&format!("RESET {setting}")).await?;
    }
    played
}

async fn prepare(stage: &Stage) -> Result<()> {
    let session = &stage.session;
    for sql in [
        "CREATE TABLE watched (request_id STRING, user_id BIGINT, bytes_transferred BIGINT, request_ts TIMESTAMP) \
         CLUSTERED BY (user_id) INTO 16 BUCKETS",
        "INSERT INTO watched SELECT request_id, user_id, bytes_transferred, request_ts FROM cdn_logs",
        // However few rows there are: small ones are otherwise answered by the scheduler alone.
        "SET watershed.execution = 'pipelined'",
    ] {
        session.update(sql).await?;
    }
    Ok(())
}

async fn steps(stage: &mut Stage, days: &mut BTreeMap<NaiveDate, Totals>) -> Result<()> {
    stage
        .story
        .tell("A copy of the logs, in 16 shards, and a question:");
    stage.story.sql(BY_DAY);
    let cold = ask(stage, "cold", BY_DAY).await?;
    let warm = ask(stage, "asked in other words", RESPELLED).await?;
    let wrong =
        (!warm.ran.is_full_hit()).then(|| format!("it was {:?}: {}", warm.ran.cache, warm.ran.cache_reason));
    stage
        .story
        .check("spelled otherwise, it is the same question", wrong);
    check(stage, &[&cold, &warm], days);

    let appended = append(stage, days).await?;
    stage
        .story
        .tell(format_args!("One row is appended, to one shard:\n{appended}"));
    let after = ask(stage, "after the append", BY_DAY).await?;
    check(stage, &[&after], days);
    let too_much = (after.ran.bytes * 4 > cold.ran.bytes)
        .then(|| format!("{} of {} bytes were", after.ran.bytes, cold.ran.bytes));
    stage.story.check("only what is new was read", too_much);

    let (partial, completed) = partial(stage, days).await?;

    invalidate(stage).await?;
    let again = ask(stage, "after an invalidation", BY_DAY).await?;
    let wrong = (again.ran.cache != "miss" || again.ran.fragments_cached > 0)
        .then(|| format!("it was {:?}: {}", again.ran.cache, again.ran.cache_reason));
    stage.story.check("what was invalidated is computed anew", wrong);
    check(stage, &[&again], days);

    tell(&[&cold, &warm, &after, &partial, &completed, &again]);
    stage.story.tell("");
    stage.story.sql(CACHED);
    let cached = stage.session.rows(CACHED).await?;
    stage.story.rows(&cached)?;
    let none = (cached.num_rows() == 0).then(|| "there are none".to_owned());
    stage.story.check("its answers can be seen", none);
    Ok(())
}

async fn ask(stage: &Stage, title: &'static str, sql: &str) -> Result<Step> {
    let ((answer, partial), took) = stage.story.timed(stage.session.answer(sql)).await?;
    let ran = ran(&stage.session, sql).await?;
    Ok(Step {
        title,
        answer,
        took,
        partial,
        ran,
    })
}

fn check(stage: &mut Stage, steps: &[&Step], days: &BTreeMap<NaiveDate, Totals>) {
    let expected: Vec<_> = days
        .iter()
        .map(|(day, totals)| {
            vec![
                Cell::text(day.to_string()),
                Cell::int(totals.rows),
                Cell::int(totals.bytes),
            ]
        })
        .collect();
    for step in steps {
        let wrong = match cells(&step.answer) {
            Ok(found) => difference(&expected, &found),
            Err(error) => Some(error.to_string()),
        };
        stage
            .story
            .check(&format!("{}: the numbers are right", step.title), wrong);
    }
}

/// Appends a row, and counts it.
async fn append(stage: &Stage, days: &mut BTreeMap<NaiveDate, Totals>) -> Result<String> {
    let (day, user) = (stage.world.yesterday(), stage.world.user_of_rank(0));
    let sql = format!("INSERT INTO watched VALUES ('appended', {user}, 1000, TIMESTAMP '{day} 12:00:00')");
    stage.session.update(&sql).await?;
    let totals = days.entry(day).or_default();
    totals.rows += 1;
    totals.bytes += 1_000;
    Ok(sql)
}

/// One executor stops answering: what the others have is answered in time; later only the rest is computed.
async fn partial(stage: &mut Stage, days: &BTreeMap<NaiveDate, Totals>) -> Result<(Step, Step)> {
    let victim = executor_name(STOPPED);
    stage.story.tell("");
    stage.story.tell(format_args!(
        "Another question, while {victim} is stopped (SIGSTOP), and half a second for it:"
    ));
    stage.story.sql(&format!(
        "SET watershed.partial_results = 'allow';\nSET watershed.deadline = '500ms';\n{OTHER}"
    ));
    for setting in [
        "watershed.partial_results = 'allow'",
        "watershed.deadline = '500ms'",
    ] {
        stage.session.update(&format!("SET {setting}")).await?;
    }
    stage.cluster.suspend(&victim)?;
    let partial = ask(stage, "one executor stopped", OTHER).await;
    stage.cluster.resume(&victim)?;
    let partial = partial?;
    let told = partial.partial.as_ref();
    stage.story.tell(told.map(Partial::warning).unwrap_or_default());
    stage.story.sql(CACHED);
    let cached = stage.session.rows(CACHED).await?;
    stage.story.rows(&cached)?;
    let late = (partial.took > DEADLINE + GRACE).then(|| format!("it came after {}", duration(partial.took)));
    let wrong = match told {
        Some(told) if told.completed_shards > 0 => late,
        Some(_) => Some("no shard is in it".to_owned()),
        None => Some("it does not say so".to_owned()),
    };
    stage.story.check(
        &format!("a part of the answer, which says so; {}", duration(partial.took)),
        wrong,
    );

    stage.session.update("RESET watershed.deadline").await?;
    let completed = ask(stage, "and once it goes on", OTHER).await?;
    check(stage, &[&completed], days);
    let anew = (completed.ran.shards_reused != partial.ran.shards_completed)
        .then(|| format!("{} shards were reused", completed.ran.shards_reused));
    stage.story.check("only the missing shards were computed", anew);
    Ok((partial, completed))
}

/// Everything about the table is forgotten, on every node.
async fn invalidate(stage: &Stage) -> Result<()> {
    let sql = "INSERT INTO cache_invalidation_events (event_id, cache_key, invalidation_reason)
VALUES ('demo', 'watched', 'to show it')";
    stage.story.tell("");
    stage.story.sql(sql);
    stage.session.update(sql).await?;
    let processed =
        "SELECT count(*) FROM cache_invalidation_events WHERE event_id = 'demo' AND processed_at IS NOT NULL";
    let done = async {
        while stage.session.number(processed).await? == 0 {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, done)
        .await
        .unwrap_or_else(|_| Err(Error::internal("an invalidation is not processed")))
}

fn tell(steps: &[&Step]) {
    let rows: Vec<_> = steps
        .iter()
        .map(|Step { title, took, ran, .. }| {
            let size = |count: i128| bytes(u64::try_from(count).unwrap_or_default());
            vec![
                (*title).to_owned(),
                duration(*took),
                size(ran.bytes),
                size(ran.bytes_cached),
                // A cached answer says how many it is made of.
                format!(
                    "{}/{}",
                    ran.shards_completed,
                    ran.shards.1.max(ran.shards_completed)
                ),
                ran.cache.clone(),
            ]
        })
        .collect();
    show::line("");
    show::table(
        &["step", "time", "read", "cached", "shards", "cache"],
        &rows,
        &[false, true, true, true, true, false],
        "   ",
    );
}
