//! Footers of Parquet files, changed where the reader of Parquet would misread them.
//!
//! The reader has no type for the three parts of an INTERVAL and drops its months (no issue is known upstream), so that
//! an INTERVAL is read as the 12 bytes that it is stored as. An Arrow schema that names types which Arrow does
//! not have is left out: the reader panics at it.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::datatypes::{Schema, TimeUnit};
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use datafusion::config::{ParquetColumnOptions, TableParquetOptions};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::Int96Coercer;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::ConvertedType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

/// Names of columns that no file has: see [`super::scan`].
const INTERVALS: &str = "watershed.footer:intervals";
const WITHOUT_HINTS: &str = "watershed.footer:without_hints";

/// How the footers of a scan's files are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FooterChange {
    /// Intervals are bytes.
    Intervals,
    /// Intervals are bytes, and the Arrow schema is left out.
    WithoutHints,
}

impl FooterChange {
    /// The change that the types of a file need.
    pub(crate) fn of_types(footer: &ParquetMetaData) -> Option<Self> {
        let columns = footer.file_metadata().schema_descr().columns();
        let mut kinds = columns.iter().map(|column| column.converted_type());
        kinds
            .any(|kind| kind == ConvertedType::INTERVAL)
            .then_some(Self::Intervals)
    }

    /// The types of a file's columns as the reader gives them after the change.
    pub(crate) fn schema(self, footer: &ParquetMetaData) -> Result<Schema> {
        let changed = self.file(footer.file_metadata())?;
        let found = catch_unwind(AssertUnwindSafe(|| {
            parquet_to_arrow_schema(changed.schema_descr(), changed.key_value_metadata())
        }));
        let found =
            found.unwrap_or_else(|_| Err(ParquetError::General("its footer is damaged".to_owned())))?;
        let micros = TimeUnit::Microsecond;
        let coerced = Int96Coercer::new(changed.schema_descr(), &found, &micros).coerce();
        Ok(coerced.unwrap_or(found))
    }

    /// Notes in a scan's options that the footers of its files are changed.
    pub(crate) fn note(self, options: &mut TableParquetOptions) {
        let name = match self {
            Self::Intervals => INTERVALS,
            Self::WithoutHints => WITHOUT_HINTS,
        };
        let columns = &mut options.column_specific_options;
        columns.insert(name.to_owned(), ParquetColumnOptions::default());
    }

    pub(super) fn noted(options: &TableParquetOptions) -> Option<Self> {
        let has = |name| options.column_specific_options.contains_key(name);
        match (has(WITHOUT_HINTS), has(INTERVALS)) {
            (true, _) => Some(Self::WithoutHints),
            (false, true) => Some(Self::Intervals),
            (false, false) => None,
        }
    }

    fn file(self, file: &FileMetaData) -> Result<FileMetaData> {
        let root = bytes_for_intervals(&file.schema_descr().root_schema_ptr())?;
        let hints = match self {
            Self::Intervals => file.key_value_metadata().cloned(),
            Self::WithoutHints => None,
        };
        Ok(FileMetaData::new(
            file.version(),
            file.num_rows(),
            file.created_by().map(str::to_owned),
            hints,
            Arc::new(SchemaDescriptor::new(root)),
            file.column_orders().cloned(),
        ))
    }

    fn footer(self, footer: &ParquetMetaData) -> Result<ParquetMetaData> {
        let changed = self.file(footer.file_metadata())?;
        let changed = ParquetMetaData::new(changed, footer.row_groups().to_vec()).into_builder();
        Ok(changed
            .set_column_index(footer.column_index().cloned())
            .set_offset_index(footer.offset_index().cloned())
            .build())
    }
}

/// The type with INTERVALs as bytes.
fn bytes_for_intervals(kind: &TypePtr) -> Result<TypePtr> {
    let info = kind.get_basic_info();
    let id = info.has_id().then(|| info.id());
    match kind.as_ref() {
        Type::PrimitiveType {
            physical_type,
            type_length,
            ..
        } if info.converted_type() == ConvertedType::INTERVAL => {
            let bytes = Type::primitive_type_builder(kind.name(), *physical_type)
                .with_repetition(info.repetition())
                .with_length(*type_length)
                .with_id(id);
            Ok(Arc::new(bytes.build()?))
        }
        Type::PrimitiveType { .. } => Ok(Arc::clone(kind)),
        Type::GroupType { fields, .. } => {
            let fields = fields.iter().map(bytes_for_intervals).collect::<Result<_>>()?;
            let mut group = Type::group_type_builder(kind.name())
                .with_fields(fields)
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_id(id);
            if info.has_repetition() {
                group = group.with_repetition(info.repetition());
            }
            Ok(Arc::new(group.build()?))
        }
    }
}

/// Makes readers that change the footer of their file.
#[derive(Debug)]
pub(super) struct ChangedFooters {
    pub(super) inner: Arc<dyn ParquetFileReaderFactory>,
    pub(super) change: FooterChange,
}

impl ParquetFileReaderFactory for ChangedFooters {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let inner = self
            .inner
            .create_reader(partition, file, metadata_size_hint, metrics)?;
        Ok(Box::new(ChangedFooter {
            inner,
            change: self.change,
        }))
    }
}

struct ChangedFooter {
    inner: Box<dyn AsyncFileReader + Send>,
    change: FooterChange,
}

impl AsyncFileReader for ChangedFooter {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.inner.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        self.inner.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let footer = self.inner.get_metadata(options).await?;
            let changed = self.change.footer(&footer);
            changed.map(Arc::new).map_err(|error| match error {
                DataFusionError::ParquetError(error) => *error,
                other => ParquetError::External(Box::new(other)),
            })
        }
        .boxed()
    }
}
