//! Functions over JSON that is text: what lies at a path, which keys there are, and what holds what. Their results are
//! the text that the JSON has, never another writing of it.
//!
//! Operators are planned as these functions: those of `datafusion-functions-json` give unions, which no driver takes,
//! and read a text as the index of a list.

mod contains;
mod path;
mod scan;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use watershed_core::error::{Error, SqlState};

use super::function::function;
use crate::error::into_datafusion;
use path::{Path, Step};

pub(super) fn udfs() -> Vec<ScalarUDF> {
    vec![
        function("json_step", &[], "json -> key", one_step, |args, _| {
            steps(args, Shown::Json)
        }),
        function("json_step_text", &[], "json ->> key", one_step, |args, _| {
            steps(args, Shown::Text)
        }),
        function("json_steps", &[], "json #> keys", keys, |args, _| {
            lists(args, Shown::Json)
        }),
        function("json_steps_text", &[], "json #>> keys", keys, |args, _| {
            lists(args, Shown::Text)
        }),
        function(
            "json_extract",
            &[],
            "json_extract(json, path)",
            one_step,
            |args, _| paths(args, Shown::Json),
        ),
        function(
            "json_extract_string",
            &["json_value", "get_json_object"],
            "json_extract_string(json, path)",
            one_step,
            |args, _| paths(args, Shown::Text),
        ),
        function(
            "json_extract_path",
            &[],
            "json_extract_path(json, key, …)",
            many_keys,
            |args, _| spread(args, Shown::Json),
        ),
        function(
            "json_extract_path_text",
            &[],
            "json_extract_path_text(json, key, …)",
            many_keys,
            |args, _| spread(args, Shown::Text),
        ),
        function("json_has_key", &[], "json ? key", two_values, |args, _| {
            let keys = args[1].as_string::<i32>();
            each_truth(&args[0], |row, json| {
                keys.is_valid(row).then(|| scan::has_key(json, keys.value(row)))
            })
        }),
        function("json_has_any", &[], "json ?| keys", key_list, |args, _| {
            has(args, |json, keys| keys.iter().any(|key| scan::has_key(json, key)))
        }),
        function("json_has_all", &[], "json ?& keys", key_list, |args, _| {
            has(args, |json, keys| keys.iter().all(|key| scan::has_key(json, key)))
        }),
        function(
            "json_array_length",
            &[],
            "json_array_length(json), or json_array_length(json, path)",
            |given| match given {
                [json] => is_text(json).then(|| (vec![DataType::Utf8], DataType::Int64)),
                _ => one_step(given).map(|(types, _)| (types, DataType::Int64)),
            },
            |args, _| {
                let json = match args {
                    [json] => Arc::clone(json),
                    _ => paths(args, Shown::Json)?,
                };
                let json = json.as_string::<i32>().iter();
                let lengths = json.map(|json| json.map(length).transpose());
                Ok(Arc::new(lengths.collect::<Result<Int64Array>>()?))
            },
        ),
        function("json_holds", &[], "json @> json", two_values, |args, _| {
            each_pair(args, |json, part| Ok(contains::holds(json, part)))
        }),
        function(
            "json_contains",
            &[],
            "json_contains(json, json)",
            two_values,
            |args, _| each_pair(args, contains::contains),
        ),
    ]
}

fn is_text(kind: &DataType) -> bool {
    kind.is_string() || kind.is_null()
}

fn texts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

type Types = Option<(Vec<DataType>, DataType)>;

/// Two texts that are compared.
fn two_values(given: &[DataType]) -> Types {
    match given {
        [json, other] if is_text(json) && is_text(other) => {
            Some((vec![DataType::Utf8; 2], DataType::Boolean))
        }
        _ => None,
    }
}

/// A key, or the index of a list.
fn one_step(given: &[DataType]) -> Types {
    let [json, step] = given else {
        return None;
    };
    let step = match step {
        step if is_text(step) => DataType::Utf8,
        step if step.is_integer() => DataType::Int64,
        _ => return None,
    };
    is_text(json).then(|| (vec![DataType::Utf8, step], DataType::Utf8))
}

/// A list of keys, or a text such as `{a,0}`.
fn keys(given: &[DataType]) -> Types {
    let (types, _) = key_list(given)?;
    Some((types, DataType::Utf8))
}

fn key_list(given: &[DataType]) -> Types {
    let [json, keys] = given else {
        return None;
    };
    let keys = match keys {
        keys if is_text(keys) => DataType::Utf8,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)
            if is_text(item.data_type()) =>
        {
            texts()
        }
        _ => return None,
    };
    is_text(json).then(|| (vec![DataType::Utf8, keys], DataType::Boolean))
}

fn many_keys(given: &[DataType]) -> Types {
    let all = given.len() > 1 && given.iter().all(is_text);
    all.then(|| (vec![DataType::Utf8; given.len()], DataType::Utf8))
}

/// How a part is shown.
#[derive(Clone, Copy)]
enum Shown {
    /// As it is written.
    Json,
    /// A text without quotes, and NULL for null.
    Text,
}

/// The part of each value that `find` finds.
fn each(
    json: &ArrayRef,
    shown: Shown,
    mut find: impl for<'j> FnMut(usize, &'j str) -> Result<Option<&'j str>>,
) -> Result<ArrayRef> {
    let json = json.as_string::<i32>();
    let mut found = StringBuilder::with_capacity(json.len(), 16 * json.len());
    for (row, json) in json.iter().enumerate() {
        let part = match json {
            Some(json) => find(row, json)?,
            None => None,
        };
        match shown {
            Shown::Json => found.append_option(part),
            Shown::Text => found.append_option(part.and_then(scan::text)),
        }
    }
    Ok(Arc::new(found.finish()))
}

