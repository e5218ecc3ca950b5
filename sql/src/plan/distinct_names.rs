//! Names for columns that are called the same: `SELECT a, CAST(a AS STRING), a`.
//!
//! DataFusion refuses such queries. The first keeps its name, the others get a number.

use sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr};

use super::syntax::title;
use crate::dialect::folded;

/// Gives the outermost columns of a query distinct names.
pub(super) fn give(mut query: Box<Query>) -> Box<Query> {
    if let Some(select) = first_select(&mut query.body) {
        let mut taken: Vec<String> = Vec::new();
        for item in &mut select.projection {
            name(item, &mut taken);
        }
    }
    query
}

/// The select that names a query's columns: the leftmost of a union.
fn first_select(mut body: &mut SetExpr) -> Option<&mut Select> {
    loop {
        match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Query(query) => body = &mut query.body,
            _ => return None,
        }
    }
}

fn name(item: &mut SelectItem, taken: &mut Vec<String>) {
    let (expr, wanted) = match item {
        SelectItem::UnnamedExpr(expr) => {
            let wanted = title(expr);
            (expr, wanted)
        }
        SelectItem::ExprWithAlias { expr, alias } => {
            let wanted = folded(alias);
            (expr, wanted)
        }
        // A wildcard keeps the names of its table.
        _ => return,
    };
    let given = distinct(&wanted, taken);
    let expr = std::mem::replace(expr, Expr::Identifier(Ident::new("")));
    *item = SelectItem::ExprWithAlias {
        expr,
        alias: Ident::with_quote('"', given.clone()),
    };
    taken.push(given);
}

pub(super) fn distinct(wanted: &str, taken: &[String]) -> String {
    let free = |name: &String| !taken.contains(name);
    let numbered = (1..).map(|number| format!("{wanted}_{number}"));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(free)
        .unwrap_or_default()
}
