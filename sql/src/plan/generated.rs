//! The expressions of generated columns: read, checked, and planned over the other columns.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use datafusion::sql::planner::PlannerContext;
use sqlparser::ast::{self, visit_expressions};
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::error::from_datafusion;
use watershed_storage::layout::Column;

use super::names::Names;
use super::{error, numerals, patterns, query, temporal};
use crate::dialect::{folded, parse_expression};

/// The columns that an expression reads. None of an expression that cannot be read.
pub(crate) fn expression_columns(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Ok(expr) = parse_expression(text) {
        let walked: ControlFlow<()> = visit_expressions(&expr, |expr| {
            match expr {
                ast::Expr::Identifier(ident) => {
                    names.insert(folded(ident));
                }
                ast::Expr::CompoundIdentifier(parts) => {
                    names.extend(parts.first().map(folded));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        });
        debug_assert!(walked.is_continue(), "the visitor never breaks");
    }
    names
}

/// The value of a generated column over a schema that has the others.
pub(super) fn plan(column: &Column, schema: &DFSchema, names: &Names<'_>) -> Result<Option<Expr>> {
    let Some(text) = &column.generated else {
        return Ok(None);
    };
    let mut parsed = parse_expression(text)?;
    numerals::rewrite(&mut parsed);
    patterns::rewrite(&mut parsed);
    let expr = query::planner_of(names)
        .sql_to_expr(parsed.clone(), schema, &mut PlannerContext::new())
        .map_err(|found| error::refine(found, &parsed, names))?;
    let target = column.data_type.arrow();
    let from = expr.get_type(schema).map_err(from_datafusion)?;
    let expr = if from == target { expr } else { cast(expr, target) };
    // The same whoever inserts: in UTC.
    let expr = temporal::rewrite_expression(expr, schema, "UTC").map_err(from_datafusion)?;
    Ok(Some(expr))
}

/// Refuses an expression that would not give the same value for the same row.
pub(super) fn check(column: &Column, columns: &[Column], names: &Names<'_>) -> Result<()> {
    let Some(text) = &column.generated else {
        return Ok(());
    };
    let read = expression_columns(text);
    if let Some(other) = columns
        .iter()
        .find(|other| other.generated.is_some() && read.contains(&other.name))
    {
        return Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!(
                "column \"{}\" is generated from \"{}\", which is generated itself",
                column.name, other.name
            ),
        ));
    }
    let fields: Vec<_> = columns.iter().map(Column::field).collect();
    let schema = DFSchema::try_from(arrow::datatypes::Schema::new(fields)).map_err(from_datafusion)?;
    let expr = plan(column, &schema, names)?;
    if expr.as_ref().is_some_and(changes) {
        return Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!(
                "column \"{}\" is generated from what changes by itself",
                column.name
            ),
        )
        .with_hint("Use columns and constants only."));
    }
    Ok(())
}

/// Whether it depends on more than the row: a clock, chance, other rows, parameters.
fn changes(expr: &Expr) -> bool {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    use datafusion::logical_expr::Volatility;
    let mut found = false;
    let walked = expr.apply(|expr| {
        found |= match expr {
            Expr::ScalarFunction(function) => function.func.signature().volatility != Volatility::Immutable,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => true,
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Placeholder(_) => true,
            _ => false,
        };
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    found || walked.is_err()
}
