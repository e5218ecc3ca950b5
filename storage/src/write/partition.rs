//! Which file a row belongs to: by the values of its partition columns, and by its shard.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::row::{RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::DateTime;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::id::ShardId;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::from_datafusion;
use crate::layout::{SHARD_COLUMN, Sharding, TableLayout};
use crate::shards::shard_column;

/// Partitions that one statement may write on one executor: each is a file at least.
const PARTITIONS_MAX: usize = 10_000;
/// Values longer than this name no folder.
const FOLDER_NAME_MAX: usize = 64;
/// What Delta and Hive call the folder of NULL.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// Where rows go: one number for each partition and shard that has any.
pub(super) type Bucket = usize;

/// Tells rows apart by partition and shard. Partitions keep their numbers from batch to batch.
pub(super) struct Partitioner {
    columns: Vec<(usize, String)>,
    key: Option<usize>,
    sharding: Option<Sharding>,
    converter: Option<RowConverter>,
    numbers: HashMap<Box<[u8]>, usize>,
    /// The partition columns' texts, by number.
    values: Vec<Vec<Option<String>>>,
}

impl Partitioner {
    pub(super) fn new(layout: &TableLayout) -> Result<Self> {
        let schema = layout.arrow_schema();
        let place = |name: &String| {
            schema
                .index_of(name)
                .map_err(|_| Error::internal(format!("column {name} of a layout is no column")))
        };
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for name in &layout.partition_by {
            let place = place(name)?;
            fields.push(SortField::new(schema.field(place).data_type().clone()));
            columns.push((place, name.clone()));
        }
        let converter = match fields.is_empty() {
            true => None,
            false => Some(RowConverter::new(fields).map_err(|error| from_datafusion(error.into()))?),
        };
        Ok(Self {
            key: layout
                .sharding
                .as_ref()
                .map(|sharding| place(&sharding.key))
                .transpose()?,
            sharding: layout.sharding.clone(),
            values: match converter {
                // Without partitions all rows are in one.
                None => vec![Vec::new()],
                Some(_) => Vec::new(),
            },
            columns,
            converter,
            numbers: HashMap::new(),
        })
    }

    /// The bucket of each row.
    pub(super) fn buckets(&mut self, batch: &RecordBatch) -> Result<Vec<Bucket>> {
        let mut buckets = self.partitions(batch)?;
        if let (Some(sharding), Some(key)) = (&self.sharding, self.key) {
            let shards = shard_column(batch.column(key), sharding.shards)?;
            let count = sharding.shards as usize;
            for (bucket, shard) in buckets.iter_mut().zip(shards) {
                *bucket = *bucket * count + shard as usize;
            }
        }
        Ok(buckets)
    }

    fn partitions(&mut self, batch: &RecordBatch) -> Result<Vec<usize>> {
        let Some(converter) = &self.converter else {
            return Ok(vec![0; batch.num_rows()]);
        };
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .map(|(place, _)| ArrayRef::clone(batch.column(*place)))
            .collect();
        let rows = converter
            .convert_columns(&columns)
            .map_err(|error| from_datafusion(error.into()))?;
        let mut numbers = Vec::with_capacity(batch.num_rows());
        // Rows of one partition mostly come together.
        let mut last: Option<(usize, usize)> = None;
        for row in 0..batch.num_rows() {
            let bytes = rows.row(row);
            let number = match last {
                Some((same, number)) if rows.row(same) == bytes => number,
                _ => match self.numbers.get(bytes.as_ref()) {
                    Some(number) => *number,
                    None => {
                        let number = self.values.len();
                        if number >= PARTITIONS_MAX {
                            return Err(too_many());
                        }
                        self.values.push(texts(&columns, &self.columns, row)?);
                        self.numbers.insert(bytes.as_ref().into(), number);
                        number
                    }
                },
            };
            last = Some((row, number));
            numbers.push(number);
        }
        Ok(numbers)
    }

    /// Delta's texts of a bucket's partition values, the shard among them.
    pub(super) fn values(&self, bucket: Bucket) -> BTreeMap<String, Option<String>> {
        let (partition, shard) = self.split(bucket);
        let mut values: BTreeMap<_, _> = self
            .columns
            .iter()
            .map(|(_, name)| name.clone())
            .zip(self.values.get(partition).cloned().unwrap_or_default())
            .collect();
        if let Some(shard) = shard {
            values.insert(SHARD_COLUMN.to_owned(), Some(shard.to_string()));
        }
        values
    }

    /// The folder of a bucket's files, below the table's.
    pub(super) fn folder(&self, bucket: Bucket) -> Vec<String> {
        let (partition, shard) = self.split(bucket);
        let mut folder: Vec<_> = self
            .columns
            .iter()
            .zip(self.values.get(partition).into_iter().flatten())
            .map(|((_, name), value)| format!("{}={}", folder_name(name), value_name(value.as_deref())))
            .collect();
        folder.extend(shard.map(|shard| format!("{SHARD_COLUMN}={shard}")));
        folder
    }

    fn split(&self, bucket: Bucket) -> (usize, Option<ShardId>) {
        match &self.sharding {
            None => (bucket, None),
            Some(sharding) => {
                let count = sharding.shards.max(1) as usize;
                (bucket / count, ShardId::try_from(bucket % count).ok())
            }
        }
    }
}

fn too_many() -> Error {
    Error::new(
        SqlState::InsufficientResources,
        format!("a statement writes more than {PARTITIONS_MAX} partitions"),
    )
    .with_hint("Write fewer partitions at once, or partition by a column of fewer values.")
}

/// One row's values as Delta writes them.
fn texts(columns: &[ArrayRef], names: &[(usize, String)], row: usize) -> Result<Vec<Option<String>>> {
    columns
        .iter()
        .zip(names)
        .map(|(column, (_, name))| text(column, row, name))
        .collect()
}

fn text(column: &ArrayRef, row: usize, name: &str) -> Result<Option<String>> {
    if column.is_null(row) {
        return Ok(None);
    }
    let text = match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            DateTime::from_timestamp_micros(micros)
                .ok_or_else(|| {
                    Error::new(
                        SqlState::InvalidDatetimeFormat,
                        format!("timestamp out of range in column \"{name}\""),
                    )
                })?
                .format("%Y-%m-%d %H:%M:%S%.6f")
                .to_string()
        }
        data_type if data_type.is_nested() || matches!(data_type, DataType::Binary) => {
            return Err(Error::new(
                SqlState::InvalidTableDefinition,
                format!("column \"{name}\" of type {data_type} cannot partition a table"),
            ));
        }
        _ => {
            let options = FormatOptions::default();
            ArrayFormatter::try_new(column.as_ref(), &options)
                .and_then(|formatter| formatter.value(row).try_to_string())
                .map_err(|error| from_datafusion(error.into()))?
        }
    };
    if text.is_empty() {
        return Err(Error::new(
            SqlState::DataException,
            format!("an empty text cannot be a value of partition column \"{name}\""),
        )
        .with_detail("Delta takes it for NULL")
        .with_hint("Write NULL or another text."));
    }
    Ok(Some(text))
}

/// A name that means the same in every store and URL: others become a hash. The log has the value.
fn folder_name(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() <= FOLDER_NAME_MAX && text.chars().all(safe) && !matches!(text, "" | "." | "..") {
        text.to_owned()
    } else {
        format!("x{:016x}", xxh3_64(text.as_bytes()))
    }
}

fn value_name(value: Option<&str>) -> String {
    value.map_or_else(|| NULL_FOLDER.to_owned(), folder_name)
}
