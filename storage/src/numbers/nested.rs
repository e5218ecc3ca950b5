//! Keys of nested values: bytes that are equal for equal lists, structures and maps, and sort as PostgreSQL and
//! DuckDB order them. Within a value NULL is greater than all else, whatever NULLS FIRST and DESC say of whole
//! values, floats are compared in their one form, and intervals by their length.
//!
//! Arrow compares nested values in several ways that differ: its comparison operators take a NULL within a value
//! for the least, sorts take it for what they are told of whole values, and minima of lists of lists fail. No
//! operator sees a nested value that is compared: plans compare keys.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, FixedSizeListArray, GenericListArray,
    IntervalMonthDayNanoArray, MapArray, OffsetSizeTrait, StructArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNanoType, IntervalUnit};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::{Expr, ScalarUDF};

use super::floats::{self, canonical_array};
use crate::functions::function::function;
use crate::functions::interval::{decode, encode};

/// The key of a value.
static KEY: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(function(
        "nested_key",
        &[],
        "nested_key(value)",
        |given| match given {
            [kind] if is_nested(kind) => Some((vec![kind.clone()], DataType::Binary)),
            _ => None,
        },
        |args, _| Ok(Arc::new(keys(&args[0])?)),
    ))
});

/// The code of a value: it sorts as the key does, and holds the value.
static CODE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(function(
        "nested_code",
        &[],
        "nested_code(value)",
        |given| match given {
            [kind] if is_nested(kind) => Some((vec![kind.clone()], DataType::Binary)),
            _ => None,
        },
        |args, _| Ok(Arc::new(codes(&args[0])?)),
    ))
});

/// The value of a code. The second argument gives the type alone.
static OF_CODE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(function(
        "nested_of_code",
        &[],
        "nested_of_code(code, value)",
        |given| match given {
            [DataType::Binary, kind] if is_nested(kind) => Some((given.to_vec(), kind.clone())),
            _ => None,
        },
        |args, kind| of_codes(args[0].as_binary(), kind),
    ))
});

/// The functions that rules call.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    [&KEY, &CODE, &OF_CODE]
        .into_iter()
        .map(|function| Arc::clone(function))
}

pub(super) fn key(expr: Expr) -> Expr {
    KEY.call(vec![expr])
}

pub(super) fn code(expr: Expr) -> Expr {
    CODE.call(vec![expr])
}

/// The value of a code, of the type of another expression.
pub(super) fn of_code(expr: Expr, like: Expr) -> Expr {
    OF_CODE.call(vec![expr, like])
}

/// Whether values of a type have keys.
pub(super) fn is_nested(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(_, _)
            | DataType::Struct(_)
            | DataType::Map(_, _)
    )
}

/// Whether keys of two types can be compared: names of fields and representations of texts may differ.
pub(super) fn alike(one: &DataType, other: &DataType) -> bool {
    use DataType::{Binary, BinaryView, FixedSizeList, LargeBinary, LargeList, List, Map, Struct};
    let is_bytes = |kind: &DataType| matches!(kind, Binary | LargeBinary | BinaryView);
    match (one, other) {
        (List(one) | LargeList(one), List(other) | LargeList(other)) => {
            alike(one.data_type(), other.data_type())
        }
        (FixedSizeList(one, length), FixedSizeList(other, other_length)) => {
            length == other_length && alike(one.data_type(), other.data_type())
        }
        (Map(one, _), Map(other, _)) => alike(one.data_type(), other.data_type()),
        (Struct(ones), Struct(others)) => {
            ones.len() == others.len()
                && ones
                    .iter()
                    .zip(others)
                    .all(|(one, other)| alike(one.data_type(), other.data_type()))
        }
        (one, other) => {
            one == other || one.is_string() && other.is_string() || is_bytes(one) && is_bytes(other)
        }
    }
}

/// Whether a nested type has floats in it, whose values have more than one form.
pub(super) fn has_floats(kind: &DataType) -> bool {
    match kind {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => has_floats(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        other => floats::is_float(other),
    }
}

/// The keys of the values of an array; NULL of NULL.
fn keys(array: &ArrayRef) -> Result<BinaryArray> {
    let comparable = mapped(array, &|leaf| match leaf.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let intervals = leaf.as_primitive::<IntervalMonthDayNanoType>();
            // The length in the first bytes of the code.
            fixed(intervals, |interval| encode(interval)[..16].to_vec(), 16)
        }
        _ => one_form(leaf),
    })?;
    rows(&comparable)
}

