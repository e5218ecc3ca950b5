//! What the demo shows, chapter by chapter.

mod cache;
mod days;
mod killed;
mod layers;
mod load;
mod opening;
mod point;
mod queries;
mod scatter;
mod starved;

use watershed_core::Result;

use super::Stage;
use crate::show;

pub(super) use opening::opening;

/// Tells all chapters. What goes wrong in one is noted, and the next is told all the same.
pub(super) async fn play(stage: &mut Stage) -> Result<()> {
    load::define(stage).await?;
    load::load(stage).await?;
    let ended = layers::play(stage).await;
    note(stage, ended);
    let ended = scatter::play(stage).await;
    note(stage, ended);
    let ended = starved::play(stage).await;
    note(stage, ended);
    let ended = point::play(stage).await;
    note(stage, ended);
    let ended = days::play(stage).await;
    note(stage, ended);
    let ended = cache::play(stage).await;
    note(stage, ended);
    // Last, as it leaves the cluster changed.
    let ended = killed::play(stage).await;
    note(stage, ended);
    Ok(())
}

fn note(stage: &mut Stage, ended: Result<()>) {
    if let Err(error) = ended {
        stage.story.failed(&error);
    }
}

/// What to do now.
pub(super) fn farewell() {
    show::line(
        "
Try next:
  watershed dev --executors 3                 the same for yourself, kept in ./watershed-data
  watershed sql                               ask it: \\d lists the tables, EXPLAIN shows a plan
  watershed sql -c 'SELECT * FROM system.settings'
  watershed bench tpch --scale-factor 1       how fast this machine is, every answer checked
Any Flight SQL driver works too: ADBC for Python, JDBC, ODBC.",
    );
}
