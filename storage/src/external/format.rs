//! How the files of an external table are read, by its options.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::config::CsvOptions;
use datafusion::config::TableParquetOptions;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::execution::SessionState;
use watershed_core::error::{Error, Result, SqlState, nearest};

use super::ExternalFormat;

const CSV_OPTIONS: [&str; 7] = [
    "comment",
    "delimiter",
    "escape",
    "has_header",
    "newlines_in_values",
    "null_regex",
    "quote",
];
const JSON_OPTIONS: [&str; 1] = ["newline_delimited"];

impl ExternalFormat {
    /// The names of the options that tables of this format take.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            Self::Csv => &CSV_OPTIONS,
            Self::Json => &JSON_OPTIONS,
            Self::Parquet | Self::Delta => &[],
        }
    }

    /// The endings that files of this format usually have.
    pub(super) fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Parquet | Self::Delta => &[".parquet"],
            Self::Csv => &[".csv", ".tsv", ".tbl"],
            Self::Json => &[".json", ".jsonl", ".ndjson"],
        }
    }

    /// As SQL names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "PARQUET",
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Delta => "DELTA",
        }
    }
}

impl std::fmt::Display for ExternalFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ExternalFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Parquet, Self::Csv, Self::Json, Self::Delta];
        all.into_iter()
            .find(|format| format.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                Error::new(
                    SqlState::FeatureNotSupported,
                    format!("unknown file format {text:?}"),
                )
                .with_hint("STORED AS takes PARQUET, CSV, JSON or DELTA.")
            })
    }
}

/// The format with its options, each of them checked.
pub(super) fn file_format(
    format: ExternalFormat,
    options: &BTreeMap<String, String>,
    state: &SessionState,
) -> Result<Arc<dyn FileFormat>> {
    if let Some(unknown) = options
        .keys()
        .find(|name| !format.options().contains(&name.as_str()))
    {
        let error = Error::new(
            SqlState::UndefinedObject,
            format!("unknown option \"{unknown}\" of {format}"),
        );
        return Err(match nearest(unknown, format.options().iter().copied()) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None if format.options().is_empty() => error.with_hint(format!("{format} takes no options.")),
            None => error.with_hint(format!("{format} takes: {}.", format.options().join(", "))),
        });
    }
    let flag = |name: &str, default: bool| match options.get(name).map(|value| value.to_lowercase()) {
        None => Ok(default),
        Some(value) => match value.as_str() {
            "true" | "on" | "1" | "yes" => Ok(true),
            "false" | "off" | "0" | "no" => Ok(false),
            other => Err(bad_value(name, other, "Write true or false.")),
        },
    };
    let byte = |name: &str| match options.get(name).map(String::as_str) {
        None => Ok(None),
        Some("\\t" | "tab") => Ok(Some(b'\t')),
        Some(text) => match text.as_bytes() {
            [byte] => Ok(Some(*byte)),
            _ => Err(bad_value(name, text, "Write one character of ASCII, or '\\t'.")),
        },
    };
    Ok(match format {
        ExternalFormat::Parquet | ExternalFormat::Delta => {
            let mut parquet = TableParquetOptions::new();
            parquet.global = state.config_options().execution.parquet.clone();
            Arc::new(
                ParquetFormat::default()
                    .with_options(parquet)
                    .with_force_view_types(false),
            )
        }
        ExternalFormat::Csv => {
            let defaults = CsvOptions::default();
            let csv = CsvOptions {
                has_header: Some(flag("has_header", true)?),
                delimiter: byte("delimiter")?.unwrap_or(defaults.delimiter),
                quote: byte("quote")?.unwrap_or(defaults.quote),
                escape: byte("escape")?,
                comment: byte("comment")?,
                newlines_in_values: Some(flag("newlines_in_values", false)?),
                null_regex: options.get("null_regex").cloned(),
                ..defaults
            };
            Arc::new(CsvFormat::default().with_options(csv))
        }
        ExternalFormat::Json => {
            let lines = flag("newline_delimited", true)?;
            Arc::new(JsonFormat::default().with_newline_delimited(lines))
        }
    })
}

fn bad_value(name: &str, value: &str, hint: &str) -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!("invalid value for option \"{name}\": {value:?}"),
    )
    .with_hint(hint)
}
