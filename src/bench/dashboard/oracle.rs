//! Whether answers were right. Each says when it was asked and which event was the newest in it; as events come
//! in order of time and none is ever changed, the same query over the events up to that one has the same rows,
//! whatever came later. That is asked without caches.

use chrono::{DateTime, SecondsFormat, Utc};
use watershed_core::{Error, Result};

use super::replay::Sample;
use crate::answer::{Cell, cells, difference, sorted};
use crate::processes::Cluster;

#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) answers: usize,
    /// Answers without rows tell nothing.
    pub(super) empty: usize,
    pub(super) wrong: Vec<String>,
}

pub(super) async fn check(cluster: &Cluster, samples: Vec<Sample>) -> Result<Checked> {
    let session = cluster.session().await?;
    session.without_caches().await?;
    let mut checked = Checked::default();
    for Sample { panel, answer } in samples {
        let mut found = cells(&answer)?;
        let Some((asked, newest)) = bounds(&mut found)? else {
            checked.empty += 1;
            continue;
        };
        checked.answers += 1;
        let sql = panel.as_of(&asked, &newest);
        let mut right = cells(&session.rows(&sql).await?)?;
        bounds(&mut right)?;
        let difference = difference(&sorted(right), &sorted(found));
        checked
            .wrong
            .extend(difference.map(|what| format!("{what}, for {sql}")));
    }
    Ok(checked)
}

/// When it was asked, the last column, which is taken away, and the newest event in it, the one before. Both
/// as SQL writes them.
fn bounds(rows: &mut [Vec<Cell>]) -> Result<Option<(String, String)>> {
    let mut bounds: Option<(Instant, Instant)> = None;
    for row in rows {
        let (Some(asked), Some(newest)) =
            (row.pop().and_then(instant), row.last().cloned().and_then(instant))
        else {
            return Err(Error::internal(format!("instants are missing in {row:?}")));
        };
        bounds = Some((asked, bounds.map_or(newest, |(_, before)| before.max(newest))));
    }
    Ok(bounds.map(|(asked, newest)| (written(asked), written(newest))))
}

type Instant = DateTime<Utc>;

fn instant(cell: Cell) -> Option<Instant> {
    match cell {
        Cell::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn written(instant: Instant) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_event_bounds_an_answer() {
        let row = |newest: &str| {
            let at = |time: &str| Cell::text(format!("2026-01-01T{time}Z"));
            vec![Cell::int(1), at(newest), at("12:00:00")]
        };
        assert_eq!(bounds(&mut []).unwrap(), None);
        let mut rows = [row("11:59:01.5"), row("11:59:01"), row("11:57:00")];
        let expected = ["12:00:00.000000", "11:59:01.500000"].map(|time| format!("2026-01-01T{time}Z"));
        let [asked, newest] = expected;
        assert_eq!(bounds(&mut rows).unwrap(), Some((asked, newest)));
        assert_eq!(rows[0].len(), 2);
        assert!(bounds(&mut [vec![Cell::Null]]).is_err());
    }
}
