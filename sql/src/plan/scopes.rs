//! Which names of a query are tables and not common table expressions: what it reads has to be allowed.
//!
//! Where SQL leaves a doubt, a name counts as a table's. A common table expression is seen by those
//! after it and by the query it belongs to, with all that is within them. That a recursive one sees
//! itself is left out: whether it does depends on its form, and if it does not, it reads a table.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Query, Visit, Visitor};

use crate::catalog::ObjectName;
use crate::dialect::{folded, read_name, with_room};

/// What a part of a statement reads.
#[derive(Default)]
pub(super) struct Reads {
    /// The tables that it names, each as often as it is named.
    pub(super) tables: Vec<ObjectName>,
    /// Of each relation, in the order in which they are visited, whether it is a common table expression.
    pub(super) common: Vec<bool>,
    /// The number of relations that it reads once each reference to a common table expression is a copy of it. At least the
    /// number of the largest common table expression: one without references is planned, too.
    pub(super) expanded: usize,
}

/// What a part of a statement reads.
pub(super) fn reads(node: &impl Visit) -> Reads {
    let mut scopes = Scopes::default();
    let walked = with_room(|| node.visit(&mut scopes));
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    scopes.reads.expanded = scopes.reads.expanded.max(scopes.largest);
    scopes.reads
}

#[derive(Default)]
struct Scopes {
    /// The queries around the present place, outermost first.
    open: Vec<Scope>,
    reads: Reads,
    /// How often one common table expression reads relations, at most.
    largest: usize,
}

/// A query's common table expressions.
struct Scope {
    common: Vec<Common>,
    /// Those that are seen from the present place: the first so many.
    seen: usize,
    /// Whether they see themselves.
    recursive: bool,
    /// How often the query itself reads relations.
    expanded: usize,
}

/// A common table expression.
struct Common {
    name: String,
    /// Its address tells when it is entered.
    query: *const Query,
    expanded: usize,
}

impl Scopes {
    /// The common table expression that a name means here.
    fn common(&self, name: &str) -> Option<&Common> {
        self.open
            .iter()
            .rev()
            .flat_map(|scope| scope.common.iter().take(scope.seen).rev())
            .find(|common| common.name == name)
    }

    /// The place of a query among its parent's common table expressions, if it is one.
    fn place(&self, query: &Query) -> Option<usize> {
        let parent = self.open.last()?;
        parent
            .common
            .iter()
            .position(|common| std::ptr::eq(common.query, query))
    }

    fn add(&mut self, expanded: usize) {
        let sum = match self.open.last_mut() {
            Some(scope) => &mut scope.expanded,
            None => &mut self.reads.expanded,
        };
        *sum = sum.saturating_add(expanded);
    }
}

impl Visitor for Scopes {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(place) = self.place(query)
            && let Some(parent) = self.open.last_mut()
        {
            parent.seen = place + usize::from(parent.recursive);
        }
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        let common: Vec<_> = ctes
            .map(|cte| Common {
                name: folded(&cte.alias.name),
                query: &raw const *cte.query,
                expanded: 0,
            })
            .collect();
        // Without any, its body sees what is around it alone.
        self.open.push(Scope {
            common,
            seen: 0,
            recursive: query.with.as_ref().is_some_and(|with| with.recursive),
            expanded: 0,
        });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let expanded = self.open.pop().map_or(0, |scope| scope.expanded);
        // Its body comes after the last of them.
        let place = self.place(query);
        if let Some(place) = place
            && let Some(parent) = self.open.last_mut()
        {
            parent.seen = place + 1;
            if let Some(common) = parent.common.get_mut(place) {
                common.expanded = expanded;
            }
            self.largest = self.largest.max(expanded);
        } else {
            self.add(expanded);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ast::ObjectName) -> ControlFlow<()> {
        let Ok(name) = read_name(name) else {
            self.add(1);
            self.reads.common.push(false);
            return ControlFlow::Continue(());
        };
        let common = name.schema.is_none().then(|| self.common(&name.name)).flatten();
        let expanded = common.map(|common| common.expanded);
        self.add(expanded.unwrap_or_default().saturating_add(1));
        self.reads.common.push(expanded.is_some());
        if expanded.is_none() {
            self.reads.tables.push(name);
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
            let found: Vec<_> = reads(&*query).tables.iter().map(ToString::to_string).collect();
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
            &[],
        );
    }

    #[test]
    fn reads_of_common_table_expressions_multiply() {
        fn check(sql: &str, expected: usize) {
            assert_eq!(reads(&*parse_query(sql).unwrap()).expanded, expected, "{sql}");
        }
        check("SELECT 1", 0);
        check("SELECT * FROM a JOIN b USING (x) WHERE c IN (SELECT d FROM e)", 3);
        check("WITH a AS (SELECT * FROM t, u) SELECT 1", 2);
        check("WITH a AS (SELECT * FROM t, u) SELECT * FROM a", 3);
        check(
            "WITH a AS (SELECT * FROM t, u) SELECT * FROM a, (SELECT * FROM a) b",
            6,
        );
        check(
            "WITH a AS (SELECT * FROM t), b AS (SELECT * FROM a, a c) SELECT (SELECT max(x) FROM b) FROM b",
            10,
        );
        let mut sql = "WITH c0 AS (SELECT 1 x)".to_owned();
        for level in 1..200 {
            let before = level - 1;
            sql.push_str(&format!(
                ", c{level} AS (SELECT x FROM c{before} UNION ALL SELECT x FROM c{before})"
            ));
        }
        check(&format!("{sql} SELECT * FROM c199"), usize::MAX);
    }
}
