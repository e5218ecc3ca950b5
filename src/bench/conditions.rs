//! Under which conditions numbers were measured.

use serde_json::{Value, json};
use watershed_core::clock::SystemClock;

use super::Common;
use crate::processes::{Cluster, peak_memory};
use crate::show;

/// Machine, build and settings.
pub(super) fn conditions(common: &Common, cpus: usize) -> Value {
    json!({
        "measured_at": SystemClock::shared().now().to_rfc3339(),
        "machine": {
            "cpu": field("/proc/cpuinfo", "model name"),
            "cores": std::thread::available_parallelism().map_or(1, usize::from),
            "memory": field("/proc/meminfo", "MemTotal"),
            "system": std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| std::env::consts::OS.to_owned(), |text| text.trim().to_owned()),
        },
        "watershed": env!("CARGO_PKG_VERSION"),
        "datafusion": datafusion::DATAFUSION_VERSION,
        "build": build(),
        "settings": {
            "executors": common.executors,
            "threads": cpus,
            "memory_limit": common.memory_limit,
        },
    })
}

/// Says what numbers of this build are worth.
pub(super) fn warn_of_debug_build() {
    if cfg!(debug_assertions) {
        show::line("This is a debug build: its answers are checked, its times mean nothing.\n");
    }
}

const fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    }
}

/// The most memory that each process had, this one included.
pub(super) fn memory(cluster: &Cluster) -> Vec<(String, u64)> {
    let own = (String::from("bench"), std::process::id());
    cluster
        .pids()
        .into_iter()
        .chain([own])
        .filter_map(|(name, pid)| Some((name, peak_memory(pid)?)))
        .collect()
}

/// Tells it in one line.
pub(super) fn tell_memory(memory: &[(String, u64)]) {
    let parts: Vec<_> = memory
        .iter()
        .map(|(name, size)| format!("{name} {}", show::bytes(*size)))
        .collect();
    show::line(format_args!("Peak memory: {}", parts.join(", ")));
}

/// The same for JSON.
pub(super) fn memory_json(memory: &[(String, u64)]) -> Value {
    memory
        .iter()
        .map(|(name, size)| (name.clone(), json!(size)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start().trim_start_matches(':').trim().to_owned())
}
