//! Exact sums of integers and decimals, by group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, PrimitiveArray, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Int64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::total::{Exact, Total};

/// The sum and the number of values of each group.
#[derive(Debug)]
pub(super) struct ExactGroups {
    exact: Exact,
    sums: Vec<i128>,
    counts: Vec<u64>,
}

impl ExactGroups {
    pub(super) fn new(exact: Exact) -> Self {
        Self {
            exact,
            sums: Vec::new(),
            counts: Vec::new(),
        }
    }

    fn add<T: ArrowPrimitiveType>(
        &mut self,
        values: &PrimitiveArray<T>,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        counts: Option<&UInt64Array>,
    ) -> Result<()>
    where
        i128: From<T::Native>,
    {
        let count = |row: usize| counts.map_or(1, |counts| counts.value(row));
        let mut beyond = false;
        let mut add = |row: usize, group: usize| {
            let (sum, overflow) = self.sums[group].overflowing_add(i128::from(values.value(row)));
            beyond |= overflow;
            self.sums[group] = sum;
            self.counts[group] += count(row);
        };
        match filter {
            None if values.null_count() == 0 => {
                groups
                    .iter()
                    .enumerate()
                    .for_each(|(row, group)| add(row, *group));
            }
            _ => {
                let taken = |row: usize| {
                    values.is_valid(row)
                        && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
                };
                for (row, group) in groups.iter().enumerate() {
                    if taken(row) {
                        add(row, *group);
                    }
                }
            }
        }
        match beyond {
            true => Err(self.exact.does_not_fit()),
            false => Ok(()),
        }
    }

    fn add_any(
        &mut self,
        values: &ArrayRef,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        counts: Option<&UInt64Array>,
        total: usize,
    ) -> Result<()> {
        self.sums.resize(total, 0);
        self.counts.resize(total, 0);
        match values.data_type() {
            DataType::Int64 => self.add::<Int64Type>(values.as_primitive(), groups, filter, counts),
            DataType::UInt64 => self.add::<UInt64Type>(values.as_primitive(), groups, filter, counts),
            DataType::Decimal128(_, _) => {
                self.add::<Decimal128Type>(values.as_primitive(), groups, filter, counts)
            }
            other => internal_err!("there is no exact sum of type {other}"),
        }
    }

    fn states(&self, sums: Vec<i128>, counts: Vec<u64>) -> Result<Vec<ArrayRef>> {
        let nulls: NullBuffer = counts.iter().map(|count| *count > 0).collect();
        let sums = Decimal128Array::new(sums.into(), Some(nulls)).with_data_type(self.exact.state_type());
        let mut states: Vec<ArrayRef> = vec![Arc::new(sums)];
        if self.exact.is_average() {
            states.push(Arc::new(UInt64Array::from(counts)));
        }
        Ok(states)
    }
}

impl GroupsAccumulator for ExactGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.add_any(&values[0], groups, filter, None, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        let counts = states.get(1).map(|counts| counts.as_primitive::<UInt64Type>());
        self.add_any(&states[0], groups, None, counts, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let sums = emit.take_needed(&mut self.sums);
        let counts = emit.take_needed(&mut self.counts);
        let totals = sums.into_iter().zip(counts);
        let values = totals
            .map(|(sum, count)| self.exact.value(Total { sum, count }))
            .collect::<Result<Vec<_>>>()?;
        match values.is_empty() {
            true => Ok(arrow::array::new_empty_array(&self.exact.output_type())),
            false => ScalarValue::iter_to_array(values),
        }
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums = emit.take_needed(&mut self.sums);
        let counts = emit.take_needed(&mut self.counts);
        self.states(sums, counts)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let groups: Vec<usize> = (0..rows).collect();
        let mut each = Self::new(self.exact.clone());
        each.update_batch(values, &groups, filter, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.counts.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn groups_are_summed_apart() {
        let exact = Exact::sum(&DataType::Int64, &DataType::Int64).unwrap();
        let mut groups = ExactGroups::new(exact.clone());
        let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(2), None, Some(1)]));
        let filter = BooleanArray::from(vec![Some(true), Some(true), Some(true), None]);
        groups
            .update_batch(&[Arc::clone(&values)], &[0, 1, 2, 0], Some(&filter), 3)
            .unwrap();
        let states = groups.state(EmitTo::First(2)).unwrap();
        let mut merged = ExactGroups::new(exact);
        merged.merge_batch(&states, &[0, 1], 2).unwrap();
        let expected = Int64Array::from(vec![Some(i64::MAX), Some(2)]);
        assert_eq!(merged.evaluate(EmitTo::All).unwrap().as_ref(), &expected);
        let rest = Int64Array::from(vec![None::<i64>]);
        assert_eq!(groups.evaluate(EmitTo::All).unwrap().as_ref(), &rest);
        groups.update_batch(&[values], &[0, 0, 0, 0], None, 1).unwrap();
        assert!(groups.evaluate(EmitTo::All).is_err());
    }
}
