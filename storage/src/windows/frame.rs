//! An aggregate over the rows of each frame, computed from them alone: for aggregates that cannot take a row back
//! as a frame moves on, and for frames that leave rows out.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::filter;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};

use super::computed::{Ends, Partition};
use super::exclusion::Exclusion;

/// Begins the names of these functions. What a function is stands in its name, so that a plan that names it
/// means the same in every process.
const PREFIX: &str = "frame/";

/// What a call is beside the aggregate and its arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) distinct: bool,
    /// The argument behind those of the aggregate is the condition of FILTER.
    pub(super) filter: bool,
    pub(super) exclusion: Option<Exclusion>,
    /// The last arguments are the ends of frames.
    pub(super) ends: Option<Ends>,
}

impl Shape {
    /// The arguments that are not the aggregate's.
    fn others(self) -> usize {
        usize::from(self.filter) + self.ends.map_or(0, Ends::columns)
    }
}

/// The window function that computes an aggregate over each frame.
pub(super) fn function(aggregate: Arc<AggregateUDF>, shape: Shape) -> Arc<WindowUDF> {
    let exclusion = shape.exclusion.map_or("no others", Exclusion::name);
    let distinct = if shape.distinct { "distinct" } else { "all" };
    let filter = if shape.filter { "filter" } else { "every" };
    let ends = shape.ends.map_or_else(|| "as given".to_owned(), Ends::name);
    let name = format!(
        "{PREFIX}{}/{distinct}/{filter}/{exclusion}/{ends}",
        aggregate.name()
    );
    Arc::new(WindowUDF::from(FrameAggregate {
        name,
        aggregate,
        shape,
        signature: Signature::variadic_any(Volatility::Immutable),
    }))
}

/// The function that a name stands for, if it is one of these.
pub(crate) fn named(
    name: &str,
    aggregate: impl FnOnce(&str) -> Option<Arc<AggregateUDF>>,
) -> Option<Arc<WindowUDF>> {
    let mut parts = name.strip_prefix(PREFIX)?.split('/');
    let aggregate = aggregate(parts.next()?)?;
    let shape = Shape {
        distinct: parts.next()? == "distinct",
        filter: parts.next()? == "filter",
        exclusion: Exclusion::named(parts.next()?),
        ends: parts
            .next()
            .and_then(|name| Ends::all().find(|ends| ends.name() == name)),
    };
    Some(function(aggregate, shape))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FrameAggregate {
    name: String,
    aggregate: Arc<AggregateUDF>,
    shape: Shape,
    signature: Signature,
}

impl WindowUDFImpl for FrameAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    // The call was typed as one of the aggregate.
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let fields = args.input_fields();
        let fields = &fields[..fields.len().saturating_sub(self.shape.others())];
        let field = self.aggregate.return_field(fields)?;
        Ok(Arc::new(field.as_ref().clone().with_name(args.name())))
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        let count = args.input_exprs().len();
        let own = match count.checked_sub(self.shape.others()) {
            Some(own) if count == args.input_fields().len() => own,
            _ => return internal_err!("a call of {} has other arguments than types", self.name),
        };
        let make = Make::of(
            &self.aggregate,
            &args.input_exprs()[..own],
            &args.input_fields()[..own],
            self.shape.distinct,
            args.ignore_nulls(),
        )?;
        // What is wrong with the arguments is found when the statement is planned.
        make.accumulator()?;
        Ok(Box::new(Frames {
            make,
            shape: self.shape,
            row: 0,
            growing: None,
            partition: None,
        }))
    }
}

/// All that is needed to make an accumulator of an aggregate.
#[derive(Debug)]
pub(super) struct Make {
    aggregate: Arc<AggregateUDF>,
    schema: Schema,
    args: Vec<Arc<dyn PhysicalExpr>>,
    fields: Vec<FieldRef>,
    result: FieldRef,
    distinct: bool,
    ignore_nulls: bool,
}

impl Make {
    /// Aggregates look into arguments that are literals. Others are columns here, as their values are given.
    pub(super) fn of(
        aggregate: &Arc<AggregateUDF>,
        args: &[Arc<dyn PhysicalExpr>],
        fields: &[FieldRef],
        distinct: bool,
        ignore_nulls: bool,
    ) -> Result<Self> {
        let args = args
            .iter()
            .enumerate()
            .map(|(index, arg)| match arg.is::<Literal>() {
                true => Arc::clone(arg),
                false => Arc::new(Column::new(fields[index].name(), index)) as _,
            });
        Ok(Self {
            aggregate: Arc::clone(aggregate),
            schema: Schema::new(fields.to_vec()),
            args: args.collect(),
            fields: fields.to_vec(),
            result: aggregate.return_field(fields)?,
            distinct,
            ignore_nulls,
        })
    }

    fn args(&self) -> AccumulatorArgs<'_> {
        AccumulatorArgs {
            return_field: Arc::clone(&self.result),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: &[],
            is_reversed: false,
            name: self.aggregate.name(),
            is_distinct: self.distinct,
            exprs: &self.args,
            expr_fields: &self.fields,
        }
    }

    fn accumulator(&self) -> Result<Box<dyn Accumulator>> {
        self.aggregate.accumulator(self.args())
    }

    /// Whether DataFusion can move the frame of the aggregate.
    pub(super) fn takes_rows_back(&self) -> bool {
        self.aggregate
            .create_sliding_accumulator(self.args())
            .is_ok_and(|accumulator| accumulator.supports_retract_batch())
    }
}

