//! `skewness(x)`, `kurtosis(x)` and `kurtosis_pop(x)`, as in DuckDB: NULL where there are too few values, or where
//! all of them are the same.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

pub(super) fn skewness() -> Arc<AggregateUDF> {
    function("skewness", |all| {
        let n = all.count;
        let shape = n.sqrt() * all.third / all.second.powf(1.5);
        (n > 2.0).then(|| (n * (n - 1.0)).sqrt() / (n - 2.0) * shape)
    })
}

pub(super) fn kurtosis() -> Arc<AggregateUDF> {
    function("kurtosis", |all| {
        let n = all.count;
        let shape = n * all.fourth / all.second.powi(2);
        (n > 3.0).then(|| (n - 1.0) * ((n + 1.0) * shape - 3.0 * (n - 1.0)) / ((n - 2.0) * (n - 3.0)))
    })
}

pub(super) fn kurtosis_pop() -> Arc<AggregateUDF> {
    function("kurtosis_pop", |all| {
        let n = all.count;
        (n > 1.0).then(|| n * all.fourth / all.second.powi(2) - 3.0)
    })
}

/// The result, where the values are not all the same.
type Finish = fn(&Moments) -> Option<f64>;

fn function(name: &'static str, finish: Finish) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(Function {
        name,
        finish,
        signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable),
    }))
}

#[derive(Debug)]
struct Function {
    name: &'static str,
    finish: Finish,
    signature: Signature,
}

// There is one function of a name.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl std::hash::Hash for Function {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Values {
            moments: Moments::default(),
            finish: self.finish,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let parts = ["count", "mean", "second", "third", "fourth"];
        let fields = parts.map(|part| {
            let name = format_state_name(args.name, part);
            Arc::new(Field::new(name, DataType::Float64, false))
        });
        Ok(fields.into())
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The sums of powers of the distances to the mean. They do not cancel out as sums of powers of the values do.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    second: f64,
    third: f64,
    fourth: f64,
}

impl Moments {
    fn of(value: f64) -> Self {
        Self {
            count: 1.0,
            mean: value,
            ..Self::default()
        }
    }

    /// The moments of both sets of values together, by the formulas of Chan and Pébay.
    fn with(self, other: Self) -> Self {
        let (a, b) = (self.count, other.count);
        let n = a + b;
        if a == 0.0 || b == 0.0 {
            return if a == 0.0 { other } else { self };
        }
        let delta = other.mean - self.mean;
        let step = delta / n;
        let spread = delta * step * a * b;
        Self {
            count: n,
            mean: self.mean + step * b,
            second: self.second + other.second + spread,
            third: self.third
                + other.third
                + spread * step * (a - b)
                + 3.0 * step * (a * other.second - b * self.second),
            fourth: self.fourth
                + other.fourth
                + spread * step * step * (a * a - a * b + b * b)
                + 6.0 * step * step * (a * a * other.second + b * b * self.second)
                + 4.0 * step * (a * other.third - b * self.third),
        }
    }
}

#[derive(Debug)]
struct Values {
    moments: Moments,
    finish: Finish,
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [column] = values else {
            return exec_err!("one argument is expected");
        };
        let numbers: &Float64Array = column.as_primitive::<Float64Type>();
        for number in numbers.iter().flatten() {
            self.moments = self.moments.with(Moments::of(number));
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let differ = self.moments.second != 0.0;
        Ok(ScalarValue::Float64(
            differ.then(|| (self.finish)(&self.moments)).flatten(),
        ))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let all = &self.moments;
        let parts = [all.count, all.mean, all.second, all.third, all.fourth];
        Ok(parts.map(ScalarValue::from).into())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let columns: Vec<&Float64Array> = states
            .iter()
            .map(|state| state.as_primitive::<Float64Type>())
            .collect();
        let [count, mean, second, third, fourth] = columns[..] else {
            return exec_err!("five parts of a state are expected");
        };
        for row in 0..count.len() {
            self.moments = self.moments.with(Moments {
                count: count.value(row),
                mean: mean.value(row),
                second: second.value(row),
                third: third.value(row),
                fourth: fourth.value(row),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_together_are_the_whole() {
        let values = [1.0, 2.0, 2.0, 9.0, 4.5];
        let of = |values: &[f64]| {
            let each = values.iter().map(|value| Moments::of(*value));
            each.fold(Moments::default(), Moments::with)
        };
        let whole = of(&values);
        for cut in 0..=values.len() {
            let parts = of(&values[..cut]).with(of(&values[cut..]));
            for (left, right) in [
                (parts.mean, whole.mean),
                (parts.second, whole.second),
                (parts.third, whole.third),
                (parts.fourth, whole.fourth),
            ] {
                assert!((left - right).abs() < 1e-9, "{cut}: {left} and {right}");
            }
        }
    }
}
