//! How much of the processors a process has used.

use std::time::Duration;

/// Ticks in a second, as Linux tells them to programs.
const TICKS_PER_SECOND: u64 = 100;

/// The processor time of a process so far. None where the system does not tell.
pub(crate) fn processor_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    ticks(&stat).map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// User and kernel mode together: the 12th and 13th fields after `PID (NAME)`, where NAME may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

#[test]
fn names_of_processes_do_not_mislead() {
    let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 1 0";
    assert_eq!(ticks(stat), Some(42));
    assert_eq!(ticks("7 (a) S 1"), None);
}
