//! Lists, structs, maps and times as JSON: what `CAST(x AS JSON)` is of a value that is neither a text nor a number.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::nested;
use crate::functions::function::function;

/// `as_json(value)`: a text, a number or a truth value as it is, anything else as JSON.
pub(crate) fn as_json() -> ScalarUDF {
    function(
        "as_json",
        &[],
        "as_json(value)",
        |given| match given {
            [kind] if kind.is_temporal() || nested::is_nested(kind) => Some((given.to_vec(), DataType::Utf8)),
            [kind] => Some((given.to_vec(), kind.clone())),
            _ => None,
        },
        |args, result| match args[0].data_type() == result {
            true => Ok(Arc::clone(&args[0])),
            false => texts(&args[0]),
        },
    )
}

fn texts(values: &ArrayRef) -> Result<ArrayRef> {
    let mut all = StringBuilder::new();
    for text in written(values)? {
        all.append_option(text);
    }
    Ok(Arc::new(all.finish()))
}

/// The JSON of values, none of NULL.
fn written(values: &ArrayRef) -> Result<Vec<Option<String>>> {
    let null = || "null".to_owned();
    match values.data_type() {
        DataType::Struct(fields) => {
            let mut members: Vec<Vec<String>> = vec![Vec::with_capacity(fields.len()); values.len()];
            for (field, column) in fields.iter().zip(values.as_struct().columns()) {
                let name = string(field.name());
                for (members, item) in members.iter_mut().zip(written(column)?) {
                    members.push(format!("{name}:{}", item.unwrap_or_else(null)));
                }
            }
            let rows = members.iter().enumerate();
            let rows =
                rows.map(|(row, members)| values.is_valid(row).then(|| format!("{{{}}}", members.join(","))));
            Ok(rows.collect())
        }
        DataType::Map(..) => {
            let map = values.as_map();
            let (keys, items) = (nested::scalars(map.keys())?, written(map.values())?);
            let entries = keys.into_iter().zip(items);
            let entries = entries.map(|(key, item)| {
                format!(
                    "{}:{}",
                    string(&key.unwrap_or_default()),
                    item.unwrap_or_else(null)
                )
            });
            let entries: Vec<String> = entries.collect();
            Ok(joined(values, map.offsets(), &entries, ("{", "}")))
        }
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            let items = written(list.values())?.into_iter();
            let items: Vec<String> = items.map(|item| item.unwrap_or_else(null)).collect();
            Ok(joined(values, list.offsets(), &items, ("[", "]")))
        }
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            written(&cast(values, &DataType::List(Arc::clone(item)))?)
        }
        kind => {
            let plain = kind.is_numeric() && !kind.is_floating() || *kind == DataType::Boolean;
            let is_float = kind.is_floating();
            let texts = nested::scalars(values)?.into_iter();
            let texts = texts.map(|text| {
                text.map(|text| match plain || is_float && is_finite(&text) {
                    true => text,
                    false => string(&text),
                })
            });
            Ok(texts.collect())
        }
    }
}

/// JSON has no numbers for NaN and the infinities.
fn is_finite(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn joined(
    values: &ArrayRef,
    offsets: &[i32],
    items: &[String],
    (open, close): (&str, &str),
) -> Vec<Option<String>> {
    let rows = offsets.windows(2).enumerate().map(|(row, pair)| {
        let items = items.get(pair[0] as usize..pair[1] as usize).unwrap_or_default();
        values
            .is_valid(row)
            .then(|| format!("{open}{}{close}", items.join(",")))
    });
    rows.collect()
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
