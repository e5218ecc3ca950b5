//! How many bytes values take, whatever else is in the buffers that they share.

use arrow::array::cast::AsArray;
use arrow::array::{AnyDictionaryArray, Array, ArrayRef, OffsetSizeTrait};
use arrow::datatypes::{DataType, Int32Type};

/// A number of each value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// All have the same.
    Same(u64),
    Each(Vec<u64>),
}

impl Sizes {
    pub(super) fn at(&self, row: usize) -> u64 {
        match self {
            Self::Same(size) => *size,
            Self::Each(sizes) => sizes.get(row).copied().unwrap_or(0),
        }
    }

    /// That of each list, by where each list ends.
    fn of_lists(&self, offsets: impl Iterator<Item = (usize, usize)>) -> Self {
        match self {
            Self::Same(size) => Self::Each(offsets.map(|(from, to)| (to - from) as u64 * size).collect()),
            Self::Each(sizes) => {
                let before: Vec<u64> = std::iter::once(0)
                    .chain(sizes.iter().scan(0_u64, |sum, size| {
                        *sum += size;
                        Some(*sum)
                    }))
                    .collect();
                let at = |place: usize| before.get(place).copied().unwrap_or(0);
                Self::Each(offsets.map(|(from, to)| at(to) - at(from)).collect())
            }
        }
    }
}

fn pairs<O: OffsetSizeTrait>(offsets: &[O]) -> impl Iterator<Item = (usize, usize)> {
    let first = offsets.first().map_or(0, |first| first.as_usize());
    offsets
        .windows(2)
        .map(move |pair| (pair[0].as_usize() - first, pair[1].as_usize() - first))
}

fn differences<O: OffsetSizeTrait>(offsets: &[O]) -> Sizes {
    Sizes::Each(pairs(offsets).map(|(from, to)| (to - from) as u64).collect())
}

/// The values that lie between the first offset and the last.
fn between<O: OffsetSizeTrait>(values: &ArrayRef, offsets: &[O]) -> ArrayRef {
    let (first, last) = match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => (first.as_usize(), last.as_usize()),
        _ => (0, 0),
    };
    values.slice(first, last - first)
}

