//! Items of FROM without the functional dependencies that DataFusion derives for them: by those, its planner would add columns
//! to GROUP BY, and take the rows of a window's RANGE for ones without peers.

use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use sqlparser::ast::TableFactor;
use watershed_storage::session::without_dependencies;

/// The relation planner of one statement. It has DataFusion's planner plan a relation, which offers the relation to it again.
#[derive(Debug, Default)]
pub(super) struct Relations {
    /// Whether the next relation is one that this planner has passed on.
    passed_on: AtomicBool,
}

impl RelationPlanner for Relations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        if self.passed_on.swap(false, Ordering::Relaxed) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        self.passed_on.store(true, Ordering::Relaxed);
        let plan = without_dependencies(context.plan(relation)?)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan, None,
        ))))
    }
}