/// The codes of the values of an array; NULL of NULL.
pub(super) fn codes(array: &ArrayRef) -> Result<BinaryArray> {
    let comparable = mapped(array, &|leaf| match leaf.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let intervals = leaf.as_primitive::<IntervalMonthDayNanoType>();
            fixed(intervals, |interval| encode(interval).to_vec(), CODE_LENGTH)
        }
        _ => one_form(leaf),
    })?;
    rows(&comparable)
}

const CODE_LENGTH: i32 = 24;

/// The values of codes.
pub(super) fn of_codes(codes: &BinaryArray, kind: &DataType) -> Result<ArrayRef> {
    let converter = converter(&coded(kind))?;
    let parser = converter.parser();
    let null = {
        let nothing = arrow::array::new_null_array(&coded(kind), 1);
        converter.convert_columns(&[nothing])?
    };
    let found = codes
        .iter()
        .map(|code| parser.parse(code.unwrap_or_else(|| null.row(0).data())));
    let Some(values) = converter.convert_rows(found)?.pop() else {
        return internal_err!("codes of nested values gave no column");
    };
    decoded(&values, kind)
}

fn rows(array: &ArrayRef) -> Result<BinaryArray> {
    let rows = converter(array.data_type())?.convert_columns(std::slice::from_ref(array))?;
    let (offsets, bytes, _) = rows.try_into_binary()?.into_parts();
    Ok(BinaryArray::new(offsets, bytes, array.logical_nulls()))
}

fn converter(kind: &DataType) -> Result<RowConverter> {
    let options = SortOptions {
        descending: false,
        nulls_first: false,
    };
    let field = SortField::new_with_options(kind.clone(), options);
    Ok(RowConverter::new(vec![field])?)
}

fn one_form(leaf: &ArrayRef) -> Result<ArrayRef> {
    match floats::is_float(leaf.data_type()) {
        true => canonical_array(leaf),
        false => Ok(Arc::clone(leaf)),
    }
}

fn fixed(
    intervals: &IntervalMonthDayNanoArray,
    bytes: impl Fn(arrow::datatypes::IntervalMonthDayNano) -> Vec<u8>,
    width: i32,
) -> Result<ArrayRef> {
    let values = intervals.iter().map(|interval| interval.map(&bytes));
    let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, width)?;
    Ok(Arc::new(array))
}

type Leaf<'l> = &'l dyn Fn(&ArrayRef) -> Result<ArrayRef>;

/// The array with its innermost arrays replaced; itself where none is.
pub(super) fn mapped(array: &ArrayRef, leaf: Leaf<'_>) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::List(field) => list::<i32>(array, field, leaf),
        DataType::LargeList(field) => list::<i64>(array, field, leaf),
        DataType::FixedSizeList(field, length) => {
            let lists = array.as_fixed_size_list();
            let values = mapped(lists.values(), leaf)?;
            if Arc::ptr_eq(&values, lists.values()) {
                return Ok(Arc::clone(array));
            }
            let field = with_type(field, values.data_type());
            let nulls = lists.nulls().cloned();
            Ok(Arc::new(FixedSizeListArray::try_new(
                field, *length, values, nulls,
            )?))
        }
        DataType::Struct(_) => match structure(array.as_struct(), leaf)? {
            Some(changed) => Ok(Arc::new(changed)),
            None => Ok(Arc::clone(array)),
        },
        DataType::Map(field, ordered) => {
            let map = array.as_map();
            let Some(entries) = structure(map.entries(), leaf)? else {
                return Ok(Arc::clone(array));
            };
            let field = with_type(field, entries.data_type());
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(
                field, offsets, entries, nulls, *ordered,
            )?))
        }
        _ => leaf(array),
    }
}

fn list<O: OffsetSizeTrait>(array: &ArrayRef, field: &FieldRef, leaf: Leaf<'_>) -> Result<ArrayRef> {
    let lists = array.as_list::<O>();
    let values = mapped(lists.values(), leaf)?;
    if Arc::ptr_eq(&values, lists.values()) {
        return Ok(Arc::clone(array));
    }
    let field = with_type(field, values.data_type());
    let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
    Ok(Arc::new(GenericListArray::<O>::try_new(
        field, offsets, values, nulls,
    )?))
}

fn structure(array: &StructArray, leaf: Leaf<'_>) -> Result<Option<StructArray>> {
    let columns = array
        .columns()
        .iter()
        .map(|column| mapped(column, leaf))
        .collect::<Result<Vec<_>>>()?;
    let same = |(new, old): (&ArrayRef, &ArrayRef)| Arc::ptr_eq(new, old);
    if columns.iter().zip(array.columns()).all(same) {
        return Ok(None);
    }
    let fields = array
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| with_type(field, column.data_type()));
    let nulls: Option<NullBuffer> = array.nulls().cloned();
    Ok(Some(StructArray::try_new(fields.collect(), columns, nulls)?))
}

