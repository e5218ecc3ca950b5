//! A question about one user, who lives in one shard.

use watershed_core::Result;
use watershed_core::shard::shard_of_i64;

use crate::answer::{Cell, cells, difference};
use crate::demo::Stage;
use crate::processes::ran;
use crate::show::duration;

const SHARDS: u32 = 16;
/// Somebody who does much, but is not the busiest.
const RANK: usize = 40;

pub(super) async fn play(stage: &mut Stage) -> Result<()> {
    let user = stage.world.user_of_rank(RANK);
    let story = &mut stage.story;
    let session = &stage.session;
    story.chapter("Ask about one person: one shard of sixteen is read");
    let map = format!("SELECT user_id, shard_id, shard_host FROM user_shard_map WHERE user_id = {user}");
    story.sql(&map);
    let batch = session.rows(&map).await?;
    story.rows(&batch)?;
    let found = cells(&batch)?.first().and_then(|row| row.get(1)).cloned();
    let shard = shard_of_i64(user, SHARDS);
    let wrong = (found != Some(Cell::int(shard))).then(|| format!("it is {shard}"));
    story.check("the map names the shard that the hash gives", wrong);

    let sql = format!(
        "SELECT count(*) AS requests, sum(bytes_transferred) AS bytes, avg(response_time_ms) AS average_ms
FROM cdn_logs
WHERE user_id = {user}"
    );
    story.tell("");
    story.sql(&sql);
    let (batch, first) = story.timed(session.rows(&sql)).await?;
    let ran = ran(session, &sql).await?;
    let (again, second) = story.timed(session.rows(&sql)).await?;
    story.rows(&batch)?;
    story.tell(format_args!(
        "{ran}; {} the first time, {} the second, {}",
        duration(first),
        duration(second),
        match ran.execution.as_str() {
            "local" => "in the scheduler as it is so little".to_owned(),
            other => format!("by {other}"),
        }
    ));
    let expected = match stage.facts.logs.users.get(&user) {
        Some(user) => vec![
            Cell::int(user.rows),
            Cell::int(user.bytes),
            Cell::Float(user.response_ms as f64 / user.rows as f64),
        ],
        None => vec![Cell::int(0), Cell::Null, Cell::Null],
    };
    let expected = [expected];
    story.check("the numbers are right", difference(&expected, &cells(&batch)?));
    story.check("and again", difference(&expected, &cells(&again)?));
    let wrong =
        (ran.shards != (1, i128::from(SHARDS))).then(|| format!("{} of {}", ran.shards.0, ran.shards.1));
    story.check("one shard of sixteen was read", wrong);
    Ok(())
}
