//! Cold, then again after one file was appended: what is read, and how long it takes.

use std::time::Duration;

use serde_json::{Value, json};
use watershed_core::Result;
use watershed_core::clock::SystemClock;

use super::files::{Files, question};
use crate::answer::{cells, difference};
use crate::bench::median;
use crate::processes::{Ran, Session, ran};
use crate::show;

/// Questions of this part; those of others have other numbers.
const FIRST: u64 = 1_000;

struct Round {
    files: u64,
    cold: (Ran, Duration),
    refreshed: (Ran, Duration),
}

impl Round {
    fn bytes_share(&self) -> f64 {
        self.refreshed.0.bytes as f64 / self.cold.0.bytes as f64
    }

    /// Whether every executor has told what it read: one that is too busy is not waited for.
    fn is_counted(&self) -> bool {
        let told = |ran: &Ran| ran.fragments_cached + ran.fragments_run;
        let files = i128::from(self.files);
        // An append is a file of each who took part in it.
        told(&self.cold.0) >= files && told(&self.refreshed.0) > told(&self.cold.0)
    }

    fn speedup(&self) -> f64 {
        self.cold.1.as_secs_f64() / self.refreshed.1.as_secs_f64()
    }
}

pub(super) async fn run(
    session: &Session,
    files: &mut Files,
    rounds: u64,
    wrong: &mut Vec<String>,
) -> Result<Value> {
    let before = files.count();
    let mut measured = Vec::new();
    for number in FIRST..FIRST + rounds {
        let cold = ask(session, files, number, wrong).await?;
        files.append(session).await?;
        let refreshed = ask(session, files, number, wrong).await?;
        if cold.0.fragments_cached > 0 {
            wrong.push(format!("question {number} was not cold: {:?}", cold.0));
        }
        let round = Round {
            files: files.count() - 1,
            cold,
            refreshed,
        };
        show::line(format_args!(
            "cold {} and {}; after an append {} and {}: {:.3} % of the bytes, {:.0}× as fast",
            show::duration(round.cold.1),
            size(&round.cold.0),
            show::duration(round.refreshed.1),
            size(&round.refreshed.0),
            100.0 * round.bytes_share(),
            round.speedup(),
        ));
        measured.push(round);
    }
    let counted: Vec<_> = measured.iter().filter(|round| round.is_counted()).collect();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    let share = median(counted.iter().map(|round| round.bytes_share()).collect());
    let speedup = median(measured.iter().map(Round::speedup).collect());
    show::line(format_args!(
        "\n{} files, and one more: {:.3} % of the bytes are read, {speedup:.0}× as fast (medians of {rounds}; bytes of \
         the {} that all executors told of).\n",
        show::grouped(before),
        100.0 * share,
        counted.len(),
    ));
    Ok(json!({
        "rounds": measured.iter().map(|round| json!({
            "cold_ms": milliseconds(round.cold.1),
            "cold_bytes": bytes(&round.cold.0),
            "refresh_ms": milliseconds(round.refreshed.1),
            "refresh_bytes": bytes(&round.refreshed.0),
            "is_counted": round.is_counted(),
            "fragments_cached": i64::try_from(round.refreshed.0.fragments_cached).ok(),
            "fragments_run": i64::try_from(round.refreshed.0.fragments_run).ok(),
        })).collect::<Vec<_>>(),
        "median_bytes_share": share,
        "median_speedup": speedup,
    }))
}

async fn ask(
    session: &Session,
    files: &Files,
    number: u64,
    wrong: &mut Vec<String>,
) -> Result<(Ran, Duration)> {
    let sql = question(number);
    let clock = SystemClock::shared();
    let answer = session.rows(&sql).await?;
    let took = clock.elapsed();
    let difference = difference(&files.answer(number), &cells(&answer)?);
    wrong.extend(difference.map(|what| format!("{} files: {what}", files.count())));
    Ok((ran(session, &sql).await?, took))
}

fn bytes(ran: &Ran) -> u64 {
    u64::try_from(ran.bytes).unwrap_or_default()
}

fn size(ran: &Ran) -> String {
    show::bytes(bytes(ran))
}
