//! Columns whose values stand in the names of folders, as Hive, Spark and DuckDB write them: `name=value`, with
//! signs that paths do not take as `%3A`, and with a name of its own for NULL.

use arrow::array::{Array, StringArray};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use object_store::ObjectMeta;
use object_store::path::Path;
use watershed_core::error::{Error, Result, SqlState};

use super::values;
use crate::error::from_datafusion;
use crate::layout::ColumnType;

/// What stands for NULL.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// The partitions of a tree: the names of the columns, outermost first, and the values of each file.
#[derive(Debug, Default, Clone)]
pub(super) struct Partitions {
    pub(super) names: Vec<String>,
    /// By column, then by file.
    pub(super) values: Vec<Vec<Option<String>>>,
}

impl Partitions {
    /// The folders that every file lies in below `folder`. What not all files have is no partition.
    pub(super) fn of(folder: &Path, files: &[ObjectMeta]) -> Self {
        let mut found: Option<Self> = None;
        for file in files {
            let pairs = pairs(folder, &file.location);
            let known = found.get_or_insert_with(|| Self {
                names: pairs.iter().map(|(name, _)| name.clone()).collect(),
                values: vec![Vec::new(); pairs.len()],
            });
            let same = known
                .names
                .iter()
                .zip(&pairs)
                .take_while(|(name, (other, _))| *name == other)
                .count();
            known.names.truncate(same);
            known.values.truncate(same);
            for (values, (_, value)) in known.values.iter_mut().zip(pairs) {
                values.push(value);
            }
        }
        found.unwrap_or_default()
    }

    /// The type of a column that was not declared: that of all of its values.
    pub(super) fn inferred(&self, place: usize) -> ColumnType {
        let values = || {
            let values = self.values.get(place).into_iter().flatten();
            values.filter_map(|value| value.as_deref())
        };
        if values().next().is_none() {
            return ColumnType::String;
        }
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        if values::all_whole(values()) {
            ColumnType::BigInt
        } else if values().all(values::is_date) {
            ColumnType::Date
        } else if values().all(|value| value.len() > 10 && values::is_value(value, &utc)) {
            ColumnType::Timestamp
        } else {
            ColumnType::String
        }
    }

    /// The values of a column, one per file.
    pub(super) fn typed(
        &self,
        place: usize,
        kind: &ColumnType,
        files: &[ObjectMeta],
    ) -> Result<Vec<ScalarValue>> {
        let texts: StringArray = self.values.get(place).into_iter().flatten().cloned().collect();
        let typed = values::read(&texts, &kind.arrow()).map_err(|bad| {
            let name = self.names.get(place).map_or("", String::as_str);
            let error = Error::new(
                SqlState::InvalidTextRepresentation,
                format!(
                    "cannot read {:?}, the value of \"{name}\" in the name of a folder, as {}",
                    bad.text,
                    kind.sql()
                ),
            );
            let error = match files.get(bad.row) {
                Some(file) => error.with_detail(format!("file {}", file.location)),
                None => error,
            };
            error.with_hint(format!("Declare the partition column \"{name}\" as STRING."))
        })?;
        (0..texts.len())
            .map(|row| ScalarValue::try_from_array(&typed, row).map_err(from_datafusion))
            .collect()
    }
}

/// The `name=value` folders that a file lies in, up to the first that has another form.
fn pairs(folder: &Path, file: &Path) -> Vec<(String, Option<String>)> {
    let below: Vec<_> = match file.prefix_match(folder) {
        Some(parts) => parts.map(|part| part.as_ref().to_owned()).collect(),
        None => Vec::new(),
    };
    let folders = below.split_last().map_or(&[][..], |(_, folders)| folders);
    folders
        .iter()
        .map_while(|part| part.split_once('='))
        .map(|(name, value)| (decoded(name), (value != NULL_FOLDER).then(|| decoded(value))))
        .collect()
}

/// A text with `%3A` and its like as the signs that they stand for. What is no such escape stays.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        let escaped = (*byte == b'%')
            .then(|| text.get(place + 1..place + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(sign) => {
                found.push(sign);
                place += 3;
            }
            None => {
                found.push(*byte);
                place += 1;
            }
        }
    }
    String::from_utf8(found).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> (Partitions, Vec<ObjectMeta>) {
        let files: Vec<_> = paths
            .iter()
            .map(|path| ObjectMeta {
                location: Path::parse(format!("lake/{path}")).unwrap(),
                last_modified: Default::default(),
                size: 1,
                e_tag: None,
                version: None,
            })
            .collect();
        (Partitions::of(&Path::from("lake"), &files), files)
    }

    #[test]
    fn names_and_values() {
        let (found, _) = tree(&["y=2024/k=x%3Ay/a", "y=2025/k=__HIVE_DEFAULT_PARTITION__/z=1/b"]);
        assert_eq!(found.names, ["y", "k"]);
        assert_eq!(found.values[1], [Some("x:y".to_owned()), None]);
        let (found, _) = tree(&["y=2024/a", "b"]);
        assert!(found.names.is_empty());
        let (found, _) = tree(&["a%20b=100%25%zz%C3%A4/a"]);
        assert_eq!(found.names, ["a b"]);
        assert_eq!(found.values[0], [Some("100%%zzä".to_owned())]);
    }

    #[test]
    fn types() {
        fn check(values: &[&str], expected: ColumnType) {
            let paths: Vec<_> = values.iter().map(|value| format!("k={value}/f")).collect();
            let paths: Vec<_> = paths.iter().map(String::as_str).collect();
            assert_eq!(tree(&paths).0.inferred(0), expected, "{values:?}");
        }
        check(&["01", "12"], ColumnType::BigInt);
        check(&["007", "-3", NULL_FOLDER], ColumnType::BigInt);
        check(&["1", "x"], ColumnType::String);
        check(&[NULL_FOLDER], ColumnType::String);
        check(&["1.5"], ColumnType::String);
        check(&["2024-01-01", "2024-02-30"], ColumnType::String);
        check(&["2024-01-01", NULL_FOLDER], ColumnType::Date);
        check(&["2024-01-01 10%3A00%3A00"], ColumnType::Timestamp);
    }

    #[test]
    fn typed_values() {
        let (found, files) = tree(&["k=01.50/f", "k=-2/f", "k=__HIVE_DEFAULT_PARTITION__/f"]);
        let values = found.typed(0, &ColumnType::Double, &files).unwrap();
        assert_eq!(values[0], ScalarValue::Float64(Some(1.5)));
        assert_eq!(values[2], ScalarValue::Float64(None));
        let error = found.typed(0, &ColumnType::BigInt, &files).unwrap_err();
        assert_eq!(error.code(), SqlState::InvalidTextRepresentation);
        assert_eq!(error.detail(), Some("file lake/k=01.50/f"));
    }
}
