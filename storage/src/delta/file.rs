//! A data file as the log tells of it.

use arrow::datatypes::{DataType, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use deltalake_core::kernel::LogicalFileView;
use object_store::path::Path;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::id::ShardId;

use crate::layout::{SHARD_COLUMN, TableLayout};
use crate::write::SHARD_SPEC_TAG;

use super::snapshot::DataFile;
use super::statistics::read_statistics;

/// Reads the files of one table.
pub(super) struct Reader {
    folder: Path,
    url: String,
    layout: TableLayout,
    schema: SchemaRef,
}

impl Reader {
    pub(super) fn new(folder: Path, url: String, layout: TableLayout) -> Self {
        let schema = layout.arrow_schema();
        Self {
            folder,
            url,
            layout,
            schema,
        }
    }

    /// The file's path within the bucket.
    pub(super) fn path(&self, view: &LogicalFileView) -> Result<Path> {
        let path = view.path();
        if path.contains("://") || path.starts_with('/') {
            return Err(Error::unsupported(format!(
                "the table in {} refers to a file outside of its folder",
                self.url
            ))
            .with_detail(path.into_owned()));
        }
        let below = view.object_store_path();
        Ok(self.folder.parts().chain(below.parts()).collect())
    }

    /// Refuses a file that cannot be read as it is.
    pub(super) fn check(&self, view: &LogicalFileView) -> Result<()> {
        match view.deletion_vector_descriptor() {
            None => Ok(()),
            Some(_) => Err(Error::unsupported(format!(
                "the table in {} uses deletion vectors, which are not supported",
                self.url
            ))
            .with_detail(format!("file {} has one", view.path()))
            .with_hint("Rewrite the table's files without them: REORG TABLE … APPLY (PURGE) in Spark.")),
        }
    }

    pub(super) fn file(&self, path: Path, view: &LogicalFileView) -> Result<DataFile> {
        // The one way to the tags that there is.
        #[expect(deprecated, reason = "nothing else gives a file's tags")]
        let add = view.add_action();
        let damaged = |what: &str| {
            Error::new(
                SqlState::DataCorrupted,
                format!("the log of the table in {} is damaged", self.url),
            )
            .with_detail(format!("file {}: {what}", add.path))
        };
        let mut partition_values = Vec::with_capacity(self.layout.partition_by.len());
        for name in &self.layout.partition_by {
            let data_type = self
                .layout
                .column(name)
                .map(|column| column.data_type.arrow())
                .ok_or_else(|| Error::internal(format!("partition column {name} is no column")))?;
            let text = add.partition_values.get(name).and_then(Option::as_deref);
            partition_values.push(
                partition_value(text, &data_type).ok_or_else(|| {
                    damaged(&format!("partition value {text:?} of {name} is no {data_type}"))
                })?,
            );
        }
        let (rows, statistics) = read_statistics(
            add.stats.as_deref(),
            &self.schema,
            &self.layout.partition_by,
            &partition_values,
        );
        Ok(DataFile {
            path,
            size: u64::try_from(add.size).map_err(|_| damaged("its size is negative"))?,
            modified: DateTime::<Utc>::from_timestamp_millis(add.modification_time).unwrap_or_default(),
            rows,
            partition_values,
            shard: self.shard(&add),
            statistics: std::sync::Arc::new(statistics),
            planned: std::sync::OnceLock::new(),
        })
    }

    /// The shard that our writer put the file's rows into, if it was laid out as the table is now.
    fn shard(&self, add: &deltalake_core::kernel::Add) -> Option<ShardId> {
        let sharding = self.layout.sharding.as_ref()?;
        let spec = add.tags.as_ref()?.get(SHARD_SPEC_TAG)?.as_deref()?;
        if spec != sharding.spec() {
            return None;
        }
        let shard: ShardId = add.partition_values.get(SHARD_COLUMN)?.as_deref()?.parse().ok()?;
        (shard < sharding.shards).then_some(shard)
    }
}

/// Reads Delta's text of a partition value; an empty text is a NULL there.
fn partition_value(text: Option<&str>, data_type: &DataType) -> Option<ScalarValue> {
    match text {
        None | Some("") => ScalarValue::try_from(data_type).ok(),
        Some(text) => match data_type {
            DataType::Binary => Some(ScalarValue::Binary(Some(text.as_bytes().to_vec()))),
            _ => ScalarValue::try_from_string(text.to_owned(), data_type)
                .ok()
                .filter(|value| !value.is_null()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::ColumnType;

    #[test]
    fn partition_values() {
        fn check(text: &str, kind: ColumnType, shown: &str) {
            assert_eq!(
                partition_value(Some(text), &kind.arrow()).unwrap().to_string(),
                shown
            );
        }
        check("2024-02-29", ColumnType::Date, "2024-02-29");
        check("-7", ColumnType::Int, "-7");
        check("true", ColumnType::Boolean, "true");
        check("a b", ColumnType::String, "a b");
        check(
            "1.50",
            ColumnType::Decimal {
                precision: 5,
                scale: 2,
            },
            "1.50",
        );
        let instant = partition_value(Some("2024-01-01 00:00:00.000001"), &ColumnType::Timestamp.arrow());
        assert_eq!(
            instant,
            Some(ScalarValue::TimestampMicrosecond(
                Some(1_704_067_200_000_001),
                Some("UTC".into())
            ))
        );
        assert_eq!(
            partition_value(None, &DataType::Date32),
            Some(ScalarValue::Date32(None))
        );
        assert_eq!(partition_value(Some("soon"), &DataType::Date32), None);
    }
}
