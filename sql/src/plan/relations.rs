//! Items of FROM without the functional dependencies that DataFusion derives for them: by those, its planner would add columns
//! to GROUP BY, and take the rows of a window's RANGE for ones without peers.

use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use sqlparser::ast::TableFactor;
use watershed_storage::session::without_dependencies;

/// Plans one statement. DataFusion's own planner, which does the work, passes by here again.
#[derive(Debug, Default)]
pub(super) struct Relations {
    returning: AtomicBool,
}

impl RelationPlanner for Relations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        if self.returning.swap(false, Ordering::Relaxed) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        self.returning.store(true, Ordering::Relaxed);
        let plan = without_dependencies(context.plan(relation)?)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan, None,
        ))))
    }
}
