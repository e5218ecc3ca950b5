//! Lists, structs and maps as texts, in DuckDB's form: `[1, NULL]`, `{'a': 1, 'b': x}`, `{k=v}`. A text within stands in
//! quotation marks where it could be read as something else.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;

use super::{intervals, times};

/// Whether a type is one of those that are written here.
pub(super) fn is_nested(kind: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, List, Map, Struct};
    matches!(
        kind,
        List(_) | LargeList(_) | FixedSizeList(..) | Struct(_) | Map(..)
    )
}

/// The texts of nested values.
pub(super) fn texts(values: &ArrayRef) -> Result<ArrayRef> {
    let mut all = StringBuilder::new();
    for text in written(values)? {
        all.append_option(text);
    }
    Ok(Arc::new(all.finish()))
}

/// The texts of values as they stand within others, none of NULL.
fn written(values: &ArrayRef) -> Result<Vec<Option<String>>> {
    match values.data_type() {
        DataType::Struct(fields) => structs(values, fields.iter()),
        DataType::Map(..) => maps(values),
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            let items = written(list.values())?;
            let ends = list.offsets().windows(2);
            let ranges = ends.map(|pair| (pair[0] as usize, pair[1] as usize));
            Ok(bracketed(values, &items, ranges))
        }
        DataType::LargeList(item) => written(&cast(values, &DataType::List(Arc::clone(item)))?),
        DataType::FixedSizeList(item, _) => written(&cast(values, &DataType::List(Arc::clone(item)))?),
        _ => {
            let texts = scalars(values)?.into_iter();
            Ok(texts.map(|text| text.as_deref().map(within)).collect())
        }
    }
}

fn structs<'f>(values: &ArrayRef, fields: impl Iterator<Item = &'f FieldRef>) -> Result<Vec<Option<String>>> {
    let mut all: Vec<Option<String>> = (0..values.len())
        .map(|row| values.is_valid(row).then(|| "{".to_owned()))
        .collect();
    for (place, (field, column)) in fields.zip(values.as_struct().columns()).enumerate() {
        let name = quoted(field.name());
        for (text, item) in all.iter_mut().zip(written(column)?) {
            let Some(text) = text else { continue };
            if place > 0 {
                text.push_str(", ");
            }
            text.push_str(&name);
            text.push_str(": ");
            text.push_str(item.as_deref().unwrap_or("NULL"));
        }
    }
    for text in all.iter_mut().flatten() {
        text.push('}');
    }
    Ok(all)
}

fn maps(values: &ArrayRef) -> Result<Vec<Option<String>>> {
    let map = values.as_map();
    let (keys, items) = (written(map.keys())?, written(map.values())?);
    let entry = |place: usize| {
        let of = |texts: &[Option<String>]| texts.get(place).cloned().flatten();
        let null = || "NULL".to_owned();
        format!(
            "{}={}",
            of(&keys).unwrap_or_else(null),
            of(&items).unwrap_or_else(null)
        )
    };
    let offsets = map.offsets();
    let rows = offsets.windows(2).enumerate().map(|(row, pair)| {
        let entries = (pair[0] as usize..pair[1] as usize).map(entry);
        let entries: Vec<String> = entries.collect();
        values
            .is_valid(row)
            .then(|| format!("{{{}}}", entries.join(", ")))
    });
    Ok(rows.collect())
}

fn bracketed(
    values: &ArrayRef,
    items: &[Option<String>],
    ranges: impl Iterator<Item = (usize, usize)>,
) -> Vec<Option<String>> {
    let rows = ranges.enumerate().map(|(row, (begin, end))| {
        let items = items.get(begin..end).unwrap_or_default();
        let items: Vec<&str> = items
            .iter()
            .map(|item| item.as_deref().unwrap_or("NULL"))
            .collect();
        values.is_valid(row).then(|| format!("[{}]", items.join(", ")))
    });
    rows.collect()
}

/// The texts of values that hold no others.
pub(super) fn scalars(values: &ArrayRef) -> Result<Vec<Option<String>>> {
    let texts = match values.data_type() {
        DataType::Timestamp(..) => times::texts(values)?,
        DataType::Interval(_) | DataType::Duration(_) => {
            let usual = match values.data_type() {
                DataType::Interval(_) => cast(values, &super::INTERVAL)?,
                _ => cast(values, &super::DURATION)?,
            };
            intervals::texts(&usual)?
        }
        _ => Arc::clone(values),
    };
    // Bytes that are no text are an error, as outside of lists.
    let exact = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let texts = cast_with_options(&texts, &DataType::Utf8, &exact)?;
    let texts = texts.as_string::<i32>().iter();
    Ok(texts.map(|text| text.map(str::to_owned)).collect())
}

/// A text within another.
fn within(text: &str) -> String {
    let blank = |ch: char| ch.is_ascii_whitespace();
    let plain = !text.is_empty()
        && !text.starts_with(blank)
        && !text.ends_with(blank)
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(['"', '\'', '(', ')', ',', ':', '=', '[', '\\', ']', '{', '}']);
    match plain {
        true => text.to_owned(),
        false => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_stand_alone_have_no_quotation_marks() {
        for text in ["a", "a b", "é", "2024-01-01", "-1.5", "a\nb"] {
            assert_eq!(within(text), text);
        }
        for (text, expected) in [
            ("", "''"),
            (" a", "' a'"),
            ("null", "'null'"),
            ("a, b", "'a, b'"),
            ("it's", "'it\\'s'"),
            ("a\\b", "'a\\\\b'"),
            ("10:00", "'10:00'"),
        ] {
            assert_eq!(within(text), expected);
        }
    }
}
