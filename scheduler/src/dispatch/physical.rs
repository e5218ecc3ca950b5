//! From a logical plan to a physical one, alike on every path.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use watershed_storage::guard::GuardPlanner;
use watershed_storage::session::StatementOptions;
use watershed_storage::write::{ShardWriteExec, WriteTarget};

use super::context::StatementContext;
use super::filtered::without_filters;

/// Where the rows of a plan are written, instead of going to a client.
pub type Write = WriteTarget;

/// Plans and optimizes, with the write on top where there is one.
pub async fn plan(
    state: &SessionState,
    logical: &LogicalPlan,
    write: Option<&Write>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let optimized = state.optimize(logical)?;
    plan_optimized(&optimized, state, write).await
}

/// [`plan`] for a logical plan that is optimized already.
pub async fn plan_optimized(
    optimized: &LogicalPlan,
    session: &dyn Session,
    write: Option<&Write>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let optimized = without_filters(optimized.clone())?;
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(GuardPlanner)]);
    let plan = planner.create_physical_plan(&optimized, session).await?;
    Ok(match write {
        Some(target) => Arc::new(ShardWriteExec::new(plan, target.clone())),
        None => plan,
    })
}

/// What executors are told about a statement.
pub fn statement_options(statement: &StatementContext) -> StatementOptions {
    StatementOptions::new(&statement.settings)
        .with_statement(statement.id)
        .with_rows(statement.batch_rows())
}
