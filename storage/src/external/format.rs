//! How the files of an external table are read, by its options.

use std::collections::BTreeMap;

use watershed_core::error::{Error, Result, SqlState, nearest};

use super::ExternalFormat;
use super::text::{Compression, CsvDialect, JsonDialect, TextFormat};

const PARQUET_OPTIONS: [&str; 1] = ["file_extension"];
const CSV_OPTIONS: [&str; 11] = [
    "comment",
    "compression",
    "delimiter",
    "escape",
    "file_extension",
    "has_header",
    "newlines_in_values",
    "null_regex",
    "null_value",
    "quote",
    "terminator",
];
const JSON_OPTIONS: [&str; 3] = ["compression", "file_extension", "newline_delimited"];
const DELTA_OPTIONS: [&str; 1] = ["version"];

/// Names that other engines have for options.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("delim", "delimiter"),
    ("header", "has_header"),
    ("new_line", "terminator"),
    ("null", "null_value"),
    ("nullstr", "null_value"),
    ("sep", "delimiter"),
];

impl ExternalFormat {
    /// The names of the options that tables of this format take.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            Self::Parquet => &PARQUET_OPTIONS,
            Self::Csv => &CSV_OPTIONS,
            Self::Json => &JSON_OPTIONS,
            Self::Delta => &DELTA_OPTIONS,
        }
    }

    /// An option's name as it is stored, where it is one that this format takes.
    pub fn option(self, name: &str) -> Option<&'static str> {
        let name = OTHER_NAMES
            .iter()
            .find(|(other, _)| *other == name)
            .map_or(name, |(_, usual)| usual);
        self.options().iter().find(|known| **known == name).copied()
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

    /// The format that files of such a name usually have.
    pub fn of_path(path: &str) -> Option<Self> {
        let path = path.to_ascii_lowercase();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let plain = Compression::ENDINGS
            .iter()
            .find_map(|ending| path.strip_suffix(*ending))
            .unwrap_or(path);
        let all = [Self::Parquet, Self::Csv, Self::Json];
        all.into_iter()
            .find(|format| format.usual().iter().any(|ending| plain.ends_with(*ending)))
    }

    fn usual(self) -> &'static [&'static str] {
        match self {
            Self::Parquet | Self::Delta => &[".parquet", ".parq", ".pq"],
            Self::Csv => &[".csv", ".tsv", ".tbl"],
            Self::Json => &[".json", ".jsonl", ".ndjson"],
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

/// The options of a table, each of them checked.
pub(super) struct Options<'a> {
    format: ExternalFormat,
    given: &'a BTreeMap<String, String>,
}

impl<'a> Options<'a> {
    pub(super) fn new(format: ExternalFormat, given: &'a BTreeMap<String, String>) -> Result<Self> {
        let Some(unknown) = given.keys().find(|name| format.option(name).is_none()) else {
            return Ok(Self { format, given });
        };
        let error = Error::new(
            SqlState::UndefinedObject,
            format!("unknown option \"{unknown}\" of {format}"),
        );
        Err(match nearest(unknown, format.options().iter().copied()) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error.with_hint(format!("{format} takes: {}.", format.options().join(", "))),
        })
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let given = self.given.iter();
        let mut given = given.filter(|(given, _)| self.format.option(given) == Some(name));
        given.next().map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.text(name).map(str::to_lowercase) {
            None => Ok(default),
            Some(value) => match value.as_str() {
                "true" | "on" | "1" | "yes" => Ok(true),
                "false" | "off" | "0" | "no" => Ok(false),
                other => Err(bad_value(name, other, "Write true or false.")),
            },
        }
    }

    fn byte(&self, name: &str) -> Result<Option<u8>> {
        match self.text(name) {
            None => Ok(None),
            Some("\\t" | "tab") => Ok(Some(b'\t')),
            Some("\\n") => Ok(Some(b'\n')),
            Some(text) => match text.as_bytes() {
                [byte] if byte.is_ascii() => Ok(Some(*byte)),
                _ => Err(bad_value(name, text, "Write one character of ASCII, or '\\t'.")),
            },
        }
    }

    fn compression(&self) -> Result<Compression> {
        match self.text("compression").map(str::to_lowercase).as_deref() {
            None | Some("auto" | "auto_detect") => Ok(Compression::Auto),
            Some("none" | "uncompressed") => Ok(Compression::None),
            Some("gzip" | "gz") => Ok(Compression::Gzip),
            Some("zstd" | "zst") => Ok(Compression::Zstd),
            Some("bzip2" | "bz2") => Ok(Compression::Bzip2),
            Some(other) => Err(bad_value(
                "compression",
                other,
                "Write auto, none, gzip, zstd or bzip2.",
            )),
        }
    }

    /// The version of a Delta table.
    pub(super) fn version(&self) -> Result<Option<u64>> {
        match self.text("version") {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(version) => Ok(Some(version)),
                Err(_) => Err(bad_value("version", text, "Write the number of a version.")),
            },
        }
    }

    /// The endings of the files that count, in lower case.
    pub(super) fn endings(&self) -> Vec<String> {
        if let Some(given) = self.text("file_extension") {
            let given = given.to_ascii_lowercase();
            return vec![match given.starts_with('.') {
                true => given,
                false => format!(".{given}"),
            }];
        }
        let usual = self.format.usual();
        let compressed = usual.iter().flat_map(|usual| {
            Compression::ENDINGS
                .iter()
                .map(move |ending| format!("{usual}{ending}"))
        });
        let plain = usual.iter().map(|ending| (*ending).to_owned());
        match self.format {
            ExternalFormat::Parquet | ExternalFormat::Delta => plain.collect(),
            ExternalFormat::Csv | ExternalFormat::Json => plain.chain(compressed).collect(),
        }
    }

    /// Whether only files with a given ending count.
    pub(super) fn has_ending(&self) -> bool {
        self.text("file_extension").is_some()
    }

    /// How files of text are read, the first of which has that name; `None` for other files. `closed` says that no
    /// column is left out.
    pub(super) fn text_format(&self, first: &str, closed: bool) -> Result<Option<TextFormat>> {
        Ok(match self.format {
            ExternalFormat::Parquet | ExternalFormat::Delta => None,
            ExternalFormat::Json => {
                // Both forms are known by their first sign.
                self.flag("newline_delimited", true)?;
                Some(TextFormat::Json(JsonDialect {
                    compression: self.compression()?,
                }))
            }
            ExternalFormat::Csv => {
                // Line breaks within quotes are always part of the value.
                self.flag("newlines_in_values", true)?;
                let first = first.to_ascii_lowercase();
                let tabs = first
                    .split('/')
                    .next_back()
                    .is_some_and(|name| name.contains(".tsv"));
                let quote = match self.text("quote") {
                    Some("") => None,
                    Some(_) => self.byte("quote")?,
                    None => Some(b'"'),
                };
                let dialect = CsvDialect {
                    header: self.flag("has_header", true)?,
                    positional: false,
                    closed,
                    delimiter: self.byte("delimiter")?.unwrap_or(if tabs { b'\t' } else { b',' }),
                    quote,
                    escape: self.byte("escape")?.filter(|escape| Some(*escape) != quote),
                    comment: self.byte("comment")?,
                    terminator: self.byte("terminator")?,
                    null_value: self.text("null_value").map(str::to_owned),
                    null_regex: self.text("null_regex").map(str::to_owned),
                    compression: self.compression()?,
                };
                if dialect.quote == Some(dialect.delimiter) {
                    return Err(Error::new(
                        SqlState::InvalidParameterValue,
                        "the options \"delimiter\" and \"quote\" are the same",
                    ));
                }
                Some(TextFormat::Csv(dialect))
            }
        })
    }
}

fn bad_value(name: &str, value: &str, hint: &str) -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!("invalid value for option \"{name}\": {value:?}"),
    )
    .with_hint(hint)
}
