//! The functions that there are.

use std::collections::BTreeSet;

use super::{PlanContext, macros, session_words};

/// The names of all functions, in order, each with its kind.
pub(super) fn all(context: &PlanContext<'_>) -> Vec<(String, &'static str)> {
    let state = context.state;
    let mut found: BTreeSet<(String, &'static str)> = BTreeSet::new();
    let scalar = state
        .scalar_functions()
        .keys()
        .chain(state.higher_order_functions().keys())
        .filter(|name| !watershed_storage::functions::is_of_plans(name));
    found.extend(scalar.map(|name| (name.clone(), "scalar")));
    found.extend(
        session_words::NAMES
            .iter()
            .map(|name| ((*name).to_owned(), "scalar")),
    );
    found.extend(macros::names().map(|name| (name.to_owned(), "macro")));
    found.extend(
        state
            .aggregate_functions()
            .keys()
            .filter(|name| !watershed_storage::functions::is_of_plans(name))
            .map(|name| (name.clone(), "aggregate")),
    );
    found.extend(
        state
            .window_functions()
            .keys()
            .map(|name| (name.clone(), "window")),
    );
    found.extend(state.table_functions().keys().map(|name| (name.clone(), "table")));
    found.into_iter().collect()
}
