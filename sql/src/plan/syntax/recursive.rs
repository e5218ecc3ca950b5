//! The first term of a recursive common table expression decides the types of its columns. DataFusion takes them before
//! CASE and unions have theirs, and gives a decimal literal the digits that it is written with: `0.5` has none before the
//! point, so that the next row would be too large.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, Query, SelectItem, SetExpr, SetOperator, TableAliasColumnDef, TableWithJoins, Value,
    visit_relations,
};

use super::calls::call;
use super::columns::{Scopes, alias, derived, query_of, quoted, select_of};
use crate::dialect::folded;

/// The name of the first term as a table.
const FIRST: &str = "first term";

/// Gives the columns of the first term of a recursive query the types that they have in all rows. The queries in it are
/// rewritten.
pub(super) fn settle(query: &mut Query, scopes: &Scopes<'_, '_>) {
    let Some(name) = scopes.recursive_name(query) else {
        return;
    };
    let SetExpr::SetOperation {
        left,
        op: SetOperator::Union,
        right,
        ..
    } = query.body.as_mut()
    else {
        return;
    };
    let reads_itself = visit_relations(&**right, |relation| match relation.0.as_slice() {
        [part] if part.as_ident().map(folded).as_ref() == Some(&name) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    if reads_itself.is_continue() {
        return;
    }
    let first = query_of_body((**left).clone());
    let Some(columns) = scopes.types_of(&first) else {
        return;
    };
    let types: Vec<Option<DataType>> = columns.iter().map(wider).collect();
    if types.iter().all(Option::is_none) {
        return;
    }
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("c{place}")).collect();
    let items = columns.iter().zip(&types).zip(&places);
    let items = items.map(|((column, kind), place)| {
        let value = Expr::Identifier(quoted(place));
        SelectItem::ExprWithAlias {
            expr: match kind {
                Some(kind) => call("arrow_cast", vec![value, text(&kind.to_string())]),
                None => value,
            },
            alias: quoted(&column.name),
        }
    });
    let items: Vec<SelectItem> = items.collect();
    let mut name = alias(quoted(FIRST));
    name.columns = places.iter().map(|place| unnamed(quoted(place))).collect();
    let from = TableWithJoins {
        relation: derived(first, false, name),
        joins: Vec::new(),
    };
    **left = SetExpr::Select(Box::new(select_of(items, vec![from])));
}

/// A column of the first term.
pub(super) struct Typed {
    pub(super) name: String,
    /// The type as DataFusion has it first, and the one with all branches of CASE and unions.
    pub(super) planned: DataType,
    pub(super) united: DataType,
}

/// The type that a column needs, if it is not the one that it has.
fn wider(column: &Typed) -> Option<DataType> {
    let wanted = match &column.united {
        DataType::Decimal128(_, scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale),
        other => other.clone(),
    };
    (wanted != column.planned).then_some(wanted)
}

fn query_of_body(body: SetExpr) -> Query {
    let mut query = query_of(None, select_of(Vec::new(), Vec::new()));
    *query.body = body;
    query
}

fn unnamed(name: Ident) -> TableAliasColumnDef {
    TableAliasColumnDef {
        name,
        data_type: None,
    }
}

fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).into())
}
