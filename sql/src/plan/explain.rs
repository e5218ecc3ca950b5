//! `EXPLAIN`: the plan of a plan.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use watershed_core::error::{Error, Result};

use super::{Plan, PlanContext};
use crate::dialect::Statement;

/// The schema of what `EXPLAIN` answers.
pub fn explain_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("plan_type", DataType::Utf8, false),
        Field::new("plan", DataType::Utf8, false),
    ]))
}

/// The schema of what `EXPLAIN CACHE` answers: a row per layer.
pub fn explain_cache_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("layer", DataType::Utf8, false),
        Field::new("would_hit", DataType::Boolean, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("query_hash", DataType::Utf8, true),
    ]))
}

pub(super) async fn cache(statement: Statement, context: &PlanContext<'_>) -> Result<Plan> {
    match Box::pin(super::plan(statement, context)).await? {
        Plan::Query(plan) => Ok(Plan::ExplainCache(plan)),
        _ => Err(Error::unsupported("only answers to queries are cached")),
    }
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