fn each_truth(json: &ArrayRef, mut is: impl FnMut(usize, &str) -> Option<bool>) -> Result<ArrayRef> {
    let json = json.as_string::<i32>().iter().enumerate();
    let truths = json.map(|(row, json)| json.and_then(|json| is(row, json)));
    Ok(Arc::new(truths.collect::<BooleanArray>()))
}

fn each_pair(
    args: &[ArrayRef],
    is: impl Fn(Option<&str>, Option<&str>) -> Result<Option<bool>>,
) -> Result<ArrayRef> {
    let pairs = args[0].as_string::<i32>().iter().zip(args[1].as_string::<i32>());
    let truths = pairs.map(|(json, part)| is(json, part));
    Ok(Arc::new(truths.collect::<Result<BooleanArray>>()?))
}

/// How many items a list has. PostgreSQL refuses other values, too.
fn length(json: &str) -> Result<i64> {
    let count = scan::count(json).and_then(|count| i64::try_from(count).ok());
    count.ok_or_else(|| {
        into_datafusion(Error::new(
            SqlState::InvalidParameterValue,
            "the length of a JSON value that is no list",
        ))
    })
}

/// `->`: a text is a key, a number the index of a list.
fn steps(args: &[ArrayRef], shown: Shown) -> Result<ArrayRef> {
    if let Some(indices) = indices(&args[1]) {
        return at_indices(&args[0], indices, shown);
    }
    let keys = args[1].as_string::<i32>();
    each(&args[0], shown, |row, json| {
        Ok(keys
            .is_valid(row)
            .then(|| scan::member(json, keys.value(row)))
            .flatten())
    })
}

fn indices(steps: &ArrayRef) -> Option<&Int64Array> {
    steps.as_primitive_opt::<Int64Type>()
}

fn at_indices(json: &ArrayRef, indices: &Int64Array, shown: Shown) -> Result<ArrayRef> {
    each(json, shown, |row, json| {
        Ok(indices
            .is_valid(row)
            .then(|| scan::item(json, indices.value(row)))
            .flatten())
    })
}

/// `#>`: texts are keys of objects and indices of lists.
fn lists(args: &[ArrayRef], shown: Shown) -> Result<ArrayRef> {
    each_of_keys(&args[1], |keys_of| {
        each(&args[0], shown, |row, json| {
            let Some(keys) = keys_of(row)? else {
                return Ok(None);
            };
            let steps: Vec<Step> = keys.into_iter().map(Step::Either).collect();
            Ok(scan::at(json, &steps))
        })
    })
}

fn has(args: &[ArrayRef], is: fn(&str, &[String]) -> bool) -> Result<ArrayRef> {
    each_of_keys(&args[1], |keys_of| {
        let json = args[0].as_string::<i32>().iter().enumerate();
        let truths = json.map(|(row, json)| {
            let keys = keys_of(row)?;
            Ok(json.zip(keys).map(|(json, keys)| is(json, &keys)))
        });
        Ok(Arc::new(truths.collect::<Result<BooleanArray>>()?) as ArrayRef)
    })
}

/// Reads the keys of a row from a list or from a text such as `{a,0}`. A NULL among them is none.
fn each_of_keys(
    keys: &ArrayRef,
    result: impl FnOnce(&dyn Fn(usize) -> Result<Option<Vec<String>>>) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let listed = |lists: &ListArray, row: usize| -> Result<Option<Vec<String>>> {
        if lists.is_null(row) {
            return Ok(None);
        }
        let keys = lists.value(row);
        let keys = keys.as_string::<i32>().iter();
        Ok(Some(keys.flatten().map(str::to_owned).collect()))
    };
    let read = |texts: &StringArray, row: usize| match texts.is_valid(row) {
        true => path::braces(texts.value(row)).map(Some),
        false => Ok(None),
    };
    match keys.data_type() {
        DataType::List(_) => {
            let lists = keys.as_list::<i32>();
            result(&|row| listed(lists, row))
        }
        DataType::Utf8 => {
            let texts = keys.as_string::<i32>();
            result(&|row| read(texts, row))
        }
        other => exec_err!("{other} is no list of keys"),
    }
}

/// Paths as DuckDB writes them: `$.a[0]`, `/a/0`, or a key alone.
fn paths(args: &[ArrayRef], shown: Shown) -> Result<ArrayRef> {
    if let Some(indices) = indices(&args[1]) {
        return at_indices(&args[0], indices, shown);
    }
    let paths = args[1].as_string::<i32>();
    let mut known: Option<(&str, Path)> = None;
    each(&args[0], shown, |row, json| {
        if paths.is_null(row) {
            return Ok(None);
        }
        let text = paths.value(row);
        if known.as_ref().is_none_or(|(of, _)| *of != text) {
            known = Some((text, Path::parse(text)?));
        }
        Ok(known.as_ref().and_then(|(_, path)| scan::at(json, path.steps())))
    })
}

/// Each argument is a step.
fn spread(args: &[ArrayRef], shown: Shown) -> Result<ArrayRef> {
    let keys: Vec<&StringArray> = args[1..].iter().map(|keys| keys.as_string::<i32>()).collect();
    each(&args[0], shown, |row, json| {
        let steps = keys.iter().map(|keys| {
            keys.is_valid(row)
                .then(|| Step::Either(keys.value(row).to_owned()))
        });
        let steps: Option<Vec<Step>> = steps.collect();
        Ok(steps.and_then(|steps| scan::at(json, &steps)))
    })
}
