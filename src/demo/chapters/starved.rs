//! A question over two tables with the same shard key.

use watershed_core::Result;

use super::queries::explained;
use crate::answer::{Cell, cells, difference};
use crate::demo::Stage;
use crate::processes::ran;
use crate::show::{duration, grouped};

const SQL: &str = "SELECT cdn_edge_location,
  count(*) AS requests,
  avg(response_time_ms) AS average_ms
FROM cdn_logs
WHERE user_id IN (
  SELECT user_id FROM playback_quality_decisions WHERE buffer_health_seconds = 0
)
GROUP BY cdn_edge_location
ORDER BY cdn_edge_location";

const DEVICES: &str = "SELECT device_type,
  count(*) AS decisions,
  sum(selected_bitrate_kbps) AS bitrate_kbps,
  sum(connection_speed_mbps) AS speed_mbps
FROM playback_quality_decisions
GROUP BY device_type
ORDER BY device_type";

pub(super) async fn play(stage: &mut Stage) -> Result<()> {
    let playback = &stage.facts.playback;
    let story = &mut stage.story;
    let session = &stage.session;
    story.chapter("Two tables: which edges serve the people whose player ran empty?");
    story.tell(format_args!(
        "{} people had an empty buffer at least once.",
        grouped(playback.starved_users.len() as i128)
    ));
    story.sql(SQL);
    session.update("SET watershed.execution = 'pipelined'").await?;
    let (batch, took) = story.timed(session.rows(SQL)).await?;
    story.rows(&batch)?;
    for line in explained(session, SQL).await? {
        story.tell(line);
    }
    let ran = ran(session, SQL).await?;
    let starved = stage
        .facts
        .logs
        .edges
        .iter()
        .filter(|(_, edge)| edge.starved.rows > 0);
    let expected: Vec<Vec<Cell>> = starved
        .map(|(name, edge)| {
            let average = edge.starved.response_ms as f64 / edge.starved.rows as f64;
            vec![
                Cell::text(*name),
                Cell::int(edge.starved.rows),
                Cell::Float(average),
            ]
        })
        .collect();
    story.check(
        &format!("the numbers are right; {} by {}", duration(took), ran.execution),
        difference(&expected, &cells(&batch)?),
    );
    let expected: Vec<Vec<Cell>> = playback
        .devices
        .iter()
        .map(|(device, facts)| {
            vec![
                Cell::text(*device),
                Cell::int(facts.rows),
                Cell::int(facts.bitrate_kbps),
                Cell::Float(facts.speed_mbps),
            ]
        })
        .collect();
    let found = cells(&session.rows(DEVICES).await?)?;
    story.check(
        "so are the sums over all playback decisions",
        difference(&expected, &found),
    );
    session.update("SET watershed.execution = 'auto'").await?;
    Ok(())
}
