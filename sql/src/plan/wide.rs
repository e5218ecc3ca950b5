//! `SELECT *` of tables with many columns.
//!
//! DataFusion compares the text of each selected expression with that of all others
//! (`push_projection_dedupl` of `datafusion-sql` 55; no issue is known upstream): three thousand columns take
//! seconds. Such a query is planned for one constant, which all columns of the input then replace.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::planner::ContextProvider as _;
use datafusion::logical_expr::utils::expand_wildcard;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection};
use datafusion::sql::planner::object_name_to_table_reference;
use sqlparser::ast::{
    self, GroupByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, Value,
    WildcardAdditionalOptions,
};

use super::names::Names;

/// Fewer columns are planned as usual.
const COLUMNS: usize = 200;
const MARKER: &str = "__all_columns";

/// The query with one constant in place of `*`. None of any other query, and where the tables have few columns.
pub(super) fn marked(query: &Query, names: &Names<'_>) -> Option<Query> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    // A position counts the columns, and a window or an aggregate would be one more column of the input.
    let by_columns = match query.order_by.as_ref().map(|order| &order.kind) {
        None => true,
        Some(OrderByKind::Expressions(keys)) => keys.iter().all(|key| {
            matches!(
                key.expr,
                ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)
            )
        }),
        Some(OrderByKind::All(_)) => false,
    };
    if !by_columns || !is_all(select) || columns(select, names) < COLUMNS {
        return None;
    }
    let mut query = query.clone();
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = vec![SelectItem::ExprWithAlias {
            expr: ast::Expr::value(Value::Boolean(true)),
            alias: ast::Ident::new(MARKER),
        }];
    }
    Some(query)
}

/// Whether a select gives all columns of its input, row by row.
fn is_all(select: &Select) -> bool {
    let plain = WildcardAdditionalOptions::default();
    let all = matches!(select.projection.as_slice(), [SelectItem::Wildcard(options)]
        if WildcardAdditionalOptions { wildcard_token: plain.wildcard_token.clone(), ..options.clone() } == plain);
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers)
        if keys.is_empty() && modifiers.is_empty());
    all && ungrouped
        && select.distinct.is_none()
        && select.having.is_none()
        && select.qualify.is_none()
        && select.into.is_none()
        && select.exclude.is_none()
}

/// How many columns the tables in FROM have that are known by name.
fn columns(select: &Select, names: &Names<'_>) -> usize {
    let relations = select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    let widths = relations.filter_map(|relation| match relation {
        TableFactor::Table { name, args: None, .. } => {
            let table = object_name_to_table_reference(name.clone(), true).ok()?;
            Some(names.get_table_source(table).ok()?.schema().fields().len())
        }
        _ => None,
    });
    widths.sum()
}

/// The plan with all columns where the constant is. None if the constant is not found once.
pub(super) fn with_columns(plan: LogicalPlan) -> datafusion::common::Result<Option<LogicalPlan>> {
    let mut found = 0;
    let replaced = plan.transform_up(|node| {
        let LogicalPlan::Projection(Projection { expr, input, .. }) = &node else {
            return Ok(Transformed::no(node));
        };
        if expr.iter().any(is_marker) {
            found += 1;
            let columns = expand_wildcard(input.schema(), input, None)?;
            let all = LogicalPlanBuilder::from(input.as_ref().clone()).project(columns)?;
            return Ok(Transformed::yes(all.build()?));
        }
        match expr.as_slice() {
            // Keys of ORDER BY stood beside the constant below.
            [Expr::Column(column)] if column.name == MARKER => Ok(Transformed::yes(input.as_ref().clone())),
            _ => Ok(Transformed::no(node)),
        }
    })?;
    Ok((found == 1).then_some(replaced.data))
}

fn is_marker(expr: &Expr) -> bool {
    matches!(expr, Expr::Alias(alias) if alias.name == MARKER)
}
