//! One appends while others ask, caches are emptied, and executors die: every answer is that of a version,
//! not older than what was acknowledged before it was asked for, and no reader sees time go back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::processes::Processes;
use crate::harness::Session;

const READERS: u64 = 3;
const ROWS: u64 = 2_000;

/// The questions that every reader asks in turn: how many rows, their sum, and the newest batch.
const QUESTIONS: [&str; 3] = [
    "SELECT count(*), sum(n), max(batch) FROM stream",
    "SELECT sum(rows), sum(total), max(batch) FROM (SELECT batch, count(*) AS rows, sum(n) AS total FROM stream GROUP BY batch)",
    "SELECT count(*), sum(n), max(batch) FROM stream WHERE batch >= 0",
];

/// Rows, and the sum of `n`, once so many batches are there.
fn expected(batches: u64) -> [String; 3] {
    let rows = batches * ROWS;
    [rows, rows * (rows + 1) / 2, batches - 1].map(|number| number.to_string())
}

fn batch(number: u64) -> String {
    format!(
        "INSERT INTO stream SELECT value, {number} FROM generate_series({}, {}) AS s(value)",
        number * ROWS + 1,
        (number + 1) * ROWS
    )
}

pub fn run(seed: u64, batches: u64) {
    eprintln!("seed {seed}");
    let mut processes = Processes::start(2);
    let mut writer = Session::open(processes.flight());
    writer.run("CREATE TABLE stream (n BIGINT, batch BIGINT) CLUSTERED BY (n) INTO 4 BUCKETS");
    writer.run(&batch(0));
    let (committed, done) = (AtomicU64::new(1), AtomicBool::new(false));
    let url = processes.flight().to_owned();
    let url = url.as_str();
    thread::scope(|scope| {
        for number in 0..READERS {
            let (committed, done) = (&committed, &done);
            scope.spawn(move || read(url, seed + number, committed, done));
        }
        // However this ends, the readers do.
        let _end = SetOnDrop(&done);
        let mut random = StdRng::seed_from_u64(seed);
        for number in 1..=batches {
            writer.run(&batch(number));
            committed.store(number + 1, Ordering::SeqCst);
            match random.random_range(0..8) {
                0 => {
                    writer.run("DELETE FROM distributed_query_cache");
                }
                1 => {
                    let number = random.random_range(0..2);
                    processes.kill(number);
                    processes.revive(number);
                }
                _ => thread::sleep(Duration::from_millis(random.random_range(0..300))),
            }
        }
    });
    let last = expected(batches + 1);
    for sql in QUESTIONS {
        assert_eq!(writer.rows(sql), [last.as_slice()], "{sql}");
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn read(url: &str, seed: u64, committed: &AtomicU64, done: &AtomicBool) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut session = Session::open(url);
    if random.random_bool(0.5) {
        session.run("SET watershed.execution = 'pipelined'");
    }
    let mut seen = 0;
    while !done.load(Ordering::SeqCst) {
        let acknowledged = committed.load(Ordering::SeqCst);
        let sql = QUESTIONS[random.random_range(0..QUESTIONS.len())];
        let rows = session.rows(sql);
        let [row] = rows.as_slice() else {
            panic!("one row was expected, not {rows:?}")
        };
        let batches = row[2].parse::<u64>().expect("a number") + 1;
        assert_eq!(
            *row,
            expected(batches),
            "no version has this; WATERSHED_TEST_SEED={seed}: {sql}"
        );
        assert!(
            batches >= acknowledged.max(seen),
            "{batches} batches, but {acknowledged} were acknowledged and {seen} seen; WATERSHED_TEST_SEED={seed}: {sql}"
        );
        seen = batches;
    }
}
