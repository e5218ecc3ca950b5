//! The SQL functions of Watershed beside those of DataFusion, one file each. Every process registers all
//! of them, so that a plan may name them anywhere. A new function needs one line in a list below; one
//! that has a name of DataFusion's replaces it.

mod as_cast;
pub(crate) mod bounded;
mod bytes;
mod collected;
pub(crate) mod domains;
mod elements;
pub(crate) mod function;
pub(crate) mod interval;
mod json;
pub(crate) mod list_length;
mod list_sum;
mod list_transform;
mod moments;
mod pattern;
mod percentile;
mod product;
mod ranked;
mod text_concat;
mod time;
pub(crate) mod type_name;
mod width_bucket;

pub use elements::is_over_elements;

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF};

pub(crate) use time::dates_go_back;

/// Functions of one row.
pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    SCALAR.clone()
}

/// Functions of many rows.
pub(crate) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    vec![
        collected::array_agg(),
        collected::string_agg(),
        ranked::mode(),
        ranked::mode_descending(),
        ranked::quantile_disc(),
        ranked::quantile_disc_descending(),
        percentile::percentile_cont(),
        product::product(),
        moments::skewness(),
        moments::kurtosis(),
        moments::kurtosis_pop(),
    ]
}

/// Functions that take lambdas.
pub(crate) fn higher_order() -> Vec<Arc<HigherOrderUDF>> {
    vec![list_transform::list_transform()]
}

/// A function of ours, for plans that are made without its name in a statement.
pub fn named(name: &str) -> Result<Arc<ScalarUDF>> {
    SCALAR
        .iter()
        .find(|function| function.name() == name)
        .map(Arc::clone)
        .ok_or_else(|| exec_datafusion_err!("function {name} is missing"))
}

/// A function that all sessions have, with its bounds, for operators.
pub fn registered(name: &str) -> Result<Arc<ScalarUDF>> {
    crate::session::scalar_functions()
        .get(name)
        .map(Arc::clone)
        .ok_or_else(|| exec_datafusion_err!("function {name} is missing"))
}

/// Functions of libraries that give what no client takes: unions, and places in files that plans lose.
const NOT_CALLED: [&str; 5] = [
    "file_row_index",
    "json_from_scalar",
    "json_get",
    "json_union_to_text",
    "scalar_to_json",
];

/// Whether statements do not call a function: it stands in plans, in the place of an operator or a cast, or gives what no
/// client takes.
pub fn is_of_plans(name: &str) -> bool {
    static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let casts = crate::casts::functions().map(|function| function.name().to_owned());
        let others = NOT_CALLED
            .into_iter()
            .chain([text_concat::NAME, list_length::NAME])
            .chain(ranked::DESCENDING)
            .map(str::to_owned);
        crate::numbers::of_plans().chain(casts).chain(others).collect()
    });
    NAMES.contains(name)
}

static SCALAR: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let lists = [
        time::udfs(),
        interval::udfs(),
        json::udfs(),
        pattern::udfs().into(),
        bytes::udfs(),
    ];
    let others = [
        Arc::new(list_sum::array_sum()),
        list_length::list_length(),
        as_cast::as_cast(),
        Arc::new(crate::casts::as_json()),
        type_name::pg_type_of(),
        type_name::type_of(),
        width_bucket::width_bucket(),
        Arc::new(crate::external::values_of_bytes()),
        text_concat::text_concat(),
    ];
    let own = lists.into_iter().flatten().map(Arc::new);
    own.chain(others).chain(crate::casts::functions()).collect()
});
