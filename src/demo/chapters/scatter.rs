//! A question that every shard has a part of the answer to.

use watershed_core::Result;

use super::queries::explained;
use crate::answer::{Cell, cells, difference};
use crate::demo::Stage;
use crate::demo::events::{EdgeFacts, quantile};
use crate::processes::ran;
use crate::show::duration;

const SQL: &str = "SELECT cdn_edge_location,
  count(*) AS requests,
  sum(bytes_transferred) AS bytes,
  avg(response_time_ms) AS average_ms,
  approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY response_time_ms) AS p95_ms
FROM cdn_logs
GROUP BY cdn_edge_location
ORDER BY cdn_edge_location";

const SHARDS: &str = "SELECT owner, count(*) AS shards
FROM system.shards
WHERE table_name = 'cdn_logs'
GROUP BY owner
ORDER BY owner";

pub(super) async fn play(stage: &mut Stage) -> Result<()> {
    let story = &mut stage.story;
    let session = &stage.session;
    story.chapter("Scatter and gather: how do the edges do?");
    story.tell("cdn_logs lies in 16 shards by user_id, each owned by an executor:");
    let owners = session.rows(SHARDS).await?;
    story.rows(&owners)?;
    let total: i128 = cells(&owners)?
        .iter()
        .map(|row| match row.get(1) {
            Some(Cell::Number { digits, .. }) => *digits,
            _ => 0,
        })
        .sum();
    story.check(
        "all 16 have an owner",
        (total != 16).then(|| format!("{total} have")),
    );
    story.tell("");
    story.tell("Every executor aggregates the shards it owns; the scheduler puts the parts together:");
    story.sql(SQL);
    // However few rows there are: small ones are otherwise answered by the scheduler alone.
    session.update("SET watershed.execution = 'pipelined'").await?;
    let (batch, took) = story.timed(session.rows(SQL)).await?;
    story.rows(&batch)?;
    for line in explained(session, SQL).await? {
        story.tell(line);
    }
    let ran = ran(session, SQL).await?;
    story.tell(&ran);
    let mut found = cells(&batch)?;
    let percentiles: Vec<Cell> = found.iter_mut().filter_map(Vec::pop).collect();
    let edges = &stage.facts.logs.edges;
    story.check(
        &format!(
            "the numbers are those counted while the rows were made; {}",
            duration(took)
        ),
        difference(&expected(edges.iter()), &found),
    );
    let wrong = edges
        .iter()
        .zip(&percentiles)
        .find(|((_, facts), found)| !is_about(&facts.histogram, found))
        .map(|((edge, facts), found)| {
            format!(
                "{edge} has {found:?}, exactly it is {}",
                quantile(&facts.histogram, 0.95)
            )
        });
    story.check(
        "the approximate 95th percentiles lie where the exact ones do, to a hundredth of the rows",
        wrong,
    );
    let elsewhere = (ran.execution != "gather").then(|| format!("it was {:?}", ran.execution));
    story.check("it was gathered from the executors", elsewhere);
    session.update("SET watershed.execution = 'auto'").await?;
    Ok(())
}

fn expected<'a>(edges: impl Iterator<Item = (&'a &'static str, &'a EdgeFacts)>) -> Vec<Vec<Cell>> {
    edges
        .map(|(edge, facts)| {
            vec![
                Cell::text(*edge),
                Cell::int(facts.all.rows),
                Cell::int(facts.all.bytes),
                Cell::Float(facts.all.response_ms as f64 / facts.all.rows as f64),
            ]
        })
        .collect()
}

fn is_about(histogram: &[u64], found: &Cell) -> bool {
    let found = match found {
        Cell::Number { digits, .. } => *digits as f64,
        Cell::Float(value) => *value,
        Cell::Null | Cell::Text(_) => return false,
    };
    // A hundredth of the ranks; where there are few, three of them.
    let slack = (3.0 / histogram.iter().sum::<u64>() as f64).max(0.01);
    let exact = |share: f64| quantile(histogram, share.min(1.0)) as f64;
    (exact(0.95 - slack)..=exact(0.95 + slack)).contains(&found)
}
