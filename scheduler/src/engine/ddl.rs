//! Changes of the catalog. The record in the catalog's log is the commit point; what a table needs in
//! the store is made before, so that a crash leaves at most a folder that nothing names.

use watershed_core::Result;
use watershed_sql::authorize::{Access, permit};
use watershed_sql::catalog::{Catalog, Op};

use super::statement::Running;
use super::tables::check_files;

/// Applies one change, if it is permitted by the catalog that it changes, and not only by the one in which its statement was
/// planned: names and rights may have changed since.
pub(super) async fn apply(running: &mut Running<'_>, op: Op) -> Result<()> {
    let parts = running.engine.parts();
    let catalog = running.session.catalog(parts.catalog.current());
    op.check_meaning(&catalog)?;
    permit(&running.engine.access(&catalog, running.session)?, &op, &catalog)?;
    let mut op = op;
    if let Some(table) = op.redefines(&catalog)
        && parts.delta.snapshot(&table.layout).await?.version == 0
    {
        op = op.assume_unwritten();
    }
    if let Some((table, layout)) = op.alteration(&catalog)? {
        parts
            .delta
            .alter(&table.layout, &layout, running.context.id)
            .await?;
    }
    match &mut op {
        Op::CreateTable { layout, .. } => parts.delta.create(layout).await?,
        Op::CreateExternal { def, .. } => {
            let state = parts.dispatch.session(running.context);
            check_files(def, state).await?;
        }
        Op::CreateSchema { .. }
        | Op::DropSchema { .. }
        | Op::CreateView { .. }
        | Op::DropTable { .. }
        | Op::DropView { .. }
        | Op::AlterTable { .. }
        | Op::Principal(_)
        | Op::Cache(_) => {}
    }
    commit(running, op).await
}

/// Makes the change known: in the catalog's log, or in the session where it is about its own objects.
pub(super) async fn commit(running: &mut Running<'_>, op: Op) -> Result<()> {
    commit_if(running, op, permit).await
}

/// The same, where something else than the operation says whether it is permitted.
pub(super) async fn commit_if(
    running: &mut Running<'_>,
    op: Op,
    permitted: impl Fn(&Access, &Op, &Catalog) -> Result<()> + Send + Sync,
) -> Result<()> {
    let (engine, session) = (running.engine, running.session);
    let parts = engine.parts();
    let notice = match session.change(&op, &parts.catalog.current())? {
        Some((notice, unused)) => {
            engine.remove_tables(unused).await;
            notice
        }
        None => {
            let permitted =
                |op: &Op, catalog: &Catalog| permitted(&engine.access(catalog, session)?, op, catalog);
            parts.catalog.apply_if(op, permitted).await?.notice
        }
    };
    running.notices.extend(notice);
    Ok(())
}