/// The bytes of each value.
pub(super) fn sizes(values: &ArrayRef) -> Sizes {
    match values.data_type() {
        DataType::Null => Sizes::Same(0),
        DataType::Utf8 => differences(values.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => differences(values.as_string::<i64>().value_offsets()),
        DataType::Binary => differences(values.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => differences(values.as_binary::<i64>().value_offsets()),
        DataType::Utf8View => views(values.as_string_view().views()),
        DataType::BinaryView => views(values.as_binary_view().views()),
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            let offsets = list.value_offsets();
            sizes(&between(list.values(), offsets)).of_lists(pairs(offsets))
        }
        DataType::LargeList(_) => {
            let list = values.as_list::<i64>();
            let offsets = list.value_offsets();
            sizes(&between(list.values(), offsets)).of_lists(pairs(offsets))
        }
        DataType::Map(_, _) => {
            let map = values.as_map();
            let offsets = map.value_offsets();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            sizes(&between(&entries, offsets)).of_lists(pairs(offsets))
        }
        DataType::FixedSizeList(_, length) => {
            let (list, length) = (values.as_fixed_size_list(), usize::try_from(*length).unwrap_or(0));
            let places = (0..list.len()).map(|row| (row * length, (row + 1) * length));
            sizes(list.values()).of_lists(places)
        }
        DataType::Struct(_) => {
            let columns: Vec<Sizes> = values.as_struct().columns().iter().map(sizes).collect();
            let row = |row| columns.iter().map(|column| column.at(row)).sum();
            Sizes::Each((0..values.len()).map(row).collect())
        }
        DataType::Dictionary(_, _) => {
            let dictionary = values.as_any_dictionary();
            let of_values = sizes(dictionary.values());
            Sizes::Each(
                keys(dictionary)
                    .into_iter()
                    .map(|key| of_values.at(key))
                    .collect(),
            )
        }
        DataType::RunEndEncoded(_, _) => match values.as_run_opt::<Int32Type>() {
            Some(runs) => {
                let of_values = sizes(runs.values());
                let place = |row| of_values.at(runs.get_physical_index(row));
                Sizes::Each((0..values.len()).map(place).collect())
            }
            None => Sizes::Same(total(values)),
        },
        kind => Sizes::Same(width(kind)),
    }
}

fn keys(dictionary: &dyn AnyDictionaryArray) -> Vec<usize> {
    match dictionary.values().is_empty() {
        true => Vec::new(),
        false => dictionary.normalized_keys(),
    }
}

fn views(views: &[u128]) -> Sizes {
    // The length of a text stands in the lowest bits of its view.
    let length = |view: &u128| u64::from(u32::try_from(view & u128::from(u32::MAX)).unwrap_or(u32::MAX));
    Sizes::Each(views.iter().map(length).collect())
}

/// The elements of each list; none of what is no list.
pub(super) fn lengths(values: &ArrayRef) -> Sizes {
    match values.data_type() {
        DataType::List(_) => differences(values.as_list::<i32>().value_offsets()),
        DataType::LargeList(_) => differences(values.as_list::<i64>().value_offsets()),
        DataType::Map(_, _) => differences(values.as_map().value_offsets()),
        DataType::FixedSizeList(_, length) => Sizes::Same(u64::try_from(*length).unwrap_or(0)),
        _ => Sizes::Same(0),
    }
}

/// The bytes of all values.
pub(super) fn total(values: &ArrayRef) -> u64 {
    fn span<O: OffsetSizeTrait>(offsets: &[O]) -> u64 {
        match (offsets.first(), offsets.last()) {
            (Some(first), Some(last)) => (last.as_usize() - first.as_usize()) as u64,
            _ => 0,
        }
    }
    match values.data_type() {
        DataType::Utf8 => span(values.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => span(values.as_string::<i64>().value_offsets()),
        DataType::Binary => span(values.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => span(values.as_binary::<i64>().value_offsets()),
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            total(&between(list.values(), list.value_offsets()))
        }
        kind if !kind.is_nested() && !matches!(kind, DataType::Utf8View | DataType::BinaryView) => {
            width(kind) * values.len() as u64
        }
        _ => match sizes(values) {
            Sizes::Same(size) => size * values.len() as u64,
            Sizes::Each(sizes) => sizes.into_iter().sum(),
        },
    }
}

/// The bytes that a value of the type has in any case, also a NULL.
pub(super) fn width(kind: &DataType) -> u64 {
    match kind {
        DataType::Null => 0,
        DataType::Boolean => 1,
        DataType::FixedSizeBinary(width) => u64::try_from(*width).unwrap_or(0),
        DataType::FixedSizeList(item, length) => {
            let length = u64::try_from(*length).unwrap_or(0);
            length.saturating_mul(width(item.data_type()).max(1))
        }
        DataType::Struct(fields) => fields
            .iter()
            .map(|field| width(field.data_type()))
            .fold(0, u64::saturating_add),
        DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _) => 4,
        // Where it begins in what all values share.
        DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(_, _) => 4,
        DataType::LargeUtf8 | DataType::LargeBinary | DataType::LargeList(_) => 8,
        other => other.primitive_width().map_or(16, |width| width as u64),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryViewArray, DictionaryArray, Int64Array, ListArray, NullArray, StringArray, StringViewArray,
        StructArray,
    };
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn values_are_counted_and_not_what_they_share() {
        let check = |values: ArrayRef, expected: &[u64]| {
            let sizes = sizes(&values);
            let each: Vec<u64> = (0..values.len()).map(|row| sizes.at(row)).collect();
            assert_eq!(each, expected, "{}", values.data_type());
            assert_eq!(
                total(&values),
                expected.iter().sum::<u64>(),
                "{}",
                values.data_type()
            );
        };
        let texts = || Arc::new(StringArray::from(vec![Some("abc"), None, Some("de")])) as ArrayRef;
        check(texts(), &[3, 0, 2]);
        check(texts().slice(1, 2), &[0, 2]);
        let long = "a text that is not inlined";
        check(Arc::new(StringViewArray::from(vec!["ab", long])), &[2, 26]);
        check(Arc::new(BinaryViewArray::from(vec![b"ab".as_slice()])), &[2]);
        check(Arc::new(Int64Array::from(vec![Some(1), None])), &[8, 8]);
        check(Arc::new(NullArray::new(2)), &[0, 0]);
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), Some(2)]),
            None,
            Some(vec![Some(3)]),
        ]);
        check(Arc::new(list.slice(1, 2)), &[0, 8]);
        check(Arc::new(list), &[16, 0, 8]);
        let dictionary: DictionaryArray<Int32Type> = vec!["ab", "c", "ab"].into_iter().collect();
        let sizes_of = sizes(&(Arc::new(dictionary) as ArrayRef));
        assert_eq!(sizes_of, Sizes::Each(vec![2, 1, 2]));
        let columns = vec![texts(), Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef];
        let fields = vec![
            arrow::datatypes::Field::new("a", DataType::Utf8, true),
            arrow::datatypes::Field::new("b", DataType::Int64, true),
        ];
        check(
            Arc::new(StructArray::new(fields.into(), columns, None)),
            &[11, 8, 10],
        );
    }

    #[test]
    fn types_have_a_width() {
        assert_eq!(width(&DataType::FixedSizeBinary(1_000_000)), 1_000_000);
        let item = |kind| Arc::new(arrow::datatypes::Field::new_list_field(kind, true));
        let list = |length, kind| DataType::FixedSizeList(item(kind), length);
        assert_eq!(width(&list(1_000, list(1_000, DataType::Int64))), 8_000_000);
    }
}
