//! Functions over bytes, which DataFusion has for texts alone.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, Int64Array, StringBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use watershed_core::error::{Error, SqlState};

use super::function::function;
use super::time::wrapped::wrap;
use crate::error::into_datafusion;

pub(super) fn udfs() -> Vec<ScalarUDF> {
    vec![
        function(
            "convert_from",
            &[],
            "convert_from(bytes, 'UTF8')",
            |given| match given {
                [bytes, encoding] if is_bytes(bytes) && is_text(encoding) => {
                    Some((vec![DataType::Binary, DataType::Utf8], DataType::Utf8))
                }
                _ => None,
            },
            |args, _| {
                let (bytes, encodings) = (args[0].as_binary::<i32>(), args[1].as_string::<i32>());
                let mut texts = StringBuilder::with_capacity(bytes.len(), bytes.value_data().len());
                for (bytes, encoding) in bytes.iter().zip(encodings) {
                    let Some((bytes, encoding)) = bytes.zip(encoding) else {
                        texts.append_null();
                        continue;
                    };
                    utf8(encoding)?;
                    let text = std::str::from_utf8(bytes).map_err(|error| {
                        let error = Error::new(SqlState::DataException, "the bytes are no text of UTF-8")
                            .with_detail(error.to_string());
                        into_datafusion(error)
                    })?;
                    texts.append_value(text);
                }
                Ok(Arc::new(texts.finish()))
            },
        ),
        function(
            "convert_to",
            &[],
            "convert_to(text, 'UTF8')",
            |given| match given {
                [text, encoding] if is_text(text) && is_text(encoding) => {
                    Some((vec![DataType::Utf8; 2], DataType::Binary))
                }
                _ => None,
            },
            |args, _| {
                let (texts, encodings) = (args[0].as_string::<i32>(), args[1].as_string::<i32>());
                let mut bytes = BinaryBuilder::with_capacity(texts.len(), texts.value_data().len());
                for (text, encoding) in texts.iter().zip(encodings) {
                    match text.zip(encoding) {
                        Some((text, encoding)) => {
                            utf8(encoding)?;
                            bytes.append_value(text);
                        }
                        None => bytes.append_null(),
                    }
                }
                Ok(Arc::new(bytes.finish()))
            },
        ),
        wrap(
            datafusion::functions::unicode::substr(),
            |_, kinds| match kinds {
                [DataType::Binary, rest @ ..] if (1..3).contains(&rest.len()) => {
                    rest.iter().all(DataType::is_integer).then_some(DataType::Binary)
                }
                _ => None,
            },
            |args, _| substr(args),
        ),
        wrap(
            datafusion::functions::string::octet_length(),
            |_, kinds| match kinds {
                [DataType::Binary] => Some(DataType::Int32),
                _ => None,
            },
            |args, result| {
                let lengths = args[0].as_binary::<i32>().iter();
                let lengths = lengths.map(|bytes| bytes.and_then(|bytes| i64::try_from(bytes.len()).ok()));
                let lengths: Int64Array = lengths.collect();
                Ok(arrow::compute::cast(&lengths, result)?)
            },
        ),
    ]
}

fn is_bytes(kind: &DataType) -> bool {
    kind.is_binary() || kind.is_null()
}

fn is_text(kind: &DataType) -> bool {
    kind.is_string() || kind.is_null()
}

fn utf8(encoding: &str) -> Result<()> {
    match encoding.replace('-', "").eq_ignore_ascii_case("utf8") {
        true => Ok(()),
        false => Err(into_datafusion(
            Error::unsupported(format!("the encoding {encoding:?} is not known")).with_hint("Write 'UTF8'."),
        )),
    }
}

/// Positions are counted from 1, and those before the first count, too, as of texts.
fn substr(args: &[ArrayRef]) -> Result<ArrayRef> {
    let bytes = args[0].as_binary::<i32>();
    let number = |array: &ArrayRef| arrow::compute::cast(array, &DataType::Int64);
    let starts = number(&args[1])?;
    let counts = args.get(2).map(number).transpose()?;
    let mut parts = BinaryBuilder::with_capacity(bytes.len(), bytes.value_data().len());
    for (row, bytes) in bytes.iter().enumerate() {
        let value = |numbers: &ArrayRef| {
            let numbers = numbers.as_primitive::<Int64Type>();
            numbers.is_valid(row).then(|| numbers.value(row))
        };
        let end = match &counts {
            None => Some(i64::MAX),
            Some(counts) => value(counts),
        };
        let (Some(bytes), Some(start), Some(count)) = (bytes, value(&starts), end) else {
            parts.append_null();
            continue;
        };
        if count < 0 {
            return Err(into_datafusion(Error::new(
                SqlState::InvalidParameterValue,
                "a substring has no negative length",
            )));
        }
        let clamped = |position: i64| {
            let position = usize::try_from(position.saturating_sub(1)).unwrap_or(0);
            position.min(bytes.len())
        };
        let (from, to) = (clamped(start), clamped(start.saturating_add(count)));
        parts.append_value(bytes.get(from..to).unwrap_or_default());
    }
    Ok(Arc::new(parts.finish()))
}
