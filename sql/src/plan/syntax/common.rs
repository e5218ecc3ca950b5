//! Common table expressions that are called as one of a query around them: each gets a name of its own, as
//! DataFusion has one list of names for a whole statement.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{ObjectName, Query, TableFactor, Visit, VisitMut, Visitor, VisitorMut};

use super::columns::{alias, quoted};
use crate::dialect::{folded, read_name};

/// Renames what hides another; nothing changes where no two are called the same.
pub(super) fn distinct_names(query: &mut Query) {
    let mut count = Names::default();
    let counted = Visit::visit(&*query, &mut count);
    debug_assert!(counted.is_continue(), "the visitor never breaks");
    if !count.again {
        return;
    }
    let mut rename = Rename {
        taken: count.seen,
        open: Vec::new(),
    };
    let renamed = VisitMut::visit(query, &mut rename);
    debug_assert!(renamed.is_continue(), "the visitor never breaks");
}

/// The names of all common table expressions.
#[derive(Default)]
struct Names {
    seen: HashSet<String>,
    again: bool,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.again |= !self.seen.insert(folded(&cte.alias.name));
        }
        ControlFlow::Continue(())
    }
}

struct Rename {
    taken: HashSet<String>,
    open: Vec<Scope>,
}

struct Scope {
    /// Name, new name and the place of the query, in order.
    common: Vec<(String, Option<String>, *const Query)>,
    /// Those that are seen from the present place: the first so many.
    seen: usize,
}

impl Rename {
    fn place(&self, query: &Query) -> Option<usize> {
        let parent = self.open.last()?;
        parent
            .common
            .iter()
            .position(|(_, _, address)| std::ptr::eq(*address, query))
    }

    /// The new name of what a name means here.
    fn renamed(&self, name: &str) -> Option<&str> {
        let seen = self.open.iter().rev();
        let mut found = seen.flat_map(|scope| scope.common.iter().take(scope.seen).rev());
        found
            .find(|(common, _, _)| common == name)
            .and_then(|(_, renamed, _)| renamed.as_deref())
    }

    fn is_hiding(&self, name: &str) -> bool {
        self.open
            .iter()
            .flat_map(|scope| &scope.common)
            .any(|(common, _, _)| common == name)
    }

    fn fresh(&mut self, name: &str) -> String {
        let mut number = 2_usize;
        loop {
            let fresh = format!("{name}_{number}");
            if self.taken.insert(fresh.clone()) {
                return fresh;
            }
            number += 1;
        }
    }
}

impl VisitorMut for Rename {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let place = self.place(query);
        if let (Some(place), Some(parent)) = (place, self.open.last_mut()) {
            parent.seen = place;
        }
        let mut common = Vec::new();
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            let name = folded(&cte.alias.name);
            let renamed = self.is_hiding(&name).then(|| self.fresh(&name));
            if let Some(renamed) = &renamed {
                cte.alias.name = quoted(renamed);
            }
            common.push((name, renamed, &raw const *cte.query));
        }
        // What is recursive sees itself.
        let seen = match recursive {
            true => common.len(),
            false => 0,
        };
        self.open.push(Scope { common, seen });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.open.pop();
        let place = self.place(query);
        if let (Some(place), Some(parent)) = (place, self.open.last_mut()) {
            parent.seen = parent.seen.max(place + 1);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table {
            name,
            alias: given,
            args: None,
            ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        if let Ok(read) = read_name(name)
            && read.schema.is_none()
            && let Some(renamed) = self.renamed(&read.name)
        {
            if given.is_none() {
                *given = Some(alias(quoted(&read.name)));
            }
            *name = ObjectName::from(vec![quoted(renamed)]);
        }
        ControlFlow::Continue(())
    }
}
