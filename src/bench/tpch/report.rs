//! What was measured, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::TpchOptions;
use super::measure::{Outcome, Series};
use super::queries::Query;
use crate::bench::conditions;
use crate::show;

/// Prints medians, a row per query and a column per series, with totals.
pub(super) fn table(queries: &[Query], series: &[Series]) {
    let mut header = vec!["query, ms"];
    header.extend(series.iter().map(|series| series.name.as_str()));
    let mut rows: Vec<Vec<String>> = queries
        .iter()
        .enumerate()
        .map(|(at, (number, _))| {
            let cells = series.iter().map(|series| shown(&series.outcomes[at]));
            [format!("Q{number}")].into_iter().chain(cells).collect()
        })
        .collect();
    let totals = series.iter().map(|series| match series.failures().count() {
        0 => format!("{:.0}", series.total_ms()),
        // A sum with parts missing compares with nothing.
        failed => format!("{failed} failed"),
    });
    rows.push([String::from("total")].into_iter().chain(totals).collect());
    let right: Vec<bool> = (0..header.len()).map(|at| at > 0).collect();
    show::line("");
    show::table(&header, &rows, &right, "");
    show::line("");
    for series in series {
        for (at, what) in series.failures() {
            show::line(show::alarm(&format!(
                "{} Q{}: {what}",
                series.name, queries[at].0
            )));
        }
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Right(_) => outcome
            .median_ms()
            .map_or_else(String::new, |time| format!("{time:.1}")),
        Outcome::Wrong(_) => "WRONG".to_owned(),
        Outcome::Failed(_) => "FAILED".to_owned(),
    }
}

/// Whether there is nothing wrong.
pub(super) fn all_right(series: &[Series]) -> bool {
    series.iter().all(|series| series.failures().count() == 0)
}

pub(super) fn json(
    options: &TpchOptions,
    series: &[Series],
    loaded: Option<(i64, Duration)>,
    memory: &[(String, u64)],
) -> Value {
    let common = &options.common;
    let numbers = super::queries::chosen(&options.queries);
    let outcomes = |series: &Series| -> Vec<Value> {
        let queries = numbers.iter().zip(&series.outcomes);
        queries
            .map(|((number, _), outcome)| match outcome {
                Outcome::Right(times) => {
                    json!({ "query": number, "median_ms": outcome.median_ms(), "runs_ms": times })
                }
                Outcome::Wrong(what) => json!({ "query": number, "wrong": what }),
                Outcome::Failed(what) => json!({ "query": number, "error": what }),
            })
            .collect()
    };
    json!({
        "benchmark": "tpch",
        "scale_factor": options.scale_factor,
        "runs": options.runs,
        "conditions": conditions::conditions(common, common.threads()),
        "loaded": loaded.map(|(rows, took)| json!({ "rows": rows, "seconds": took.as_secs_f64() })),
        "reference": format!("DataFusion alone in one process with {} threads", super::reference::THREADS),
        "series": series
            .iter()
            .map(|series| json!({
                "name": series.name,
                "total_ms": series.total_ms(),
                "failed": series.failures().count(),
                "queries": outcomes(series),
            }))
            .collect::<Vec<_>>(),
        "memory_peak_bytes": conditions::memory_json(memory),
    })
}
