//! `UNION [ALL] BY NAME` takes columns by their names alone: DataFusion takes `t.a` and `u.a` for two columns.

use sqlparser::ast::{SelectItem, SetExpr, SetQuantifier, TableWithJoins};

use super::columns::{alias, derived, query_of, quoted, select_of};

/// What the tables of both sides are called.
const SOURCE: &str = "__by_name";

/// Gives the columns of both sides of such unions the same table.
pub(super) fn rewrite(body: &mut SetExpr) {
    let SetExpr::SetOperation {
        left,
        right,
        set_quantifier,
        ..
    } = body
    else {
        return;
    };
    rewrite(left);
    rewrite(right);
    let by_name = matches!(
        set_quantifier,
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName
    );
    for side in [left, right].into_iter().filter(|_| by_name) {
        let mut query = query_of(None, select_of(Vec::new(), Vec::new()));
        std::mem::swap(&mut query.body, side);
        let from = TableWithJoins {
            relation: derived(query, false, alias(quoted(SOURCE))),
            joins: Vec::new(),
        };
        let all = SelectItem::Wildcard(Default::default());
        **side = SetExpr::Select(Box::new(select_of(vec![all], vec![from])));
    }
}
