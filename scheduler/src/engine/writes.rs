//! Rows become commits: executors write files, the scheduler commits them once, under the
//! statement's id.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use futures::TryStreamExt;
use watershed_core::Result;
use watershed_sql::catalog::{LiveDef, Op, TEMPORARY_SCHEMA, TableDef};
use watershed_storage::delta::CommitRequest;
use watershed_storage::error::from_datafusion;
use watershed_storage::layout::TableLayout;
use watershed_storage::write::written_files;

use super::orphans::Orphans;
use super::statement::{Done, Running};
use super::{Engine, ddl};
use crate::dispatch::context::Counters;
use crate::dispatch::{Job, Write};
use crate::system;

/// Where the rows of a table are written.
pub(super) fn target(engine: &Engine, layout: &TableLayout) -> Result<Write> {
    Write::new(layout.clone(), &engine.parts().root)
}

/// `INSERT`: gives the number of rows.
pub(super) async fn insert(running: &Running<'_>, table: &TableDef, input: LogicalPlan) -> Result<u64> {
    let temporary = table.schema == TEMPORARY_SCHEMA;
    write(running, &table.layout, input, "INSERT", temporary).await
}

/// What a statement does to the rows of a live table: counts them.
pub(super) async fn live(
    running: &Running<'_>,
    how: system::Write,
    table: &LiveDef,
    input: LogicalPlan,
) -> Result<Done> {
    let writer = system::Writer {
        engine: running.engine,
        session: running.session,
        statement: running.context,
    };
    system::write(&writer, how, table, input).await.map(Done::Count)
}

/// `CREATE TABLE … AS`: the table appears with all its rows, or not at all.
pub(super) async fn create_table_as(
    running: &mut Running<'_>,
    op: Op,
    layout: TableLayout,
    input: LogicalPlan,
) -> Result<u64> {
    let parts = running.engine.parts();
    let catalog = running.session.catalog(parts.catalog.refresh().await?);
    if let Op::CreateTable {
        schema,
        name,
        or_replace: false,
        ..
    } = &op
        && catalog.object(schema, name).is_some()
    {
        // An error, or where it may exist a notice: no row is computed for either.
        ddl::commit(running, op).await?;
        return Ok(0);
    }
    let mut orphans = Orphans::table(running.engine, &layout);
    parts.delta.create(&layout).await?;
    let temporary = matches!(&op, Op::CreateTable { schema, .. } if schema == TEMPORARY_SCHEMA);
    let rows = write(running, &layout, input, "CREATE TABLE AS SELECT", temporary).await?;
    // The record may be in the catalog's log, whatever is said of it.
    orphans.keep();
    if let Err(error) = ddl::commit(running, op).await {
        match temporary {
            // The session's own catalog does not have it.
            true => {
                running.session.forget_temporary(layout.id);
                orphans.give_up();
            }
            false => orphans.give_up_after(&error),
        }
        return Err(error);
    }
    Ok(rows)
}

async fn write(
    running: &Running<'_>,
    layout: &TableLayout,
    input: LogicalPlan,
    operation: &'static str,
    temporary: bool,
) -> Result<u64> {
    let parts = running.engine.parts();
    let target = target(running.engine, layout)?;
    let mut orphans = Orphans::batch(running.engine, layout, &target.batch);
    let job = Job {
        statement: Arc::clone(running.context),
        plan: input,
        optimized: None,
        write: Some(target),
    };
    let (choice, written) = parts.dispatch.run(&job).await?;
    running.guard.path(choice.path.name(), &choice.why);
    let batches: Vec<_> = written.try_collect().await.map_err(from_datafusion)?;
    let (files, rows) = written_files(&batches)?;
    if temporary {
        let bytes = files.iter().map(|file| file.size).sum();
        running
            .session
            .count_temporary(layout.id, bytes, parts.temporary_limit)?;
    }
    // The commit may be in the table's log, whatever is said of it.
    orphans.keep();
    if files.is_empty() {
        return Ok(0);
    }
    let request = CommitRequest {
        statement: running.context.id,
        operation,
        rows,
    };
    let committed = match parts.delta.commit(layout, files, request).await {
        Ok(committed) => committed,
        Err(error) => {
            orphans.give_up_after(&error);
            return Err(error);
        }
    };
    Counters::add(&running.context.counters.rows, committed.rows);
    Ok(committed.rows)
}
