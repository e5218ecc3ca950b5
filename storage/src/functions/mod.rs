//! The SQL functions of Watershed beside those of DataFusion, one file each. Every process registers all
//! of them, so that a plan may name them anywhere. A new function needs one line in a list below; one
//! that has a name of DataFusion's replaces it.

mod as_cast;
mod collected;
pub(crate) mod function;
pub(crate) mod interval;
pub(crate) mod list_length;
mod list_sum;
mod moments;
mod pattern;
mod percentile;
mod product;
mod ranked;
mod time;
pub(crate) mod type_name;
mod width_bucket;

use std::sync::{Arc, LazyLock};

use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

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
        ranked::quantile_disc(),
        percentile::percentile_cont(),
        product::product(),
        moments::skewness(),
        moments::kurtosis(),
        moments::kurtosis_pop(),
    ]
}

/// A function of ours, for plans that are made without its name in a statement.
pub fn named(name: &str) -> Result<Arc<ScalarUDF>> {
    SCALAR
        .iter()
        .find(|function| function.name() == name)
        .map(Arc::clone)
        .ok_or_else(|| exec_datafusion_err!("function {name} is missing"))
}

static SCALAR: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let lists = [time::udfs(), interval::udfs(), pattern::udfs().into()];
    let others = [
        Arc::new(list_sum::array_sum()),
        list_length::list_length(),
        as_cast::as_cast(),
        type_name::pg_type_of(),
        type_name::type_of(),
        width_bucket::width_bucket(),
    ];
    lists.into_iter().flatten().map(Arc::new).chain(others).collect()
});
