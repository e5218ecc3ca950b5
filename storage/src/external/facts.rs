//! What Parquet files say of themselves: their columns, their rows and bounds of their values.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result as DataFusionResult, ScalarValue, Statistics};
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::execution::SessionState;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics as ChunkStatistics;
use watershed_core::error::{Error, Result, SqlState};

use super::ExternalFormat;
use super::fixed;
use super::memory::{Columns, Memory, Version};
use super::place::Place;
use crate::blocks::FooterChange;
use crate::error::{from_datafusion, into_datafusion};

/// Files that are looked into at a time.
const AT_A_TIME: usize = 32;

/// What one file says of itself.
#[derive(Debug)]
pub(super) struct FileFacts {
    /// The file's own columns, with the types that the reader gives them.
    pub(super) schema: SchemaRef,
    /// The columns with the types that their values mean: texts where the reader gives the bytes of UUIDs.
    pub(super) meant: SchemaRef,
    /// How its footer is changed for the reader.
    pub(super) change: Option<FooterChange>,
    /// Of the file's own columns and types. What is exact here is exact.
    pub(super) statistics: Statistics,
}

impl Columns for FileFacts {
    fn columns(&self) -> usize {
        self.schema.fields().len()
    }
}

/// What the files of one folder mostly have in common, held once then.
struct Common {
    schema: SchemaRef,
    meant: SchemaRef,
    change: Option<FooterChange>,
}

static REMEMBERED: LazyLock<Memory<FileFacts>> = LazyLock::new(Memory::new);

/// The facts of all files of a place, in their order.
pub(super) async fn of_files(place: &Place, state: &SessionState) -> Result<Vec<Arc<FileFacts>>> {
    let common: Mutex<Option<Common>> = Mutex::new(None);
    let mut all = Vec::with_capacity(place.files.len());
    for some in place.files.chunks(16 * AT_A_TIME) {
        let some: Vec<_> = some
            .iter()
            .map(|file| of_file(place, file, state, &common))
            .collect();
        let some: Vec<_> = stream::iter(some).buffered(AT_A_TIME).try_collect().await?;
        all.extend(some);
    }
    Ok(all)
}

async fn of_file(
    place: &Place,
    file: &ObjectMeta,
    state: &SessionState,
    common: &Mutex<Option<Common>>,
) -> Result<Arc<FileFacts>> {
    let version = Version::of(place, file, "");
    if let Some(known) = REMEMBERED.get(&version) {
        return Ok(known);
    }
    let facts = Arc::new(read(&*place.store, file, state, common).await?);
    REMEMBERED.put(version, Arc::clone(&facts));
    Ok(facts)
}

/// The error for a file that is no Parquet file, rather than a damaged one: its name says another format, or none, and it
/// does not end as a Parquet file does. A folder and a pattern without an ending are read as Parquet.
fn other_format(name: &str, found: &Error) -> Option<Error> {
    let named = ExternalFormat::of_path(name);
    let text = format!("{} {}", found.message(), found.detail().unwrap_or_default());
    let is_other = text.contains("Invalid Parquet file") || text.contains("at least 8 bytes");
    if !is_other || named == Some(ExternalFormat::Parquet) {
        return None;
    }
    let hint = match named {
        Some(ExternalFormat::Csv) => {
            "Read CSV files with read_csv('…'), or as an external table STORED AS CSV."
        }
        Some(ExternalFormat::Json) => {
            "Read JSON files with read_json('…'), or as an external table STORED AS JSON."
        }
        _ => "Name the format: read_csv('…') or read_json('…').",
    };
    let error = Error::new(SqlState::WrongObjectType, format!("{name:?} is no Parquet file"));
    Some(error.with_hint(hint))
}

async fn read(
    store: &dyn ObjectStore,
    file: &ObjectMeta,
    state: &SessionState,
    common: &Mutex<Option<Common>>,
) -> Result<FileFacts> {
    let failed = |error: datafusion::error::DataFusionError| {
        let error = from_datafusion(error);
        if let Some(told) = other_format(file.location.as_ref(), &error) {
            return told;
        }
        // Whatever the reader does not expect in a footer is a fault of the file.
        let code = match error.code() {
            SqlState::InternalError => SqlState::DataCorrupted,
            code => code,
        };
        let told = Error::new(
            code,
            format!("cannot read {:?} as PARQUET", file.location.to_string()),
        );
        told.with_detail(match error.detail() {
            Some(detail) => format!("{}: {detail}", error.message()),
            None => error.message().to_owned(),
        })
    };
    let reader = DFParquetMetadata::new(store, file)
        .with_file_metadata_cache(Some(state.runtime_env().cache_manager.get_file_metadata_cache()))
        .with_metadata_size_hint(state.config_options().execution.parquet.metadata_size_hint)
        .with_coerce_int96(Some(TimeUnit::Microsecond));
    let metadata = guarded(reader.fetch_metadata()).await.map_err(failed)?;
    let mut change = FooterChange::of_types(&metadata);
    let mut found = match change {
        Some(change) => change.schema(&metadata),
        None => guarded(reader.fetch_schema()).await,
    };
    if found.is_err()
        && let Ok(without) = FooterChange::WithoutHints.schema(&metadata)
    {
        found = Ok(without);
        change = Some(FooterChange::WithoutHints);
    }
    let schema: SchemaRef = Arc::new(found.map_err(failed)?);
    let meant = fixed::meant(metadata.file_metadata().schema_descr(), &schema);
    let (schema, meant) = {
        let mut common = common.lock();
        match &*common {
            Some(known)
                if known.schema.fields() == schema.fields()
                    && known.meant.fields() == meant.fields()
                    && known.change == change =>
            {
                (Arc::clone(&known.schema), Arc::clone(&known.meant))
            }
            Some(_) => (schema, meant),
            None => {
                *common = Some(Common {
                    schema: Arc::clone(&schema),
                    meant: Arc::clone(&meant),
                    change,
                });
                (schema, meant)
            }
        }
    };
    let statistics = statistics(&metadata, &schema, file.size)?;
    Ok(FileFacts {
        schema,
        meant,
        change,
        statistics,
    })
}

