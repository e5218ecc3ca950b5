//! `ARRAY(SELECT …)`: the values of a query's one column as an array, in the query's order; an empty one where there
//! are no rows. DataFusion takes it for the call of a function.

use std::sync::LazyLock;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, GroupByExpr,
    Ident, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableAliasColumnDef, TableFactor,
    Value,
};

use super::columns::{alias, derived, quoted};
use super::titles::is_called;
use crate::dialect::{folded, parse_expression};

const VALUE: &str = "__value";

static TEMPLATE: LazyLock<Option<Expr>> = LazyLock::new(|| {
    parse_expression("coalesce((SELECT array_agg(\"__value\") FROM (SELECT 1) AS \"__array\"), make_array())")
        .ok()
});

/// Rewrites such an expression before what is in it.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(Function {
        name,
        args: FunctionArguments::Subquery(query),
        over: None,
        ..
    }) = expr
    else {
        return;
    };
    if !is_called(name, "array") {
        return;
    }
    let mut query = query.clone();
    let Some((columns, order)) = columns(&mut query) else {
        return;
    };
    let mut written = TEMPLATE.clone();
    if let Some(slot) = written.as_mut().and_then(call)
        && let Some(select) = select_of(slot)
    {
        if let Some(SelectItem::UnnamedExpr(Expr::Function(collected))) = select.projection.first_mut()
            && let FunctionArguments::List(list) = &mut collected.args
            && !order.is_empty()
        {
            list.clauses.push(FunctionArgumentClause::OrderBy(order));
        }
        let mut named = alias(quoted("__array"));
        named.columns = columns
            .into_iter()
            .map(|name| TableAliasColumnDef {
                name,
                data_type: None,
            })
            .collect();
        if let Some(table) = select.from.first_mut() {
            table.relation = derived(*query, false, named);
        }
        if let Some(written) = written {
            *expr = written;
        }
    }
}

/// The subquery that is the first argument of the template.
fn call(template: &mut Expr) -> Option<&mut Query> {
    let Expr::Function(Function {
        args: FunctionArguments::List(list),
        ..
    }) = template
    else {
        return None;
    };
    match list.args.first_mut()? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(query))) => Some(query),
        _ => None,
    }
}

fn select_of(query: &mut Query) -> Option<&mut Select> {
    match query.body.as_mut() {
        SetExpr::Select(select) if matches!(select.from.as_slice(), [one] if matches!(one.relation, TableFactor::Derived { .. })) => {
            Some(select)
        }
        _ => None,
    }
}

/// The names of the query's columns, and the order of the values by them. What the query is ordered by becomes columns
/// of it. None if it has several columns of its own.
fn columns(query: &mut Query) -> Option<(Vec<Ident>, Vec<OrderByExpr>)> {
    let value = || Expr::Identifier(quoted(VALUE));
    let mut names = vec![quoted(VALUE)];
    let keys: Vec<OrderByExpr> = match query.order_by.as_ref().map(|order| &order.kind) {
        None => Vec::new(),
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        Some(OrderByKind::All(_)) => return None,
    };
    let select = match query.body.as_mut() {
        SetExpr::Select(select) => {
            if select.projection.len() != 1 {
                return None;
            }
            // What is distinct or grouped anew is ordered by what is selected.
            (select.distinct.is_none() && !matches!(select.group_by, GroupByExpr::All(_))).then_some(select)
        }
        _ => None,
    };
    let Some(select) = select else {
        let order = keys.into_iter().map(|key| OrderByExpr { expr: value(), ..key });
        return Some((names, order.collect()));
    };
    let own = match select.projection.first()? {
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(folded(name)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        _ => None,
    };
    let mut order = Vec::with_capacity(keys.len());
    for key in keys {
        let is_value = match &key.expr {
            Expr::Identifier(name) => own.as_deref() == Some(folded(name).as_str()),
            Expr::Value(literal) => matches!(&literal.value, Value::Number(number, _) if number == "1"),
            _ => false,
        };
        let expr = match is_value {
            true => value(),
            false => {
                let name = format!("__key_{}", names.len());
                names.push(quoted(&name));
                select.projection.push(SelectItem::ExprWithAlias {
                    expr: key.expr.clone(),
                    alias: quoted(&name),
                });
                Expr::Identifier(quoted(&name))
            }
        };
        order.push(OrderByExpr { expr, ..key });
    }
    Some((names, order))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_queries() {
        fn check(sql: &str, expected: &str) {
            let mut expr = parse_expression(sql).unwrap();
            rewrite(&mut expr);
            assert_eq!(expr.to_string(), expected);
        }
        check(
            "ARRAY(SELECT x FROM t)",
            "coalesce((SELECT array_agg(\"__value\") FROM (SELECT x FROM t) AS \"__array\" (\"__value\")), make_array())",
        );
        check(
            "ARRAY(SELECT x FROM t ORDER BY y DESC, x LIMIT 2)",
            "coalesce((SELECT array_agg(\"__value\" ORDER BY \"__key_1\" DESC, \"__value\") FROM \
             (SELECT x, y AS \"__key_1\" FROM t ORDER BY y DESC, x LIMIT 2) AS \"__array\" \
             (\"__value\", \"__key_1\")), make_array())",
        );
        check("ARRAY(SELECT x, y FROM t)", "ARRAY(SELECT x, y FROM t)");
    }
}
