//! `width_bucket(x, low, high, count)`: the bucket of `x` in a histogram of equally wide ones, 0 below and
//! `count + 1` above them.

use std::sync::Arc;

use arrow::array::{AsArray, Float64Array, Int32Array, Int64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

pub(super) fn width_bucket() -> Arc<ScalarUDF> {
    use DataType::{Float64, Int64};
    Arc::new(ScalarUDF::from(WidthBucket {
        signature: Signature::exact(vec![Float64, Float64, Float64, Int64], Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WidthBucket {
    signature: Signature,
}

impl ScalarUDFImpl for WidthBucket {
    fn name(&self) -> &str {
        "width_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [values, low, high, count] = columns.as_slice() else {
            return exec_err!("width_bucket takes four arguments");
        };
        let values: &Float64Array = values.as_primitive::<Float64Type>();
        let low: &Float64Array = low.as_primitive::<Float64Type>();
        let high: &Float64Array = high.as_primitive::<Float64Type>();
        let count: &Int64Array = count.as_primitive::<Int64Type>();
        let rows = values.iter().zip(low).zip(high).zip(count);
        let buckets = rows.map(|(((value, low), high), count)| match (value, low, high, count) {
            (Some(value), Some(low), Some(high), Some(count)) => bucket(value, low, high, count).map(Some),
            _ => Ok(None),
        });
        Ok(ColumnarValue::Array(Arc::new(
            buckets.collect::<Result<Int32Array>>()?,
        )))
    }
}

fn bucket(value: f64, low: f64, high: f64, count: i64) -> Result<i32> {
    let Some(count) = i32::try_from(count)
        .ok()
        .filter(|count| (1..i32::MAX).contains(count))
    else {
        return exec_err!("width_bucket takes a count of buckets greater than zero, not {count}");
    };
    if !low.is_finite() || !high.is_finite() || low == high || value.is_nan() {
        return exec_err!(
            "width_bucket takes bounds that are finite and differ, and a value that is a number"
        );
    }
    // Buckets may count down.
    let (value, low, high) = if low < high {
        (value, low, high)
    } else {
        (-value, -low, -high)
    };
    if value < low {
        return Ok(0);
    }
    if value >= high {
        return Ok(count + 1);
    }
    let place = ((value - low) / (high - low) * f64::from(count)).floor();
    // Within bounds, as the value is.
    Ok((place as i32).min(count - 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_counted_from_one() {
        fn check(value: f64, low: f64, high: f64, count: i64, expected: i32) {
            assert_eq!(bucket(value, low, high, count).unwrap(), expected, "{value}");
        }
        check(5.35, 0.024, 10.06, 5, 3);
        check(-1.0, 0.0, 10.0, 5, 0);
        check(10.0, 0.0, 10.0, 5, 6);
        check(0.0, 0.0, 10.0, 5, 1);
        check(9.0, 10.0, 0.0, 5, 1);
        check(11.0, 10.0, 0.0, 5, 0);
        assert!(bucket(1.0, 0.0, 10.0, 0).is_err());
        assert!(bucket(1.0, 3.0, 3.0, 4).is_err());
    }
}
