//! `EXPLAIN` and `EXPLAIN ANALYZE` across the cluster: the path and why, what is scanned and what was
//! pruned, the plans of every part, and with ANALYZE what each executor did.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::{StreamExt, stream};
use watershed_core::{Error, Result, SqlState};
use watershed_sql::plan::explain_schema;
use watershed_storage::error::from_datafusion;
use watershed_storage::guard::Guard;
use watershed_storage::table::ScanReport;

use super::context::Counters;
use super::gather::{FragmentReport, gathers};
use super::{Choice, Dispatch, Job, Path, partial, staged};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub analyze: bool,
    pub verbose: bool,
}

/// The explanation as rows of `(plan_type, plan)`.
pub async fn explain(dispatch: &Dispatch, job: &Job, request: Request) -> Result<SendableRecordBatchStream> {
    let state = dispatch.session(&job.statement);
    let mut rows: Vec<(&str, String)> = Vec::new();
    let job = &dispatch.folded(job).await?;
    let optimized = state.optimize(&job.plan).map_err(from_datafusion)?;
    let choice = dispatch.choose(state, job).await?;
    if let Some(shown) = Guard::shown(&optimized).map_err(from_datafusion)? {
        if request.analyze {
            return Err(hidden());
        }
        rows.push(("logical_plan", shown.display_indent().to_string()));
        rows.push(("path", choice.path.name().to_owned()));
        return answer(rows);
    }
    rows.push(("logical_plan", optimized.display_indent().to_string()));
    rows.push(("path", format!("{}: {}", choice.path.name(), choice.why)));
    if request.analyze {
        analyze(dispatch, state, job, choice, &mut rows).await?;
        return answer(rows);
    }
    let (plan, write, statement) = (&job.plan, job.write.as_ref(), &job.statement);
    let plan = match (choice.plan, choice.path) {
        (Some(plan), _) => plan,
        (None, Path::Staged) => {
            let stages =
                staged::explain(&dispatch.staged, state, plan, write, statement, request.verbose).await?;
            rows.extend(scans(job));
            rows.extend(stages.into_iter().map(|stage| ("physical_plan", stage)));
            return answer(rows);
        }
        (None, Path::Local | Path::Gather | Path::Exchange) => {
            dispatch.exchange().explain(state, plan, write, statement).await?
        }
    };
    rows.extend(scans(job));
    rows.push(("physical_plan", draw(&plan, choice.path, request.verbose)));
    for gather in gathers(&plan) {
        rows.push((
            "fragment",
            draw(gather.fragment().plan(), Path::Local, request.verbose),
        ));
    }
    answer(rows)
}

/// What was measured would tell of the rows that a view leaves out.
fn hidden() -> Error {
    Error::new(
        SqlState::InsufficientPrivilege,
        "permission denied: EXPLAIN ANALYZE over a view needs SELECT on what the view reads",
    )
    .with_hint("EXPLAIN shows the plan above the view.")
}

