//! Cached answers are fresh ones: a long walk of random steps over tables that change in every way they can,
//! by us and by another writer, while caches are emptied and processes killed. Each question is asked with
//! caches and without, at the same versions, and the answers have to be the same.
//!
//! One that fails prints its seed and its last steps; `WATERSHED_TEST_SEED` repeats it, and
//! `WATERSHED_TEST_STEPS` makes it long.

mod ask;
mod foreign;
mod processes;
mod questions;
mod readers;
mod tables;
mod walk;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::harness::steps;

/// Steps of a walk; `WATERSHED_TEST_STEPS` makes it more.
const STEPS: u64 = 220;
/// A slow machine walks less far.
const BUDGET: Duration = Duration::from_secs(75);

fn seed() -> u64 {
    match std::env::var("WATERSHED_TEST_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
    }
}

#[test]
fn cached_answers_are_fresh_ones() {
    // Who asks for steps gets all of them.
    let asked = std::env::var_os("WATERSHED_TEST_STEPS").is_some();
    walk::run(seed(), steps(STEPS), (!asked).then_some(BUDGET));
}

/// While rows are appended, every answer is that of some version, none older than what was acknowledged.
#[test]
fn cached_counts_never_go_back() {
    readers::run(seed(), steps(30));
}
