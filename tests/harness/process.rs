//! Processes and time, as a test sees them.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Sends a signal, such as `KILL`, `STOP` or `CONT`. A process that is gone already is no mistake.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("sh")
        .args([
            "-c",
            "kill -s \"$1\" \"$2\" 2>/dev/null || true",
            "sh",
            name,
            &pid.to_string(),
        ])
        .status()
        .expect("sh can be started");
    assert!(status.success(), "kill -s {name} {pid}: {status}");
}

/// Whether a process runs. One that ended and was not waited for does not.
pub fn alive(pid: u32) -> bool {
    // "PID (NAME) STATE …", where NAME may hold anything, parentheses included.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with('Z')))
        .is_some_and(|zombie| !zombie)
}

/// The processor time that a process has used so far, in hundredths of a second.
pub fn processor_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // Of those after the name, the 12th and 13th: in user mode, and in the kernel.
    let (_, fields) = stat.rsplit_once(") ").expect("PID (NAME) STATE …");
    let fields: Vec<_> = fields.split(' ').collect();
    fields[11..13]
        .iter()
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum()
}

/// The memory that a process holds, in KiB.
pub fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.trim().strip_suffix(" kB"));
    resident
        .expect("the process holds memory")
        .trim()
        .parse()
        .unwrap()
}

/// Waits until `condition` holds, and says whether it did in time.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
}

/// How often something is tried: `WATERSHED_TEST_STEPS`, or without it a number that does not take long.
pub fn steps(few: u64) -> u64 {
    std::env::var("WATERSHED_TEST_STEPS").map_or(few, |steps| steps.parse().expect("a number"))
}
