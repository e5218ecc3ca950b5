//! A question about one day, which lies in one partition.

use watershed_core::Result;

use crate::answer::{Cell, cells, difference};
use crate::demo::Stage;
use crate::processes::ran;
use crate::show::duration;

pub(super) async fn play(stage: &mut Stage) -> Result<()> {
    let day = stage.world.yesterday();
    let next = day.succ_opt().unwrap_or(day);
    let by_partition = format!(
        "SELECT count(*) AS requests, sum(bytes_transferred) AS bytes
FROM cdn_logs
WHERE dt = DATE '{day}'"
    );
    let by_time = format!(
        "SELECT count(*) AS requests, sum(bytes_transferred) AS bytes
FROM cdn_logs
WHERE request_ts >= TIMESTAMP '{day} 00:00:00' AND request_ts < TIMESTAMP '{next} 00:00:00'"
    );
    let totals = stage.facts.logs.days.get(&day).cloned().unwrap_or_default();
    let expected = [vec![Cell::int(totals.rows), Cell::int(totals.bytes)]];
    let story = &mut stage.story;
    let session = &stage.session;
    story.chapter("Ask about one day: other days' files are not opened");
    story.tell(
        "dt was not given when the rows came in: it is the day of request_ts. So both of these prune it:",
    );
    for sql in [&by_partition, &by_time] {
        story.sql(sql);
        let (batch, took) = story.timed(session.rows(sql)).await?;
        story.rows(&batch)?;
        let ran = ran(session, sql).await?;
        let (read, all) = ran.files;
        let wrong = difference(&expected, &cells(&batch)?)
            .or_else(|| (read == 0 || read >= all).then(|| format!("{read} of {all} files were read")));
        story.check(
            &format!("right, from {read} of {all} files; {}", duration(took)),
            wrong,
        );
    }
    Ok(())
}
