//! Logs and metrics. Logs go to standard error; metrics are read from `/metrics`.

use std::sync::LazyLock;

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Ballista's scheduler complains of jobs that are taken from it, which happens whenever one is
/// cancelled or run again; what matters of it is told by the statement.
const DEFAULT_FILTER: &str = "warn,ballista_scheduler=off,datafusion_datasource=error";

/// Starts logging to standard error. `WATERSHED_LOG` filters as `RUST_LOG` does; without it
/// warnings are shown.
pub fn init() {
    let filter = EnvFilter::try_from_env("WATERSHED_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    // A second start in one process changes nothing.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter.and(WithoutRaces)))
        .try_init()
        .ok();
}

/// Leaves out what Ballista's executor says when it removes a folder of shuffle files that it removes at the same time for
/// another reason: a stage ended, and then its job. The folder is gone, as it should be (`remove_job_data` of
/// `ballista-executor` 55; no issue is known upstream).
struct WithoutRaces;

const REMOVES: &str = "ballista_executor::execution_loop";

impl<S> Filter<S> for WithoutRaces {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        // What a library says by the crate `log` has its target as a field.
        if !["log", REMOVES].contains(&event.metadata().target()) {
            return true;
        }
        let mut said = Said::default();
        event.record(&mut said);
        !(said.target.is_none_or(|target| target == REMOVES) && is_race(&said.message))
    }
}

fn is_race(message: &str) -> bool {
    message.starts_with("failed to remove job data")
        && [
            "is not a directory",
            "is not a subdirectory of",
            "No such file or directory",
        ]
        .iter()
        .any(|reason| message.contains(reason))
}

#[derive(Default)]
struct Said {
    target: Option<String>,
    message: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target = Some(value.to_owned()),
            "message" => value.clone_into(&mut self.message),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// Declares a metric: name and help text stand here, once.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $name:ident: $kind:ident = $metric:literal $([$($label:literal),+])?;)+) => {
        $(
            $(#[doc = $help])+
            pub static $name: LazyLock<$kind> = LazyLock::new(|| {
                let opts = Opts::new($metric, concat!($($help),+).trim_ascii());
                register(metrics!(@make $kind opts $([$($label),+])?))
            });
        )+

        fn touch_all() {
            $(LazyLock::force(&$name);)+
        }
    };
    (@make $kind:ident $opts:ident) => { $kind::with_opts($opts) };
    (@make $kind:ident $opts:ident [$($label:literal),+]) => { $kind::new($opts, &[$($label),+]) };
}

/// Every name above is a literal, so neither step fails; a metric that did would only be missing.
fn register<M: prometheus::core::Collector + Clone + 'static>(metric: prometheus::Result<M>) -> M {
    match metric {
        Ok(metric) => {
            if let Err(error) = REGISTRY.register(Box::new(metric.clone())) {
                tracing::error!(%error, "a metric is declared twice");
            }
            metric
        }
        #[expect(
            clippy::panic,
            reason = "a malformed literal shows at the first start of any process"
        )]
        Err(error) => panic!("malformed metric: {error}"),
    }
}

metrics! {
    /// Statements that ended, by outcome.
    STATEMENTS: IntCounterVec = "watershed_statements_total" ["outcome"];
    /// Statements running now.
    STATEMENTS_RUNNING: IntGauge = "watershed_statements_running";
    /// Statements waiting for admission.
    STATEMENTS_QUEUED: IntGauge = "watershed_statements_queued";
    /// Queries by the path they ran on.
    QUERIES: IntCounterVec = "watershed_queries_total" ["path"];
    /// Fragments or queries run again because an executor was lost.
    RETRIES: IntCounter = "watershed_retries_total";
    /// Shards of queries that a second executor was asked for, as the first took long.
    HEDGES: IntCounter = "watershed_hedges_total";
    /// Answers that lacked shards.
    PARTIAL_ANSWERS: IntCounter = "watershed_partial_answers_total";
    /// Times that an executor was taken out of use for a while, as it kept failing or was slow.
    BREAKERS_OPENED: IntCounter = "watershed_breakers_opened_total";
    /// Rows sent to clients.
    ROWS_SENT: IntCounter = "watershed_rows_sent_total";
    /// Executors that are alive.
    EXECUTORS: IntGauge = "watershed_executors";
    /// Executors declared dead.
    EXECUTORS_LOST: IntCounter = "watershed_executors_lost_total";
    /// Bytes of object stores that scans of this process asked for, by where they came from.
    DATA_CACHE_BYTES: IntCounterVec = "watershed_data_cache_bytes_total" ["from"];
    /// States over files, or blocks of data, that this process looked for in its caches.
    CACHE_REQUESTS: IntCounterVec = "watershed_cache_requests_total" ["cache", "result"];
    /// Entries that left the memory of this process's caches, as others needed the room.
    CACHE_EVICTIONS: IntCounterVec = "watershed_cache_evictions_total" ["cache"];
    /// Entries in the memory of this process's caches.
    CACHE_ENTRIES: IntGaugeVec = "watershed_cache_entries" ["cache"];
    /// Bytes of memory that this process's caches take.
    CACHE_BYTES: IntGaugeVec = "watershed_cache_bytes" ["cache"];
    /// Bytes that files of this process's caches take on the disk.
    CACHE_DISK_BYTES: IntGaugeVec = "watershed_cache_disk_bytes" ["cache"];
    /// Commits to tables.
    COMMITS: IntCounter = "watershed_commits_total";
}

/// All metrics in Prometheus' text format.
pub fn metrics_text() -> String {
    touch_all();
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&REGISTRY.gather(), &mut text) {
        tracing::error!(%error, "cannot encode metrics");
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_shown_with_its_help() {
        STATEMENTS.with_label_values(&["ok"]).inc();
        let text = metrics_text();
        assert!(
            text.contains("# HELP watershed_statements_total Statements that ended, by outcome."),
            "{text}"
        );
        assert!(text.contains("watershed_executors 0"), "{text}");
    }

    #[test]
    fn folders_that_are_gone_already_are_no_errors() {
        let of = |reason: &str| format!("failed to remove job data 1: Path \"/shuffle/1\" {reason}");
        assert!(super::is_race(&of("is not a directory")));
        assert!(super::is_race(&of("is not a subdirectory of \"/shuffle\"")));
        assert!(!super::is_race(&of("due to Permission denied (os error 13)")));
        assert!(!super::is_race("the scheduler cannot be asked for tasks"));
    }
}
