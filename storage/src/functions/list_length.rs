//! `length_of_list(list)`: the number of elements, which `length` and `len` of a list are. DataFusion's count the
//! characters of the list as a text. It is not `list_length`: that is an alias of `array_length`, and which of two
//! functions a registry gives for a name and an alias depends on the order of a hash table.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, ScalarUDF};

use super::function::function;

pub(super) const NAME: &str = "length_of_list";

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(function(
        NAME,
        &[],
        "length_of_list(list)",
        |given| match given {
            [kind] if is_list(kind) => Some((vec![kind.clone()], DataType::Int64)),
            _ => None,
        },
        |args, _| lengths(&args[0]),
    ))
});

pub(super) fn list_length() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// The length of a list, for rules.
pub(crate) fn call(list: Expr) -> Expr {
    FUNCTION.call(vec![list])
}

pub(crate) fn is_list(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) | DataType::Map(_, _)
    )
}

fn lengths(lists: &ArrayRef) -> Result<ArrayRef> {
    let length = |row: usize| -> i64 {
        match lists.data_type() {
            DataType::List(_) => i64::from(lists.as_list::<i32>().value_length(row)),
            DataType::LargeList(_) => lists.as_list::<i64>().value_length(row),
            DataType::FixedSizeList(_, length) => i64::from(*length),
            _ => i64::from(lists.as_map().value_length(row)),
        }
    };
    let lengths: Int64Array = (0..lists.len())
        .map(|row| lists.is_valid(row).then(|| length(row)))
        .collect();
    Ok(Arc::new(lengths))
}