fn with_type(field: &FieldRef, kind: &DataType) -> FieldRef {
    match field.data_type() == kind {
        true => Arc::clone(field),
        false => Arc::new(Field::clone(field).with_data_type(kind.clone())),
    }
}

/// The type of what codes are made of.
fn coded(kind: &DataType) -> DataType {
    let of = |field: &FieldRef| with_type(field, &coded(field.data_type()));
    match kind {
        DataType::List(field) => DataType::List(of(field)),
        DataType::LargeList(field) => DataType::LargeList(of(field)),
        DataType::FixedSizeList(field, length) => DataType::FixedSizeList(of(field), *length),
        DataType::Map(field, ordered) => DataType::Map(of(field), *ordered),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(of).collect()),
        DataType::Interval(IntervalUnit::MonthDayNano) => DataType::FixedSizeBinary(CODE_LENGTH),
        other => other.clone(),
    }
}

/// Intervals for their codes, where the type has intervals.
fn decoded(values: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    if coded(kind) == *kind {
        return Ok(Arc::clone(values));
    }
    // Bytes of that width are no type of columns.
    let back = mapped(values, &|leaf| match leaf.data_type() {
        DataType::FixedSizeBinary(CODE_LENGTH) => {
            let intervals: IntervalMonthDayNanoArray = leaf
                .as_fixed_size_binary()
                .iter()
                .map(|code| code.map(decode).transpose())
                .collect::<Result<_>>()?;
            Ok(Arc::new(intervals))
        }
        _ => Ok(Arc::clone(leaf)),
    })?;
    match back.data_type() == kind {
        true => Ok(back),
        false => exec_err!("codes of nested values are of type {}", back.data_type()),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::IntervalMonthDayNano;
    use datafusion::common::ScalarValue;

    use super::*;

    fn lists(values: ArrayRef, lengths: &[usize]) -> ArrayRef {
        let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
        Arc::new(GenericListArray::<i32>::try_new(field, offsets, values, None).unwrap())
    }

    fn sorted(array: &ArrayRef) {
        for keys in [keys(array).unwrap(), codes(array).unwrap()] {
            let keys: Vec<_> = keys.iter().collect();
            assert!(keys.is_sorted_by(|one, other| one < other), "{keys:?}");
        }
        let back = of_codes(&codes(array).unwrap(), array.data_type()).unwrap();
        assert_eq!(&back, array);
    }

    #[test]
    fn nulls_within_are_the_greatest_and_prefixes_the_least() {
        let values = vec![
            Some(1),
            Some(1),
            Some(2),
            Some(1),
            None,
            Some(2),
            None,
            None,
            Some(1),
        ];
        let values: ArrayRef = Arc::new(Int64Array::from(values));
        // [], [1], [1, 2], [1, NULL], [2], [NULL], [NULL, 1]
        let one = lists(values, &[0, 1, 2, 2, 1, 1, 2]);
        sorted(&one);
        sorted(&lists(one.clone(), &[0, 1, 2, 4]));
        let fields = vec![Field::new("a", one.data_type().clone(), true)];
        sorted(&(Arc::new(StructArray::new(fields.into(), vec![one], None)) as ArrayRef));
    }

    #[test]
    fn floats_have_one_form() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN]));
        let keys = keys(&lists(values, &[1, 1, 1, 1])).unwrap();
        assert_eq!(keys.value(0), keys.value(1));
        assert_eq!(keys.value(2), keys.value(3));
        assert!(keys.value(0) < keys.value(2));
    }

    #[test]
    fn intervals_are_compared_by_length_and_stay_what_they_are() {
        let of = IntervalMonthDayNano::new;
        let values = vec![of(0, 29, 0), of(0, 30, 0), of(1, 0, 0), of(0, 31, 0)];
        let values = lists(Arc::new(IntervalMonthDayNanoArray::from(values)), &[1, 1, 1, 1]);
        let found = keys(&values).unwrap();
        assert_eq!(found.value(1), found.value(2));
        assert!(found.value(0) < found.value(1) && found.value(2) < found.value(3));
        let back = of_codes(&codes(&values).unwrap(), values.data_type()).unwrap();
        assert_eq!(&back, &values);
    }

    #[test]
    fn null_has_no_key() {
        let kind = lists(Arc::new(Int64Array::from(vec![1])), &[1])
            .data_type()
            .clone();
        let array = ScalarValue::try_from(&kind).unwrap().to_array_of_size(2).unwrap();
        assert_eq!(keys(&array).unwrap().null_count(), 2);
        assert_eq!(&of_codes(&codes(&array).unwrap(), &kind).unwrap(), &array);
    }
}
