//! The documented view over speed and batch layer, its hole, and the exact view beside it.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use watershed_core::Result;

use super::opening::clock;
use crate::answer::{Cell, cells, difference};
use crate::demo::Stage;
use crate::demo::events::{METRICS, MetricFacts};
use crate::show::duration;

const METRIC: usize = 2;
/// A window may close, or midnight pass, while the question runs.
const TRIES: usize = 3;

pub(super) async fn play(stage: &mut Stage) -> Result<()> {
    let metric = METRICS[METRIC];
    let sql = format!(
        "WITH documented AS (
  SELECT CAST(window_start AS DATE) AS day, CAST(sum(metric_value) AS BIGINT) AS requests
  FROM unified_metrics WHERE metric_name = '{metric}' GROUP BY 1
), exact AS (
  SELECT CAST(window_start AS DATE) AS day, source, CAST(sum(metric_value) AS BIGINT) AS requests
  FROM unified_metrics_exact WHERE metric_name = '{metric}' GROUP BY 1, 2
)
SELECT exact.day, exact.source,
  documented.requests AS unified_metrics, exact.requests AS unified_metrics_exact
FROM exact LEFT JOIN documented ON exact.day = documented.day
ORDER BY exact.day"
    );
    let story = &mut stage.story;
    story.chapter("One view over the speed and the batch layer");
    story.tell(
        "The documented unified_metrics takes days before yesterday from the batch layer and the last hour from\n\
         the speed layer. Between them is a hole, from yesterday 00:00 to an hour ago. unified_metrics_exact\n\
         closes it: the speed layer speaks for every day that the batch layer has not done.",
    );
    story.sql(&sql);
    for attempt in 1..=TRIES {
        let before = expected(&stage.facts.metrics, clock().now());
        let (batch, took) = story.timed(stage.session.rows(&sql)).await?;
        let after = expected(&stage.facts.metrics, clock().now());
        if before != after && attempt < TRIES {
            continue;
        }
        story.rows(&batch)?;
        story.check(
            &format!("both views show what their definitions say; {}", duration(took)),
            difference(&after, &cells(&batch)?),
        );
        break;
    }
    Ok(())
}

/// What the question answers at a given time.
fn expected(facts: &MetricFacts, now: DateTime<Utc>) -> Vec<Vec<Cell>> {
    let yesterday = now
        .date_naive()
        .checked_sub_days(Days::new(1))
        .unwrap_or_default();
    let an_hour_ago = now - TimeDelta::hours(1);
    let is_done = |day: NaiveDate| facts.days.contains_key(&day);
    let documented = facts.by_day(METRIC, |window| window.end() > an_hour_ago, |day| day < yesterday);
    let exact = facts.by_day(METRIC, |window| !is_done(window.start.date_naive()), |_| true);
    exact
        .iter()
        .map(|(day, (_, requests))| {
            let source = if is_done(*day) { "batch" } else { "realtime" };
            let documented = documented
                .get(day)
                .map_or(Cell::Null, |(_, requests)| Cell::int(*requests as i64));
            vec![
                Cell::text(day.to_string()),
                Cell::text(source),
                documented,
                Cell::int(*requests as i64),
            ]
        })
        .collect()
}
