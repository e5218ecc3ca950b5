//! `DELETE` and `UPDATE`: of live tables, whose rows are the state of the system.

use std::sync::Arc;

use sqlparser::ast::{self, SelectItem, SetExpr};
use watershed_core::error::{Result, SqlState};
use watershed_storage::layout::Column;

use super::names::Names;
use super::{Plan, PlanContext, insert, parameters, query};
use crate::authorize::Need;
use crate::catalog::{LiveDef, Object, ObjectName, Privilege};
use crate::dialect::{Delete, Update};

pub(super) async fn delete(delete: Delete, context: &PlanContext<'_>) -> Result<Plan> {
    let table = live(&delete.table, Privilege::Delete, context)?;
    let input = query::plan(&ast::Statement::Query(delete.rows), context).await?;
    Ok(Plan::DeleteLive { table, input })
}

pub(super) async fn update(update: Update, context: &PlanContext<'_>) -> Result<Plan> {
    let table = live(&update.table, Privilege::Update, context)?;
    let given = insert::given(&update.table, &update.columns, &table.columns)?;
    let targets: Vec<&Column> = given
        .iter()
        .filter_map(|index| table.columns.get(*index))
        .collect();
    let names = Names::load(&*update.rows, context.current_schema, context, &[]).await?;
    let types = insert::parameter_types(values(&update.rows).zip(targets));
    let width = table.columns.len();
    let input = parameters::plan(&update.rows, &types, context, |rows, planner| {
        let source = query::to_plan_with_any_names(rows, &names, planner)?;
        let mut exprs = Vec::with_capacity(width * 2);
        for (index, column) in table.columns.iter().enumerate() {
            exprs.push(query::column(&source, index).alias(format!("old {}", column.name)));
        }
        for (index, column) in table.columns.iter().enumerate() {
            let assigned = given.iter().position(|place| *place == index);
            let from = assigned.map_or(index, |value| width + value);
            exprs.push(insert::value(&source, from, column)?.alias(&column.name));
        }
        query::temporal(insert::project(source, exprs)?, context)
    })?;
    Ok(Plan::UpdateLive { table, input })
}

/// The live table that is to be changed.
fn live(name: &ObjectName, privilege: Privilege, context: &PlanContext<'_>) -> Result<Arc<LiveDef>> {
    let object = context.resolve(name, context.current_schema)?;
    // At once, as errors tell what columns there are. That a row is changed tells what it is like.
    for needed in [privilege, Privilege::Select] {
        context.note(Need::on(needed, &object));
    }
    let statement = privilege.as_str();
    match object {
        Object::Live(table) => Ok(table),
        Object::Table(_) => Err(name
            .error(
                SqlState::FeatureNotSupported,
                format!("{statement} is not supported yet where a table holds data, as \"{name}\" does"),
            )
            .with_hint(
                "INSERT and DROP TABLE change such tables, and CREATE OR REPLACE TABLE … AS SELECT … replaces one.",
            )),
        other @ (Object::View(_) | Object::External(_)) => Err(name.error(
            SqlState::WrongObjectType,
            format!(
                "\"{name}\" is {}, whose rows do not change",
                other.kind().described()
            ),
        )),
    }
}

/// The values that are assigned, in order.
fn values(rows: &ast::Query) -> impl Iterator<Item = &ast::Expr> {
    let items = match rows.body.as_ref() {
        SetExpr::Select(select) => select.projection.as_slice(),
        _ => &[],
    };
    items.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    })
}