/// The frames of one partition, one row after the other.
#[derive(Debug)]
struct Frames {
    make: Make,
    shape: Shape,
    /// The current row.
    row: usize,
    /// The accumulator of the last frame, which may go on while only the frame's end moves.
    growing: Option<(Range<usize>, Box<dyn Accumulator>)>,
    /// Where frames are found, once it is known.
    partition: Option<Partition>,
}

impl PartitionEvaluator for Frames {
    fn uses_window_frame(&self) -> bool {
        true
    }

    // The current row is known by its number, so that the partition has to be there as a whole.
    fn supports_bounded_execution(&self) -> bool {
        false
    }

    /// The values are those of the arguments, and behind them those of ORDER BY.
    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let row = self.row;
        self.row += 1;
        let own = self.make.args.len();
        let inputs = own + self.shape.others();
        if values.len() < inputs {
            return internal_err!("a window has fewer columns than arguments");
        }
        let condition = match self.shape.filter {
            true => Some(values[own].as_boolean()),
            false => None,
        };
        let (args, keys) = (&values[..own], &values[inputs..]);
        let found = match (self.shape.ends, keys) {
            (None, _) => None,
            (Some(ends), [key]) => {
                let columns = &values[inputs - ends.columns()..inputs];
                let partition = match self.partition.take() {
                    Some(partition) => partition,
                    None => Partition::new(key, ends)?,
                };
                let found = partition.frame(row, ends, columns)?;
                self.partition = Some(partition);
                Some(found)
            }
            _ => return internal_err!("a frame of RANGE has {} keys", keys.len()),
        };
        let range = found.as_ref().unwrap_or(range);
        let Some(exclusion) = self.shape.exclusion else {
            let (seen, mut accumulator) = match self.growing.take() {
                Some((seen, accumulator)) if seen.start == range.start && seen.end <= range.end => {
                    (seen.end, accumulator)
                }
                _ => (range.start, self.make.accumulator()?),
            };
            update(accumulator.as_mut(), args, condition, seen..range.end)?;
            let value = accumulator.evaluate()?;
            self.growing = Some((range.clone(), accumulator));
            return Ok(value);
        };
        let mut accumulator = self.make.accumulator()?;
        for part in parts(range, row, exclusion, keys)? {
            update(accumulator.as_mut(), args, condition, part)?;
        }
        accumulator.evaluate()
    }
}

/// The ranges of a frame without what is excluded.
fn parts(
    frame: &Range<usize>,
    row: usize,
    exclusion: Exclusion,
    keys: &[ArrayRef],
) -> Result<Vec<Range<usize>>> {
    let nothing = row..row;
    let excluded = match exclusion {
        Exclusion::CurrentRow => [row..row + 1, nothing],
        Exclusion::Group => [peers(frame, row, keys)?, nothing],
        Exclusion::Ties => {
            let peers = peers(frame, row, keys)?;
            [peers.start..row, row + 1..peers.end]
        }
    };
    let mut parts = vec![frame.clone()];
    for gap in excluded.into_iter().filter(|gap| !gap.is_empty()) {
        let split = parts.into_iter().flat_map(|part| {
            [
                part.start..part.end.min(gap.start),
                part.start.max(gap.end)..part.end,
            ]
        });
        parts = split.filter(|part| !part.is_empty()).collect();
    }
    Ok(parts)
}

/// The peers of a row as far as they are near its frame; all rows are peers where there is no order.
fn peers(frame: &Range<usize>, row: usize, keys: &[ArrayRef]) -> Result<Range<usize>> {
    let Some(rows) = keys.first().map(|key| key.len()) else {
        return Ok(frame.start.min(row)..frame.end.max(row + 1));
    };
    let at = |index: usize| -> Result<Vec<ScalarValue>> {
        keys.iter()
            .map(|key| ScalarValue::try_from_array(key, index))
            .collect()
    };
    let own = at(row)?;
    let (mut start, mut end) = (row, row + 1);
    while start > frame.start && at(start - 1)? == own {
        start -= 1;
    }
    while end < frame.end.min(rows) && at(end)? == own {
        end += 1;
    }
    Ok(start..end)
}

fn update(
    accumulator: &mut dyn Accumulator,
    args: &[ArrayRef],
    condition: Option<&BooleanArray>,
    rows: Range<usize>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let slices = args.iter().map(|arg| arg.slice(rows.start, rows.len()));
    let slices: Vec<ArrayRef> = match condition {
        Some(condition) => {
            let condition = condition.slice(rows.start, rows.len());
            slices
                .map(|slice| filter(&slice, &condition))
                .collect::<Result<_, _>>()?
        }
        None => slices.collect(),
    };
    accumulator.update_batch(&slices)
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn what_is_left_of_a_frame() {
        let keys: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 2, 2, 2, 3]))];
        let check = |frame: Range<usize>, row, exclusion, expected: &[Range<usize>]| {
            assert_eq!(parts(&frame, row, exclusion, &keys).unwrap(), expected);
        };
        check(0..5, 2, Exclusion::CurrentRow, &[0..2, 3..5]);
        check(0..5, 2, Exclusion::Group, &[0..1, 4..5]);
        check(0..5, 2, Exclusion::Ties, &[0..1, 2..3, 4..5]);
        check(0..2, 2, Exclusion::Ties, std::slice::from_ref(&(0..1)));
        check(3..5, 1, Exclusion::Group, std::slice::from_ref(&(4..5)));
        check(0..1, 0, Exclusion::CurrentRow, &[]);
        assert!(parts(&(0..3), 1, Exclusion::Group, &[]).unwrap().is_empty());
        let alone = parts(&(0..3), 1, Exclusion::Ties, &[]).unwrap();
        assert_eq!(alone.as_slice(), std::slice::from_ref(&(1..2)));
    }
}
