//! Numbers as SQL promises them: arithmetic that never wraps, decimals that never pass through a float
//! unless one is beside them, and one equality and order of floats.
//!
//! [`types`] chooses the types in which numbers meet, before DataFusion's own coercion does. [`arithmetic`]
//! replaces the operators that wrap. [`keys`] gives floats that are compared one form, and nested values keys
//! ([`nested`]); [`bounds`] adds what statistics can be asked for. [`exact`], [`extremes`], [`rounding`] and [`counts`] stand in the place of DataFusion's
//! functions, and [`narrow`] of some casts. [`constants`] is why types do not change when constants are folded. [`instants`] and [`units`] compare instants of several units, which are numbers too. All of it is by logical rules and by functions that every process knows by name, so that
//! each path of execution gives the same.

mod arithmetic;
mod bounds;
mod constants;
mod counts;
mod exact;
pub(crate) mod exprs;
mod extremes;
mod floats;
mod groups;
mod in_micros;
mod instants;
mod keys;
mod kinds;
mod narrow;
mod nested;
mod one_float;
mod rounding;
mod total;
mod types;
mod united;
mod units;
mod whole;
mod within;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::functions_aggregate::average::Avg;
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::AggregateUDF;
use datafusion::optimizer::Analyzer;
use watershed_core::error::{Error, SqlState};

use crate::casts::{CastsOfText, UnorderedCasts};
use crate::error::into_datafusion;
use crate::functions::bounded::GuardedCalls;
use crate::session::lists::OneFormOfLists;

pub(crate) use constants::constant;
pub use counts::row_number;
pub use instants::nearest_micros;
pub(crate) use kinds::common_type;
pub use types::with_numeric_types;
pub use united::{with_columns, with_united_results, with_united_types};
pub use units::with_exact_units;

/// The builder with the rules: types before DataFusion's coercion, all else after it.
pub(crate) fn with_rules(builder: SessionStateBuilder) -> SessionStateBuilder {
    let mut rules = Analyzer::new().rules;
    rules.insert(0, Arc::new(constants::ConstantArguments));
    rules.insert(1, Arc::new(types::NumericTypes));
    rules.insert(2, Arc::new(OneFormOfLists));
    rules.push(Arc::new(rounding::PinnedRounding));
    rules.push(Arc::new(CastsOfText));
    rules.push(Arc::new(UnorderedCasts));
    rules.push(Arc::new(narrow::NarrowFloats));
    rules.push(Arc::new(arithmetic::CheckedArithmetic));
    rules.push(Arc::new(keys::FloatKeys));
    rules.push(Arc::new(instants::ExactInstants));
    rules.push(Arc::new(GuardedCalls));
    builder
        .with_analyzer_rules(rules)
        .with_optimizer_rule(Arc::new(bounds::FloatBounds))
}

/// Registers the functions that the rules and the statements call.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    counts::register(state)?;
    let ours = arithmetic::functions().chain(instants::functions());
    let keys = floats::functions().into_iter().chain(nested::functions());
    for function in ours
        .chain(rounding::functions())
        .chain(narrow::functions())
        .chain(keys)
    {
        state.register_udf(function)?;
    }
    state.register_udf(whole::function())?;
    for function in [
        AggregateUDF::from(exact::Exactly::<Sum>::default()),
        AggregateUDF::from(exact::Exactly::<Avg>::default()),
        AggregateUDF::from(extremes::Extreme::<Min>::default()),
        AggregateUDF::from(extremes::Extreme::<Max>::default()),
    ] {
        state.register_udaf(Arc::new(function))?;
    }
    Ok(())
}

/// The names of the functions that stand in plans in the places of operators and casts.
pub(crate) fn of_plans() -> impl Iterator<Item = String> {
    arithmetic::functions()
        .chain(instants::functions())
        .chain(narrow::functions())
        .chain(floats::functions())
        .chain(nested::functions())
        .chain([whole::function()])
        .map(|function| function.name().to_owned())
}

/// The error of a result that its type cannot hold.
fn out_of_range(what: &str) -> datafusion::common::DataFusionError {
    into_datafusion(
        Error::new(
            SqlState::NumericValueOutOfRange,
            format!("{what} is out of range"),
        )
        .with_hint("Cast an operand to a wider type, DECIMAL or DOUBLE."),
    )
}
