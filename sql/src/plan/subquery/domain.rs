//! What a subquery reads of the outer query, and the distinct values of it.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, Spans};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Subquery};

use super::{Fresh, repeatable};

/// The columns of outer queries that a plan reads. Subqueries that are left to DataFusion read columns of
/// the query they stand in alone, and are passed over.
pub(super) fn references(plan: &LogicalPlan) -> Result<Vec<(FieldRef, Column)>> {
    let mut found: Vec<(FieldRef, Column)> = Vec::new();
    plan.apply(|node| {
        if matches!(node, LogicalPlan::Subquery(_)) {
            // A lateral subquery that was left reads what stands to its left alone.
            return Ok(TreeNodeRecursion::Jump);
        }
        node.apply_expressions(|expr| {
            expr.apply(|inner| {
                if let Expr::OuterReferenceColumn(field, column) = inner
                    && !found.iter().any(|(_, known)| known == column)
                {
                    found.push((Arc::clone(field), column.clone()));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// A plan as a subquery, with what it reads of outer queries.
pub(super) fn subquery(plan: LogicalPlan) -> Result<Subquery> {
    let outer_ref_columns = references(&plan)?
        .into_iter()
        .map(|(field, column)| Expr::OuterReferenceColumn(field, column))
        .collect();
    Ok(Subquery {
        subquery: Arc::new(plan),
        outer_ref_columns,
        spans: Spans::new(),
    })
}

/// Those of a plan's references that a schema has.
pub(super) fn references_to(plan: &LogicalPlan, schema: &DFSchema) -> Result<Vec<Column>> {
    Ok(references(plan)?
        .into_iter()
        .map(|(_, column)| column)
        .filter(|column| schema.has_column(column))
        .collect())
}

/// The distinct values of the outer columns that a subquery reads.
#[derive(Debug)]
pub(super) struct Domain {
    values: LogicalPlan,
    columns: Vec<Column>,
}

impl Domain {
    pub(super) fn new(outer: &LogicalPlan, columns: Vec<Column>) -> Result<Self> {
        if columns.is_empty() {
            let values = LogicalPlanBuilder::empty(true).build()?;
            return Ok(Self { values, columns });
        }
        repeatable::check(outer, &columns)?;
        let exprs = columns
            .iter()
            .enumerate()
            .map(|(index, column)| Expr::Column(column.clone()).alias(name(index)));
        let values = LogicalPlanBuilder::from(outer.clone())
            .project(exprs)?
            .distinct()?
            .build()?;
        Ok(Self { values, columns })
    }

    /// The outer columns.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Whether a plan reads any of the columns.
    pub(super) fn is_read_by(&self, plan: &LogicalPlan) -> Result<bool> {
        Ok(references(plan)?
            .iter()
            .any(|(_, column)| self.columns.contains(column)))
    }

    /// The values as a relation of their own.
    pub(super) fn instance(&self, fresh: &mut Fresh<'_>) -> Result<Bound> {
        let alias = fresh.name("domain");
        if self.is_empty() {
            let plan = LogicalPlanBuilder::from(self.values.clone())
                .alias(alias)?
                .build()?;
            let columns = Vec::new();
            return Ok(Bound { plan, columns });
        }
        // Names that no other instance has: physical plans know columns without their relations.
        let names: Vec<String> = (0..self.columns.len())
            .map(|index| format!("{alias}_{index}"))
            .collect();
        let exprs = names
            .iter()
            .enumerate()
            .map(|(index, unique)| Expr::Column(Column::new_unqualified(name(index))).alias(unique));
        let plan = LogicalPlanBuilder::from(self.values.clone())
            .project(exprs)?
            .alias(alias.as_str())?
            .build()?;
        let columns = names
            .into_iter()
            .map(|unique| Column::new(Some(alias.clone()), unique))
            .collect();
        Ok(Bound { plan, columns })
    }

    /// An expression that reads the values from columns of a plan instead of the outer query.
    pub(super) fn bind(&self, expr: Expr, columns: &[Column]) -> Result<Expr> {
        expr.transform_up(|inner| {
            let place = match &inner {
                Expr::OuterReferenceColumn(_, column) => self.columns.iter().position(|own| own == column),
                _ => None,
            };
            Ok(match place.and_then(|place| columns.get(place)) {
                Some(column) => Transformed::yes(Expr::Column(column.clone())),
                None => Transformed::no(inner),
            })
        })
        .map(|bound| bound.data)
    }
}

/// A plan whose first columns are the values of a domain; behind them come those of the plan it was made of.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) plan: LogicalPlan,
    pub(super) columns: Vec<Column>,
}

/// The name of a domain's column.
fn name(index: usize) -> String {
    format!("c{index}")
}
