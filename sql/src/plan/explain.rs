//! `EXPLAIN`: the plan of a plan.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use watershed_core::error::Result;

use super::{Plan, PlanContext};
use crate::dialect::Statement;

/// The schema of what `EXPLAIN` answers.
pub fn explain_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("plan_type", DataType::Utf8, false),
        Field::new("plan", DataType::Utf8, false),
    ]))
}

pub(super) async fn plan(
    analyze: bool,
    verbose: bool,
    statement: Statement,
    context: &PlanContext<'_>,
) -> Result<Plan> {
    let inner = Box::pin(super::plan(statement, context)).await?;
    Ok(Plan::Explain {
        analyze,
        verbose,
        plan: Box::new(inner),
    })
}