/// The reader panics at some lengths that a damaged footer has, and at types that Arrow does not have.
async fn guarded<T>(reading: impl Future<Output = DataFusionResult<T>>) -> DataFusionResult<T> {
    let read = AssertUnwindSafe(reading).catch_unwind().await;
    read.unwrap_or_else(|_| {
        Err(into_datafusion(Error::new(
            SqlState::DataCorrupted,
            "its footer is damaged",
        )))
    })
}

fn statistics(metadata: &ParquetMetaData, schema: &SchemaRef, size: u64) -> Result<Statistics> {
    let rows: i64 = metadata.row_groups().iter().map(|group| group.num_rows()).sum();
    let rows = usize::try_from(rows)
        .map_err(|_| Error::new(SqlState::DataCorrupted, "a Parquet file has less than no rows"))?;
    let described = metadata.file_metadata().schema_descr();
    let mut columns: Vec<_> = schema
        .fields()
        .iter()
        .map(|_| ColumnStatistics::new_unknown())
        .collect();
    // Leaves in the order of the file. Of nested columns nothing is told.
    let mut leaves: HashMap<usize, usize> = HashMap::new();
    for leaf in 0..described.num_columns() {
        if described.column(leaf).path().parts().len() == 1 {
            leaves.insert(described.get_column_root_idx(leaf), leaf);
        }
    }
    for (place, field) in schema.fields().iter().enumerate() {
        if let Some(leaf) = leaves.get(&place)
            && let Some(column) = columns.get_mut(place)
        {
            *column = column_statistics(metadata, *leaf, field.data_type());
        }
    }
    Ok(Statistics {
        num_rows: Precision::Exact(rows),
        // Rows in memory are about twice as large as in a file.
        total_byte_size: usize::try_from(size).map_or(Precision::Absent, |size| {
            Precision::Inexact(size.saturating_mul(2))
        }),
        column_statistics: columns,
    })
}

/// Of types whose order every writer agrees on.
fn column_statistics(metadata: &ParquetMetaData, leaf: usize, kind: &DataType) -> ColumnStatistics {
    let mut found = ColumnStatistics::new_unknown();
    let (mut nulls, mut bounds) = (Some(0_u64), None);
    let mut bounded = true;
    for group in metadata.row_groups() {
        let statistics = group.columns().get(leaf).and_then(|chunk| chunk.statistics());
        let null_count = statistics.and_then(ChunkStatistics::null_count_opt);
        nulls = nulls
            .zip(null_count)
            .map(|(nulls, more)| nulls.saturating_add(more));
        let rows = u64::try_from(group.num_rows()).unwrap_or_default();
        if null_count == Some(rows) {
            continue;
        }
        match statistics.and_then(range) {
            Some((low, high)) => {
                let (least, most) = bounds.unwrap_or((low, high));
                bounds = Some((low.min(least), high.max(most)));
            }
            None => bounded = false,
        }
    }
    if let Some(nulls) = nulls.and_then(|nulls| usize::try_from(nulls).ok()) {
        found.null_count = Precision::Exact(nulls);
    }
    if let Some((low, high)) = bounds.filter(|_| bounded)
        && let Some((low, high)) = scalar(low, kind).zip(scalar(high, kind))
    {
        found.min_value = Precision::Exact(low);
        found.max_value = Precision::Exact(high);
    }
    found
}

/// The least and the greatest value, where they are not cut.
fn range(statistics: &ChunkStatistics) -> Option<(i64, i64)> {
    if !statistics.min_is_exact() || !statistics.max_is_exact() {
        return None;
    }
    match statistics {
        ChunkStatistics::Int32(values) => {
            let (low, high) = values.min_opt().zip(values.max_opt())?;
            Some((i64::from(*low), i64::from(*high)))
        }
        ChunkStatistics::Int64(values) => {
            let (low, high) = values.min_opt().zip(values.max_opt())?;
            Some((*low, *high))
        }
        _ => None,
    }
}

fn scalar(value: i64, kind: &DataType) -> Option<ScalarValue> {
    Some(match kind {
        DataType::Int8 => ScalarValue::Int8(Some(i8::try_from(value).ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(i16::try_from(value).ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(value).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(value)),
        DataType::Date32 => ScalarValue::Date32(Some(i32::try_from(value).ok()?)),
        DataType::Timestamp(unit, zone) => {
            let (value, zone) = (Some(value), zone.clone());
            match unit {
                TimeUnit::Second => ScalarValue::TimestampSecond(value, zone),
                TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(value, zone),
                TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(value, zone),
                TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(value, zone),
            }
        }
        _ => return None,
    })
}
