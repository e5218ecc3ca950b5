//! Functions that count, with BIGINT for their result: DataFusion's give an unsigned 64-bit integer, which SQL has
//! no type for, and which becomes a DECIMAL beside a BIGINT.

mod aggregates;
mod scalars;
mod windows;

use std::sync::{Arc, LazyLock};

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, Expr, ScalarUDF, WindowUDF};

const SCALARS: [&str; 5] = [
    "array_length",
    "array_ndims",
    "array_position",
    "array_positions",
    "cardinality",
];

const AGGREGATES: [&str; 2] = ["approx_distinct", "regr_count"];

const WINDOWS: [&str; 4] = ["dense_rank", "ntile", "rank", "row_number"];

/// Replaces the functions of a session by those that give BIGINT.
pub(super) fn register(state: &mut SessionState) -> Result<()> {
    for name in SCALARS {
        let counting = scalars::Counting(state.udf(name)?);
        state.register_udf(Arc::new(ScalarUDF::from(counting)))?;
    }
    for name in AGGREGATES {
        let counting = aggregates::Counting(state.udaf(name)?);
        state.register_udaf(Arc::new(AggregateUDF::from(counting)))?;
    }
    for name in WINDOWS {
        let counting = windows::Counting(state.udwf(name)?);
        state.register_udwf(Arc::new(WindowUDF::from(counting)))?;
    }
    Ok(())
}

/// `row_number()`, for plans that are made without its name in a statement.
pub fn row_number() -> Expr {
    static FUNCTION: LazyLock<Arc<WindowUDF>> = LazyLock::new(|| {
        let counting = windows::Counting(datafusion::functions_window::row_number::row_number_udwf());
        Arc::new(WindowUDF::from(counting))
    });
    FUNCTION.call(Vec::new())
}

/// The type in the place of DataFusion's.
fn signed(kind: &DataType) -> DataType {
    match kind {
        DataType::UInt64 => DataType::Int64,
        DataType::List(item) => DataType::List(signed_field(item)),
        other => other.clone(),
    }
}

fn signed_field(field: &FieldRef) -> FieldRef {
    let kind = signed(field.data_type());
    match kind == *field.data_type() {
        true => Arc::clone(field),
        false => Arc::new(Field::clone(field).with_data_type(kind)),
    }
}

fn signed_array(array: ArrayRef) -> Result<ArrayRef> {
    let kind = signed(array.data_type());
    match kind == *array.data_type() {
        true => Ok(array),
        false => Ok(cast(&array, &kind)?),
    }
}

fn signed_scalar(value: &ScalarValue) -> Result<ScalarValue> {
    value.cast_to(&signed(&value.data_type()))
}
