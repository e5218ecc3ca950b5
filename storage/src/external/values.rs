//! Values from their text, as CSV files, JSON files and the names of folders write them.
//!
//! A text that is no value of its type is an error: it never becomes NULL, and nothing is cut off.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;

/// Text that is no value of the type it is read as.
#[derive(Debug, PartialEq)]
pub(super) struct BadValue {
    /// Where it is among the texts.
    pub(super) row: usize,
    pub(super) text: String,
}

/// Reads all texts as values of one type that is not nested.
pub(super) fn read(texts: &StringArray, kind: &DataType) -> Result<ArrayRef, BadValue> {
    let values = quick(texts, kind);
    let Some(values) = values else {
        return Err(first(texts));
    };
    if values.null_count() == texts.null_count() {
        return Ok(values);
    }
    // Some have blanks around them, or are whole numbers in another form.
    let usual: StringArray = (0..texts.len())
        .map(|row| {
            let text = texts.is_valid(row).then(|| texts.value(row))?;
            Some(match values.is_valid(row) {
                true => Cow::Borrowed(text),
                false => usual_form(text, kind),
            })
        })
        .collect();
    let Some(values) = quick(&usual, kind) else {
        return Err(first(texts));
    };
    match (0..texts.len()).find(|row| texts.is_valid(*row) && values.is_null(*row)) {
        None => Ok(values),
        Some(row) => Err(BadValue {
            row,
            text: texts.value(row).to_owned(),
        }),
    }
}

fn first(texts: &StringArray) -> BadValue {
    let row = (0..texts.len()).find(|row| texts.is_valid(*row)).unwrap_or(0);
    BadValue {
        row,
        text: match texts.is_valid(row) {
            true => texts.value(row).to_owned(),
            false => String::new(),
        },
    }
}

/// What is no value becomes NULL. `None` for types that have no text.
fn quick(texts: &StringArray, kind: &DataType) -> Option<ArrayRef> {
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    match kind {
        DataType::Utf8 => return Some(Arc::new(texts.clone())),
        DataType::Boolean => {
            let truth = |text: &str| match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
                "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
                _ => None,
            };
            let values: BooleanArray = texts.iter().map(|text| text.and_then(truth)).collect();
            return Some(Arc::new(values));
        }
        // Numbers alone are no days: casts would count them from 1970 on.
        DataType::Date32 | DataType::Timestamp(..) => {
            let dated: StringArray = texts
                .iter()
                .map(|text| text.filter(|text| text.contains('-') && text.len() >= 8))
                .collect();
            return cast_with_options(&dated, kind, &options).ok();
        }
        _ => {}
    }
    cast_with_options(texts, kind, &options).ok()
}

/// Without blanks, and whole numbers such as 1e3 and 2.0 as digits.
fn usual_form<'a>(text: &'a str, kind: &DataType) -> Cow<'a, str> {
    let trimmed = text.trim();
    if kind.is_integer()
        && let Some(digits) = whole(trimmed)
    {
        return digits.into();
    }
    match kind {
        DataType::Decimal128(..) => crate::casts::usual_decimal(trimmed),
        _ => trimmed.into(),
    }
}

/// The digits of a number that is whole although it is written with a point or an exponent.
fn whole(text: &str) -> Option<String> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (digits, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || !all_digits(digits) || !all_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let zeros = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let all = format!("{digits}{fraction}");
    let whole = match usize::try_from(zeros) {
        // No number of more digits is whole here.
        Ok(zeros) if zeros <= 40 => format!("{all}{}", "0".repeat(zeros)),
        Ok(_) => return None,
        Err(_) => {
            let cut = all
                .len()
                .checked_sub(usize::try_from(zeros.unsigned_abs()).ok()?)?;
            let (whole, rest) = all.split_at(cut);
            if rest.bytes().any(|byte| byte != b'0') {
                return None;
            }
            match whole.is_empty() {
                true => "0".to_owned(),
                false => whole.to_owned(),
            }
        }
    };
    Some(format!("{sign}{whole}"))
}

/// Whether all texts are whole numbers of 64 bits.
pub(super) fn all_whole<'a>(mut texts: impl Iterator<Item = &'a str>) -> bool {
    texts.all(|text| text.parse::<i64>().is_ok())
}

/// Whether a text is a date alone.
pub(super) fn is_date(text: &str) -> bool {
    text.len() == 10 && is_value(text, &DataType::Date32)
}

/// Whether a text is a value of a type.
pub(super) fn is_value(text: &str, kind: &DataType) -> bool {
    read(&StringArray::from(vec![text]), kind).is_ok()
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Int64Type, TimeUnit};

    use super::*;

    #[test]
    fn whole_numbers() {
        let texts = StringArray::from(vec![
            Some("1"),
            None,
            Some(" -2 "),
            Some("3.0"),
            Some("1e3"),
            Some("12.50e1"),
            Some("9223372036854775807"),
        ]);
        assert_eq!(
            read(&texts, &DataType::Int64)
                .unwrap()
                .as_primitive::<Int64Type>()
                .iter()
                .collect::<Vec<_>>(),
            [
                Some(1),
                None,
                Some(-2),
                Some(3),
                Some(1000),
                Some(125),
                Some(i64::MAX)
            ]
        );
        for bad in ["2.9", "9223372036854775808", "x", "", "1e-1", "0x10", "1e400"] {
            let texts = StringArray::from(vec![Some("1"), Some(bad)]);
            let error = read(&texts, &DataType::Int64).unwrap_err();
            assert_eq!((error.row, error.text.as_str()), (1, bad));
        }
    }

    #[test]
    fn other_values() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (text, kind, good) in [
            ("true", DataType::Boolean, true),
            ("F", DataType::Boolean, true),
            ("2", DataType::Boolean, false),
            ("2024-02-29", DataType::Date32, true),
            ("2023-02-29", DataType::Date32, false),
            ("20240101", DataType::Date32, false),
            ("17", DataType::Date32, false),
            ("2024-01-01 10:00:00", utc.clone(), true),
            ("2024-01-01T10:00:00+02:00", utc.clone(), true),
            ("1704103200", utc, false),
            ("12345678901234567.89", DataType::Decimal128(19, 2), true),
            ("123456789012345678.89", DataType::Decimal128(19, 2), false),
            ("1.5", DataType::Float64, true),
            (" 1e300 ", DataType::Float64, true),
            ("1,5", DataType::Float64, false),
            ("anything", DataType::Utf8, true),
        ] {
            assert_eq!(is_value(text, &kind), good, "{text} {kind}");
        }
    }
}
