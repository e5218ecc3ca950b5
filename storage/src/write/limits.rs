//! Bounds on the values of a column: the length of texts, numbers without a sign.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::kernels::aggregate::{max, min};
use arrow::datatypes::{Decimal128Type, Int16Type, Int32Type, Int64Type};
use watershed_core::error::{Error, Result, SqlState};

use super::check::TEXT_SHOWN;
use crate::layout::Limit;

/// An error unless all values keep to the limit.
pub(super) fn check(name: &str, column: &ArrayRef, limit: Limit) -> Result<()> {
    if let Some(length) = limit.characters() {
        check_texts(name, column, limit, usize::try_from(length).unwrap_or(usize::MAX))?;
    }
    match limit.largest() {
        Some(largest) => check_numbers(name, column, limit, largest),
        None => Ok(()),
    }
}

fn check_texts(name: &str, column: &ArrayRef, limit: Limit, length: usize) -> Result<()> {
    let texts = column
        .as_string_opt::<i32>()
        .ok_or_else(|| Error::internal("a column with a length holds no texts"))?;
    // A character has a byte at least, so that most texts need not be counted.
    let longest = texts
        .iter()
        .flatten()
        .find(|text| text.len() > length && text.chars().count() > length);
    let Some(text) = longest else {
        return Ok(());
    };
    let shown: String = text.chars().take(TEXT_SHOWN).collect();
    Err(Error::new(
        SqlState::StringDataRightTruncation,
        format!(
            "value too long for column \"{name}\", which is {}: {shown:?}",
            limit.sql()
        ),
    )
    .with_hint("Cut it with left(), or declare the column as STRING."))
}

fn check_numbers(name: &str, column: &ArrayRef, limit: Limit, largest: i128) -> Result<()> {
    let bounds = if let Some(numbers) = column.as_primitive_opt::<Int16Type>() {
        min(numbers).map(i128::from).zip(max(numbers).map(i128::from))
    } else if let Some(numbers) = column.as_primitive_opt::<Int32Type>() {
        min(numbers).map(i128::from).zip(max(numbers).map(i128::from))
    } else if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
        min(numbers).map(i128::from).zip(max(numbers).map(i128::from))
    } else if let Some(numbers) = column.as_primitive_opt::<Decimal128Type>() {
        min(numbers).zip(max(numbers))
    } else {
        return Err(Error::internal(format!(
            "a column without a sign holds {}",
            column.data_type()
        )));
    };
    let outside = bounds.and_then(|(least, most)| {
        if least < 0 {
            Some(least)
        } else {
            (most > largest).then_some(most)
        }
    });
    match outside {
        Some(value) => Err(Error::new(
            SqlState::NumericValueOutOfRange,
            format!(
                "{value} is out of range for column \"{name}\", which is {}",
                limit.sql()
            ),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int16Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn values_keep_to_their_limits() {
        fn check(column: ArrayRef, limit: Limit, expected: Option<SqlState>) {
            let found = super::check("c", &column, limit).err().map(|error| error.code());
            assert_eq!(found, expected, "{column:?} as {limit:?}");
        }
        let texts = |texts: Vec<Option<&str>>| Arc::new(StringArray::from(texts)) as ArrayRef;
        check(texts(vec![Some("äöü"), None, Some("")]), Limit::Varchar(3), None);
        check(
            texts(vec![Some("abcd")]),
            Limit::Char(3),
            Some(SqlState::StringDataRightTruncation),
        );
        let small = |numbers: Vec<Option<i16>>| Arc::new(Int16Array::from(numbers)) as ArrayRef;
        let range = Some(SqlState::NumericValueOutOfRange);
        check(small(vec![Some(0), Some(255), None]), Limit::Unsigned(8), None);
        check(small(vec![Some(256)]), Limit::Unsigned(8), range);
        check(small(vec![Some(-1)]), Limit::Unsigned(8), range);
        check(small(vec![None]), Limit::Unsigned(8), None);
        let big = |numbers: Vec<i64>| Arc::new(Int64Array::from(numbers)) as ArrayRef;
        check(big(vec![(1 << 32) - 1]), Limit::Unsigned(32), None);
        check(big(vec![1 << 32]), Limit::Unsigned(32), range);
    }
}
