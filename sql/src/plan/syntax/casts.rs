//! Casts that have names of their own. DataFusion names a cast by what is cast, so that `sum(x)` and
//! `sum(CAST(x AS INT))` are two columns of one name, and so are the keys of `GROUP BY x, CAST(x AS INT)`.

use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, GroupByExpr, Ident, OrderBy, Query, Select, SelectItem, Visit, VisitMut, Visitor, VisitorMut,
};

use super::calls::call;
use super::titles::text;

/// The function that names a cast, and gives what it is given.
const NAMING: &str = "as_cast";

/// Names the casts of a select, if the names of keys, aggregates or windows would be the same without.
pub(super) fn name(select: &mut Select, order_by: Option<&mut OrderBy>) {
    let casts = select.visit_casts() || order_by.as_deref().is_some_and(VisitCasts::visit_casts);
    if !casts || !collide(select, order_by.as_deref()) {
        return;
    }
    let mut naming = Naming { depth: 0 };
    let mut walk = |node: &mut dyn Walk| {
        let walked = node.walk(&mut naming);
        debug_assert!(walked.is_continue(), "the visitor never breaks");
    };
    walk(&mut select.projection);
    walk(&mut select.group_by);
    walk(&mut select.having);
    walk(&mut select.qualify);
    if let Some(order_by) = order_by {
        walk(order_by);
    }
}

/// Whether there is any cast at all, which is cheap to tell.
trait VisitCasts {
    fn visit_casts(&self) -> bool;
}

impl<T: Visit> VisitCasts for T {
    fn visit_casts(&self) -> bool {
        Visit::visit(self, &mut AnyCast).is_break()
    }
}

struct AnyCast;

impl Visitor for AnyCast {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// What has expressions.
trait Walk {
    fn walk(&mut self, naming: &mut Naming) -> ControlFlow<()>;
}

impl<T: VisitMut> Walk for T {
    fn walk(&mut self, naming: &mut Naming) -> ControlFlow<()> {
        VisitMut::visit(self, naming)
    }
}

/// Whether two expressions that become columns of an aggregate or a window differ in casts alone.
fn collide(select: &Select, order_by: Option<&OrderBy>) -> bool {
    let mut named = Named::default();
    let keys: &[Expr] = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys,
        GroupByExpr::All(_) => &[],
    };
    let grouped = !keys.is_empty() || matches!(select.group_by, GroupByExpr::All(_));
    for key in keys {
        match key {
            Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
                sets.iter().flatten().for_each(|key| named.within_sets(key));
            }
            key => named.add(key),
        }
    }
    for item in &select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
            && grouped
        {
            named.add(expr);
        }
        named.calls(item);
    }
    named.calls(&select.having);
    named.calls(&select.qualify);
    if let Some(order_by) = order_by {
        named.calls(order_by);
    }
    named.collide
}

/// The texts of expressions, by their texts without casts.
#[derive(Default)]
struct Named {
    texts: HashMap<String, String>,
    collide: bool,
    depth: usize,
}

impl Named {
    fn add(&mut self, expr: &Expr) {
        let whole = text(&without(expr, false));
        let bare = text(&without(expr, true));
        let known = self.texts.entry(bare).or_insert_with(|| whole.clone());
        self.collide |= *known != whole;
    }

    /// Columns of grouping sets are found by name alone, whatever other rules make of a cast.
    fn within_sets(&mut self, key: &Expr) {
        self.add(key);
        self.collide |= text(&without(key, false)) != text(&without(key, true));
    }

    fn calls(&mut self, node: &impl Visit) {
        let walked = Visit::visit(node, self);
        debug_assert!(walked.is_continue(), "the visitor never breaks");
    }
}

impl Visitor for Named {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.depth == 0 && matches!(expr, Expr::Function(_)) {
            self.add(expr);
        }
        ControlFlow::Continue(())
    }
}

/// An expression with columns by their names alone and without parentheses, and perhaps without casts.
fn without(expr: &Expr, casts: bool) -> Expr {
    let mut expr = expr.clone();
    let walked = VisitMut::visit(&mut expr, &mut Bare { casts });
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    expr
}

struct Bare {
    casts: bool,
}

impl VisitorMut for Bare {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let inner = match expr {
            Expr::Cast { expr, .. } if self.casts => Some(std::mem::replace(expr.as_mut(), nothing())),
            Expr::Nested(inner) => Some(std::mem::replace(inner.as_mut(), nothing())),
            Expr::CompoundIdentifier(parts) => parts.pop().map(Expr::Identifier),
            _ => None,
        };
        if let Some(inner) = inner {
            *expr = inner;
        }
        ControlFlow::Continue(())
    }
}

fn nothing() -> Expr {
    Expr::Identifier(Ident::new(""))
}

struct Naming {
    /// Queries around the present place, within the select.
    depth: usize,
}

impl VisitorMut for Naming {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0 && matches!(expr, Expr::Cast { .. }) {
            let cast = std::mem::replace(expr, nothing());
            *expr = named(cast);
        }
        ControlFlow::Continue(())
    }
}

fn named(cast: Expr) -> Expr {
    call(NAMING, vec![cast])
}

#[cfg(test)]
mod tests {
    use sqlparser::ast::{SetExpr, Statement};
    use sqlparser::dialect::GenericDialect;
    use sqlparser::parser::Parser;

    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: bool) {
        let Statement::Query(query) = Parser::parse_sql(&GenericDialect {}, sql).unwrap().remove(0) else {
            panic!("{sql} is no query");
        };
        let SetExpr::Select(select) = *query.body else {
            panic!("{sql} is no select");
        };
        assert_eq!(collide(&select, query.order_by.as_ref()), expected, "{sql}");
    }

    #[test]
    fn names_without_casts_are_compared() {
        check("SELECT sum(x), sum(CAST(x AS INT)) FROM t", true);
        check("SELECT sum(x) + sum(x::INT) FROM t", true);
        check("SELECT sum(x), sum(y::INT) FROM t", false);
        check("SELECT sum(x::INT), sum((t.x)::INT) FROM t", false);
        check("SELECT 1 FROM t GROUP BY t.x, CAST(x AS INT)", true);
        check("SELECT x, x::INT FROM t GROUP BY 1, 2", true);
        check("SELECT 1 FROM t GROUP BY ROLLUP (CAST(x AS INT))", true);
        check("SELECT 1 FROM t GROUP BY CUBE (x, y)", false);
        check("SELECT x, x::INT FROM t", false);
        check("SELECT sum(x) FROM t ORDER BY sum(TRY_CAST(x AS INT))", true);
        check("SELECT sum(x), (SELECT sum(x::INT) FROM u) FROM t", false);
    }
}
