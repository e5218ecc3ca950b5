//! Scalar values as cache keys need them: two values are written alike only if they are the same.

use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, ScalarValue};

/// The type and the value of a list, structure or map; `ScalarValue` displays `['a', 'b']` as `['a, b']`. None if there
/// is no such form.
pub fn nested_key(value: &ScalarValue) -> Result<Option<Vec<u8>>> {
    let kind = value.data_type();
    let mut bytes = format!("{kind:?}").into_bytes();
    let fields = vec![SortField::new(kind)];
    if !RowConverter::supports_fields(&fields) {
        return Ok(None);
    }
    let rows = RowConverter::new(fields)?.convert_columns(&[value.to_array()?])?;
    bytes.extend_from_slice(rows.row(0).as_ref());
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn values_that_are_displayed_alike_differ() {
        let texts = |values: &[Option<&str>]| {
            let values: Vec<_> = values.iter().map(|value| ScalarValue::from(*value)).collect();
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Utf8))
        };
        let numbers = |values: &[i64]| {
            let values: Vec<_> = values.iter().map(|value| ScalarValue::from(*value)).collect();
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Int64))
        };
        let nulls = ScalarValue::List(Arc::new(arrow::array::ListArray::new_null(
            Arc::new(arrow::datatypes::Field::new_list_field(DataType::Utf8, true)),
            1,
        )));
        let values = [
            texts(&[Some("a"), Some("b")]),
            texts(&[Some("a, b")]),
            texts(&[Some("")]),
            texts(&[None]),
            texts(&[]),
            nulls,
            numbers(&[1, 2]),
            numbers(&[12]),
        ];
        let keys: Vec<_> = values
            .iter()
            .map(|value| nested_key(value).unwrap().unwrap())
            .collect();
        for (place, key) in keys.iter().enumerate() {
            assert!(!keys[..place].contains(key), "{:?}", values[place]);
        }
    }
}