async fn analyze(
    dispatch: &Dispatch,
    state: &SessionState,
    job: &Job,
    choice: Choice,
    rows: &mut Vec<(&'static str, String)>,
) -> Result<()> {
    let started = Instant::now();
    partial::decide(&job.statement, &choice);
    // The plan at hand is run where there is one, so that its counts can be shown.
    let (plan, mut output) = match choice.plan {
        Some(plan) => (Some(Arc::clone(&plan)), dispatch.execute(state, job, plan)?),
        None => {
            let (choice, output) = dispatch.run(job).await?;
            (choice.plan, output)
        }
    };
    let mut count = 0_u64;
    while let Some(batch) = output.next().await {
        count += batch.map_err(from_datafusion)?.num_rows() as u64;
    }
    let elapsed = started.elapsed();
    rows.extend(scans(job));
    if choice.path == Path::Staged {
        // What each task did stays with the executors.
        let (plan, write, statement) = (&job.plan, job.write.as_ref(), &job.statement);
        let stages = staged::explain(&dispatch.staged, state, plan, write, statement, false).await?;
        rows.extend(stages.into_iter().map(|stage| ("physical_plan", stage)));
    }
    if let Some(plan) = plan {
        let drawn = match choice.path {
            Path::Exchange => datafusion_distributed::display_plan_ascii(plan.as_ref(), true),
            Path::Local | Path::Gather | Path::Staged => {
                DisplayableExecutionPlan::with_metrics(plan.as_ref())
                    .indent(false)
                    .to_string()
            }
        };
        rows.push(("physical_plan", drawn));
        for gather in gathers(&plan) {
            rows.push(("fragment", draw(gather.fragment().plan(), Path::Local, false)));
            rows.extend(
                gather
                    .reports()
                    .iter()
                    .map(|report| ("executor", describe_executor(report))),
            );
        }
    }
    let counters = &job.statement.counters;
    rows.push((
        "total",
        format!(
            "rows={count}, elapsed={elapsed:.3?}, bytes_scanned={}, rows_scanned={}, shards={}/{}, retries={}",
            Counters::get(&counters.bytes_scanned),
            Counters::get(&counters.rows_scanned),
            Counters::get(&counters.completed_shards),
            Counters::get(&counters.total_shards),
            Counters::get(&counters.retries),
        ),
    ));
    Ok(())
}

fn draw(plan: &Arc<dyn ExecutionPlan>, path: Path, verbose: bool) -> String {
    match path {
        Path::Exchange => datafusion_distributed::display_plan_ascii(plan.as_ref(), false),
        Path::Local | Path::Gather | Path::Staged => displayable(plan.as_ref()).indent(verbose).to_string(),
    }
}

fn scans(job: &Job) -> Vec<(&'static str, String)> {
    job.statement
        .scans
        .reports()
        .into_iter()
        .map(|report| ("scan", describe_scan(&report)))
        .collect()
}

fn describe_scan(report: &ScanReport) -> String {
    let mut text = report.table.clone();
    // Writing to a text does not fail.
    let mut add = |part: std::fmt::Arguments<'_>| text.write_fmt(part).unwrap_or_default();
    if let Some(version) = report.version {
        add(format_args!(" at version {version}"));
    }
    add(format_args!(
        ": files {} of {}, {} bytes",
        report.files_scanned, report.files_total, report.bytes_scanned
    ));
    if let Some(total) = report.shards_total {
        add(format_args!(
            ", shards {} of {total}",
            report.shards_scanned.len()
        ));
    }
    if !report.pruned_by.is_empty() {
        add(format_args!(", pruned by {}", report.pruned_by.join(", ")));
    }
    text
}

fn describe_executor(report: &FragmentReport) -> String {
    let task = &report.task;
    let busy: std::time::Duration = task
        .nodes
        .iter()
        .filter_map(datafusion::physical_plan::metrics::MetricsSet::elapsed_compute)
        .map(|nanos| std::time::Duration::from_nanos(nanos as u64))
        .sum();
    format!(
        "{}: partitions={}, rows_scanned={}, bytes_scanned={}, compute={busy:.3?}",
        report.node, report.partitions, task.scanned.rows, task.scanned.bytes
    )
}

/// A row per line: explanations are read from top to bottom, and their lines are long enough.
fn answer(rows: Vec<(&str, String)>) -> Result<SendableRecordBatchStream> {
    let lines: Vec<_> = rows
        .iter()
        .flat_map(|(kind, text)| text.lines().map(move |line| (*kind, brief(line))))
        .collect();
    let kinds: ArrayRef = Arc::new(StringArray::from_iter_values(lines.iter().map(|(kind, _)| kind)));
    let plans: ArrayRef = Arc::new(StringArray::from_iter_values(lines.iter().map(|(_, line)| line)));
    let schema = explain_schema();
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![kinds, plans])
        .map_err(|error| Error::internal("an explanation has no rows").with_detail(error.to_string()))?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(
        schema,
        stream::iter([Ok(batch)]),
    )))
}

/// A line without the names of files, of which there can be thousands.
fn brief(line: &str) -> Cow<'_, str> {
    const START: &str = "file_groups={";
    let Some(start) = line.find(START) else {
        return Cow::Borrowed(line);
    };
    let rest = &line[start + START.len()..];
    let (Some(count), Some(end)) = (rest.find(':'), rest.find("]}")) else {
        return Cow::Borrowed(line);
    };
    if count > end {
        return Cow::Borrowed(line);
    }
    Cow::Owned(format!(
        "{}{}{}",
        &line[..start + START.len()],
        &rest[..count],
        &rest[end + 1..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_left_out() {
        assert_eq!(
            brief(
                "DataSourceExec: file_groups={2 groups: [[a.parquet, b.parquet], [c.parquet]]}, projection=[x]"
            ),
            "DataSourceExec: file_groups={2 groups}, projection=[x]"
        );
        assert_eq!(brief("FilterExec: x@0 = 1"), "FilterExec: x@0 = 1");
        assert_eq!(brief("file_groups={2 groups"), "file_groups={2 groups");
    }
}
