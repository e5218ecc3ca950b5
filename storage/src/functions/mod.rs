//! The SQL functions of Watershed beside those of DataFusion, one file each. Every process registers all
//! of them, so that a plan may name them anywhere. A new function needs one line in a list below; one
//! that has a name of DataFusion's replaces it.

mod product;
mod ranked;
mod type_name;
mod width_bucket;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// Functions of one row.
pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    vec![
        type_name::pg_type_of(),
        type_name::type_of(),
        width_bucket::width_bucket(),
    ]
}

/// Functions of many rows.
pub(crate) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    vec![ranked::mode(), ranked::quantile_disc(), product::product()]
}
