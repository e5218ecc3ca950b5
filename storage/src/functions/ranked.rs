//! `mode` and `quantile_disc`: aggregates that count how often each value stands in a group. Those that rank values from
//! the largest on are functions of their own, which `WITHIN GROUP (ORDER BY x DESC)` calls: the direction is a part of
//! the name, so that it reaches every process.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

/// `mode(x)`: the value that stands there most often, and of several the smallest.
pub(super) fn mode() -> Arc<AggregateUDF> {
    ranked("mode", 1, true, false)
}

/// `mode() WITHIN GROUP (ORDER BY x DESC)`: of several values the largest.
pub(super) fn mode_descending() -> Arc<AggregateUDF> {
    ranked(DESCENDING[0], 1, true, true)
}

/// `quantile_disc(x, p)`: the first value such that a part `p` of all values are not larger.
pub(super) fn quantile_disc() -> Arc<AggregateUDF> {
    ranked("quantile_disc", 2, false, false)
}

/// `percentile_disc(p) WITHIN GROUP (ORDER BY x DESC)`: the first value such that a part `p` of all are not smaller.
pub(super) fn quantile_disc_descending() -> Arc<AggregateUDF> {
    ranked(DESCENDING[1], 2, false, true)
}

/// The functions that statements do not call by their names.
pub(super) const DESCENDING: [&str; 2] = ["__mode_descending", "__quantile_disc_descending"];

fn ranked(name: &'static str, arity: usize, is_mode: bool, descending: bool) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(Ranked {
        name,
        is_mode,
        descending,
        signature: Signature::any(arity, Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ranked {
    name: &'static str,
    is_mode: bool,
    descending: bool,
    signature: Signature,
}

impl AggregateUDFImpl for Ranked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(data_type) if data_type.is_nested() => {
                plan_err!("{} does not take {data_type}", self.name)
            }
            Some(data_type) => Ok(data_type.clone()),
            None => plan_err!("{} takes an argument", self.name),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Counts {
            data_type: args.return_field.data_type().clone(),
            counts: HashMap::new(),
            bytes: 0,
            part: None,
            is_mode: self.is_mode,
            descending: self.descending,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |name: &str, data_type: DataType| {
            let name = format_state_name(args.name, name);
            Arc::new(Field::new_list(
                name,
                Field::new_list_field(data_type, true),
                true,
            ))
        };
        Ok(vec![
            list("values", args.return_field.data_type().clone()),
            list("counts", DataType::Int64),
            Arc::new(Field::new(
                format_state_name(args.name, "part"),
                DataType::Float64,
                true,
            )),
        ])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[derive(Debug)]
struct Counts {
    data_type: DataType,
    counts: HashMap<ScalarValue, i64>,
    /// Of the values.
    bytes: usize,
    /// The second argument of `quantile_disc`.
    part: Option<f64>,
    is_mode: bool,
    descending: bool,
}

impl Counts {
    fn add(&mut self, value: ScalarValue, count: i64) {
        if value.is_null() {
            return;
        }
        let bytes = value.size();
        let counted = self.counts.entry(canonical(value)).or_insert_with(|| {
            self.bytes += bytes;
            0
        });
        *counted = counted.saturating_add(count);
    }

    /// Which of two values is ranked first.
    fn rank(&self, a: &ScalarValue, b: &ScalarValue) -> Ordering {
        match self.descending {
            true => order(b, a),
            false => order(a, b),
        }
    }

    fn most_frequent(&self) -> Option<&ScalarValue> {
        let better = |a: &(&ScalarValue, &i64), b: &(&ScalarValue, &i64)| {
            a.1.cmp(b.1).then_with(|| self.rank(b.0, a.0))
        };
        self.counts.iter().max_by(better).map(|(value, _)| value)
    }

    fn quantile(&self, part: f64) -> Result<Option<&ScalarValue>> {
        if !(0.0..=1.0).contains(&part) {
            return exec_err!("quantile_disc takes a part between 0 and 1, not {part}");
        }
        let mut sorted: Vec<(&ScalarValue, i64)> =
            self.counts.iter().map(|(value, count)| (value, *count)).collect();
        sorted.sort_by(|a, b| self.rank(a.0, b.0));
        let total: i64 = sorted.iter().map(|(_, count)| *count).sum();
        let mut before = 0;
        for (value, count) in &sorted {
            before += count;
            if before as f64 >= part * total as f64 {
                return Ok(Some(*value));
            }
        }
        Ok(sorted.last().map(|(value, _)| *value))
    }
}

/// The two zeros are one value.
fn canonical(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float64(Some(number)) => ScalarValue::Float64(Some(number + 0.0)),
        ScalarValue::Float32(Some(number)) => ScalarValue::Float32(Some(number + 0.0)),
        other => other,
    }
}

fn order(a: &ScalarValue, b: &ScalarValue) -> Ordering {
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(column) = values.first() else {
            return exec_err!("an aggregate got no argument");
        };
        if let Some(part) = values.get(1)
            && self.part.is_none()
        {
            let parts = arrow::compute::cast(part, &DataType::Float64)?;
            self.part = parts.as_primitive::<Float64Type>().iter().flatten().next();
        }
        for row in 0..column.len() {
            if column.is_valid(row) {
                self.add(ScalarValue::try_from_array(column, row)?, 1);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let found = match self.part {
            _ if self.is_mode => self.most_frequent(),
            Some(part) => self.quantile(part)?,
            None => None,
        };
        match found {
            Some(value) => Ok(value.clone()),
            None => ScalarValue::try_from(&self.data_type),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes + self.counts.capacity() * size_of::<(ScalarValue, i64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (values, counts): (Vec<ScalarValue>, Vec<ScalarValue>) = self
            .counts
            .drain()
            .map(|(value, count)| (value, ScalarValue::Int64(Some(count))))
            .unzip();
        Ok(vec![
            ScalarValue::List(ScalarValue::new_list_nullable(&values, &self.data_type)),
            ScalarValue::List(ScalarValue::new_list_nullable(&counts, &DataType::Int64)),
            ScalarValue::Float64(self.part),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts, parts] = states else {
            return exec_err!(
                "the state of an aggregate has {} parts and not three",
                states.len()
            );
        };
        let (values, counts): (&ListArray, &ListArray) = (values.as_list(), counts.as_list());
        let parts: &Float64Array = parts.as_primitive();
        self.part = self.part.or_else(|| parts.iter().flatten().next());
        for (values, counts) in values.iter().zip(counts.iter()) {
            let (Some(values), Some(counts)) = (values, counts) else {
                continue;
            };
            let counts: &Int64Array = counts.as_primitive::<Int64Type>();
            for row in 0..values.len().min(counts.len()) {
                self.add(ScalarValue::try_from_array(&values, row)?, counts.value(row));
            }
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(column) = values.first() else {
            return exec_err!("an aggregate got no argument");
        };
        for row in 0..column.len() {
            let value = canonical(ScalarValue::try_from_array(column, row)?);
            if let Some(count) = self.counts.get_mut(&value) {
                *count -= 1;
                if *count <= 0 {
                    self.bytes = self.bytes.saturating_sub(value.size());
                    self.counts.remove(&value);
                }
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}
