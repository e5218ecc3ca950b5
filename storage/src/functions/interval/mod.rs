//! Functions over intervals. Plans hold most of them in place of operators that compare or scale intervals.

mod key;
mod scale;

use datafusion::logical_expr::ScalarUDF;

pub(crate) use key::{decode, encode, length};

pub(super) fn udfs() -> Vec<ScalarUDF> {
    vec![
        key::key(),
        key::code(),
        key::of_code(),
        scale::multiply(),
        scale::divide(),
    ]
}
