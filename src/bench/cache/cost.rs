//! What it costs to keep fragments, where none is known yet: the same questions with and without.

use std::time::Duration;

use serde_json::{Value, json};
use watershed_core::Result;
use watershed_core::clock::SystemClock;

use super::files::{Files, question};
use crate::answer::{cells, difference};
use crate::bench::median;
use crate::processes::{Session, ran};
use crate::show;

/// Questions of this part; those of others have other numbers.
const FIRST: u64 = 30_000;

pub(super) async fn run(
    session: &Session,
    files: &Files,
    rounds: u64,
    wrong: &mut Vec<String>,
) -> Result<Value> {
    // Or what was asked first would answer what is asked next.
    session.update("SET watershed.result_cache = 'off'").await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for number in FIRST..FIRST + rounds {
        // Each of them is the first in every other round.
        for keeps in [number % 2 == 0, number % 2 != 0] {
            let took = ask(session, files, number, keeps, wrong).await?;
            let times = if keeps { &mut with } else { &mut without };
            times.push(took.as_secs_f64() * 1_000.0);
        }
    }
    for setting in ["result_cache", "fragment_cache"] {
        session.update(&format!("RESET watershed.{setting}")).await?;
    }
    let (off, on) = (median(without.clone()), median(with.clone()));
    show::line(format_args!(
        "A cold question takes {off:.0} ms where no fragment is kept and {on:.0} ms where they are: {:+.1} % (medians of \
         {rounds}).\n",
        100.0 * (on / off - 1.0),
    ));
    Ok(json!({
        "off_ms": without,
        "on_ms": with,
        "median_off_ms": off,
        "median_on_ms": on,
    }))
}

async fn ask(
    session: &Session,
    files: &Files,
    number: u64,
    keeps: bool,
    wrong: &mut Vec<String>,
) -> Result<Duration> {
    let setting = if keeps { "on" } else { "off" };
    session
        .update(&format!("SET watershed.fragment_cache = '{setting}'"))
        .await?;
    let sql = question(number);
    let clock = SystemClock::shared();
    let answer = session.rows(&sql).await?;
    let took = clock.elapsed();
    let difference = difference(&files.answer(number), &cells(&answer)?);
    wrong.extend(difference.map(|what| format!("fragments {setting}: {what}")));
    let ran = ran(session, &sql).await?;
    if ran.fragments_cached > 0 {
        wrong.push(format!("question {number} was not cold: {ran:?}"));
    }
    Ok(took)
}
