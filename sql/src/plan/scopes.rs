//! Which names of a query are tables and not common table expressions: what it reads has to be allowed.
//!
//! Where SQL leaves a doubt, a name counts as a table's. A common table expression is seen by those
//! after it and by the query it belongs to, with all that is within them. That a recursive one sees
//! itself is left out: whether it does depends on its form, and if it does not, it reads a table.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Query, Visit, Visitor};

use crate::catalog::ObjectName;
use crate::dialect::{folded, read_name, with_room};

/// The tables that a part of a statement names, each as often as it is named.
pub(super) fn tables(node: &impl Visit) -> Vec<ObjectName> {
    let mut scopes = Scopes::default();
    let walked = with_room(|| node.visit(&mut scopes));
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    scopes.tables
}

#[derive(Default)]
struct Scopes {
    /// The queries around the present place, outermost first.
    open: Vec<Scope>,
    tables: Vec<ObjectName>,
}

/// A query's common table expressions: name and address, which tells when it is entered.
struct Scope {
    common: Vec<(String, *const Query)>,
    /// Those that are seen from the present place: the first so many.
    seen: usize,
}

impl Scopes {
    fn sees(&self, name: &str) -> bool {
        self.open
            .iter()
            .flat_map(|scope| scope.common.iter().take(scope.seen))
            .any(|(common, _)| common == name)
    }

    /// The place of a query among its parent's common table expressions, if it is one.
    fn place(&self, query: &Query) -> Option<usize> {
        let parent = self.open.last()?;
        parent
            .common
            .iter()
            .position(|(_, address)| std::ptr::eq(*address, query))
    }
}

impl Visitor for Scopes {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(place) = self.place(query)
            && let Some(parent) = self.open.last_mut()
        {
            parent.seen = place;
        }
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        let common: Vec<_> = ctes
            .map(|cte| (folded(&cte.alias.name), &raw const *cte.query))
            .collect();
        // Without any, its body sees what is around it alone.
        self.open.push(Scope { common, seen: 0 });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.open.pop();
        // Its body comes after the last of them.
        if let Some(place) = self.place(query)
            && let Some(parent) = self.open.last_mut()
        {
            parent.seen = place + 1;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ast::ObjectName) -> ControlFlow<()> {
        if let Ok(name) = read_name(name)
            && !(name.schema.is_none() && self.sees(&name.name))
        {
            self.tables.push(name);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::parse_query;

    #[test]
    fn tables_and_common_table_expressions() {
        fn check(sql: &str, expected: &[&str]) {
            let query = parse_query(sql).unwrap();
            let found: Vec<_> = tables(&*query).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{sql}");
        }
        check("SELECT * FROM a JOIN s.b USING (x)", &["a", "s.b"]);
        check("WITH a AS (SELECT 1) SELECT * FROM a, b, s.a", &["b", "s.a"]);
        check("WITH a AS (SELECT * FROM a) SELECT * FROM a", &["a"]);
        check("WITH A AS (SELECT 1) SELECT * FROM a, \"A\"", &["A"]);
        check(
            "WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM a, b",
            &["b"],
        );
        check(
            "WITH a AS (WITH b AS (SELECT 1) SELECT * FROM b) SELECT * FROM a, b",
            &["b"],
        );
        check(
            "SELECT * FROM a, (WITH a AS (SELECT 1) SELECT * FROM a) x",
            &["a"],
        );
        check(
            "(WITH a AS (SELECT 1) SELECT * FROM a) UNION ALL SELECT * FROM a",
            &["a"],
        );
        check(
            "WITH a AS (SELECT 1) SELECT * FROM (SELECT * FROM b WHERE EXISTS (SELECT * FROM a)) x
             WHERE c IN (WITH b AS (SELECT 2) SELECT * FROM a, b) ORDER BY (SELECT max(d) FROM a, e)",
            &["b", "e"],
        );
        check(
            "WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT * FROM a) SELECT * FROM a",
            &["a"],
        );
    }
}
