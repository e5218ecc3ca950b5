//! What is printed and written of a run.

use std::time::Duration;

use serde_json::{Value, json};
use watershed_core::Result;

use super::DashboardOptions;
use super::history::History;
use super::oracle::Checked;
use super::peers::Replay;
use crate::bench::{conditions, percentile};
use crate::show;

const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];

/// Everything but whether it was right.
pub(super) struct Measured {
    pub(super) took: Duration,
    pub(super) ingested: u64,
    /// Sorted.
    pub(super) latencies: Vec<f64>,
    pub(super) refused: u64,
    pub(super) failed: Vec<String>,
    pub(super) history: History,
    pub(super) processors: Vec<(String, Duration)>,
    pub(super) memory: Vec<(String, u64)>,
}

impl Measured {
    fn ingest_rate(&self) -> f64 {
        self.ingested as f64 / self.took.as_secs_f64()
    }

    fn cores(&self) -> impl Iterator<Item = (&str, f64)> {
        self.processors
            .iter()
            .map(|(name, time)| (name.as_str(), time.as_secs_f64() / self.took.as_secs_f64()))
    }

    pub(super) fn tell(&self, options: &DashboardOptions) {
        let times =
            SHARES.map(|(name, share)| format!("{name} {:.1} ms", percentile(&self.latencies, share)));
        show::line(format_args!(
            "\n{} refreshes of {} queries by {} viewers in {}, {} events a second ingested beside.",
            show::grouped(self.latencies.len() as i128),
            options.queries,
            options.viewers,
            show::duration(self.took),
            show::grouped(self.ingest_rate() as i64),
        ));
        show::line(format_args!("From when each was due: {}.", times.join(", ")));
        if self.refused > 0 {
            show::line(show::alarm(&format!(
                "This machine does not keep up: {} more were refused, as too much ran already.",
                show::grouped(i128::from(self.refused))
            )));
        }
        let history = &self.history;
        show::line(format_args!(
            "{:.1} % were answered wholly or in part from caches ({} wholly, {} in part, of {} seen); {:.1} % of \
             the bytes came from caches.",
            100.0 * history.hit_share(),
            show::grouped(history.full_hits),
            show::grouped(history.partial_hits),
            show::grouped(history.seen),
            100.0 * history.byte_share(),
        ));
        let cores: Vec<_> = self
            .cores()
            .map(|(name, cores)| format!("{name} {cores:.2}"))
            .collect();
        show::line(format_args!("Cores in use: {}.", cores.join(", ")));
        conditions::tell_memory(&self.memory);
        for failed in self.failed.iter().take(3) {
            show::line(show::alarm(&format!("FAILED: {failed}")));
        }
    }

    fn json(&self) -> Value {
        let history = &self.history;
        json!({
            "seconds": self.took.as_secs_f64(),
            "refreshes": self.latencies.len(),
            "refused": self.refused,
            "failed": self.failed.len(),
            "milliseconds_from_due": percentiles(&self.latencies),
            "events_per_second": self.ingest_rate(),
            "hit_share": history.hit_share(),
            "byte_share": history.byte_share(),
            "full_hits": history.full_hits,
            "partial_hits": history.partial_hits,
            "listed": history.seen,
            "decisions": history.decisions,
            "bytes_cached": history.bytes_cached,
            "bytes_scanned": history.bytes_scanned,
            "fragments_cached": history.fragments_cached,
            "fragments_run": history.fragments_run,
            "cores": self.cores().map(|(name, cores)| (name.to_owned(), json!(cores)))
                .collect::<serde_json::Map<_, _>>(),
            "memory_peak_bytes": conditions::memory_json(&self.memory),
        })
    }
}

fn percentiles(sorted: &[f64]) -> Value {
    SHARES
        .iter()
        .map(|(name, share)| ((*name).to_owned(), json!(percentile(sorted, *share))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

pub(super) fn tell_checks(checked: &Checked) {
    show::line(format_args!(
        "\n{} answers were asked for once more without caches: {} wrong ({} were empty).",
        checked.answers,
        checked.wrong.len(),
        checked.empty
    ));
    for wrong in checked.wrong.iter().take(10) {
        show::line(show::alarm(&format!("WRONG: {wrong}")));
    }
}

pub(super) fn tell_peers(peers: &[Replay]) {
    for peer in peers {
        match &peer.outcome {
            Ok(outcome) => show::line(format_args!("{}: {}", peer.name, told(outcome))),
            Err(cause) => show::line(show::alarm(&format!("{} failed: {cause}", peer.name))),
        }
    }
}

/// What a peer's script found.
fn told(outcome: &Value) -> String {
    let number = |path: &str| outcome.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    format!(
        "{:.0} of {:.0} refreshes in time; from when each was due: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms; without \
         waiting: p50 {:.1} ms, p90 {:.1} ms",
        number("/done"),
        number("/due"),
        number("/milliseconds_from_due/p50"),
        number("/milliseconds_from_due/p90"),
        number("/milliseconds_from_due/p99"),
        number("/milliseconds_running/p50"),
        number("/milliseconds_running/p90"),
    )
}

pub(super) fn write(
    options: &DashboardOptions,
    measured: &Measured,
    checked: &Checked,
    peers: &[Replay],
) -> Result<()> {
    let common = &options.common;
    let peers = peers.iter().map(|peer| {
        let outcome = match &peer.outcome {
            Ok(outcome) => outcome.clone(),
            Err(cause) => json!({ "failed": cause }),
        };
        (peer.name.to_owned(), outcome)
    });
    common.write_json(&json!({
        "benchmark": "dashboard",
        "conditions": conditions::conditions(common, common.threads()),
        "queries": options.queries,
        "viewers": options.viewers,
        "refresh_seconds": options.refresh,
        "history_minutes": options.history,
        "shards": options.shards,
        "events_per_second": options.events_per_second,
        "watershed": measured.json(),
        "checked": { "answers": checked.answers, "empty": checked.empty, "wrong": checked.wrong },
        "peers": peers.collect::<serde_json::Map<_, _>>(),
    }))
}
