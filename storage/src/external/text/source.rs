//! The source of scans over files of text.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use watershed_core::error::{Error, Result, SqlState};

use super::csv::CsvRows;
use super::json::JsonRows;
use super::{TextFormat, bytes};
use crate::error::into_datafusion;
use crate::layout::ColumnType;

/// Rows of a batch where nobody says how many.
const BATCH_ROWS: usize = 8_192;

/// Takes the bytes of a file and gives the rows in it.
pub(super) trait Rows: Send {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>>;
    fn finish(&mut self) -> Result<Vec<RecordBatch>>;
}

/// A file that is read, and what is wanted of it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: String,
    /// All columns that the table has in files.
    pub(super) file: SchemaRef,
    /// Those that are wanted.
    pub(super) wanted: Vec<usize>,
    pub(super) projected: SchemaRef,
    pub(super) batch_size: usize,
    pub(super) format: &'static str,
}

impl Place {
    /// The error for text that is no value of its column.
    pub(super) fn bad(&self, text: &str, field: &Field, line: u64) -> Error {
        let kind = ColumnType::from_arrow(field.data_type());
        let kind = kind.map_or_else(|| field.data_type().to_string(), |kind| kind.sql());
        let shown: String = text.chars().take(200).collect();
        Error::new(
            SqlState::InvalidTextRepresentation,
            format!("cannot read {shown:?} as {kind} for column \"{}\"", field.name()),
        )
        .with_detail(format!("{} file {}, line {line}", self.format, self.path))
        .with_hint(format!(
            "Declare the columns of the table, with a type for \"{}\" that takes all of its values.",
            field.name()
        ))
    }
}

/// Reads files of text, each of them from its beginning.
#[derive(Debug, Clone)]
pub struct TextSource {
    table: TableSchema,
    format: TextFormat,
    batch_size: Option<usize>,
    projection: SplitProjection,
    metrics: ExecutionPlanMetricsSet,
}

impl TextSource {
    pub fn new(table: TableSchema, format: TextFormat) -> Self {
        Self {
            projection: SplitProjection::unprojected(&table),
            table,
            format,
            batch_size: None,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// How the files are read. It is all that a plan says beside what scans of any files say.
    pub fn format(&self) -> &TextFormat {
        &self.format
    }
}

impl FileSource for TextSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        _config: &FileScanConfig,
        _partition: usize,
    ) -> DataFusionResult<Arc<dyn FileOpener>> {
        let file = Arc::clone(self.table.file_schema());
        let wanted = self.projection.file_indices.clone();
        let opener = Opener {
            store,
            format: self.format.clone(),
            place: Place {
                path: String::new(),
                projected: Arc::new(file.project(&wanted)?),
                file: Arc::clone(&file),
                wanted,
                batch_size: self.batch_size.unwrap_or(BATCH_ROWS).max(1),
                format: self.format.name(),
            },
        };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), &file)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self {
            batch_size: Some(batch_size),
            ..self.clone()
        })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        match self.format {
            TextFormat::Csv(_) => "csv",
            TextFormat::Json(_) => "json",
        }
    }

    /// Where a row begins is known only to who has read all before it: a line break may be part of a value.
    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> DataFusionResult<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        Ok(Some(Arc::new(Self {
            projection: SplitProjection::new(self.table.file_schema(), &merged),
            ..self.clone()
        })))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        for expr in self.projection.source.iter() {
            if f(&expr.expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

struct Opener {
    store: Arc<dyn ObjectStore>,
    format: TextFormat,
    place: Place,
}

impl FileOpener for Opener {
    fn open(&self, file: PartitionedFile) -> DataFusionResult<FileOpenFuture> {
        if file.range.is_some() {
            return Err(into_datafusion(Error::internal(
                "a file of text was cut into ranges",
            )));
        }
        let place = Place {
            path: file.object_meta.location.to_string(),
            ..self.place.clone()
        };
        let rows: Box<dyn Rows> = match &self.format {
            TextFormat::Csv(dialect) => {
                Box::new(CsvRows::new(place, dialect.clone()).map_err(into_datafusion)?)
            }
            TextFormat::Json(_) => Box::new(JsonRows::new(place)),
        };
        let compression = self.format.compression();
        let bytes = bytes::read(Arc::clone(&self.store), file.object_meta, compression, u64::MAX);
        let state = (Some(bytes), rows, VecDeque::new());
        let batches = stream::try_unfold(state, |(mut bytes, mut rows, mut ready)| async move {
            loop {
                if let Some(batch) = ready.pop_front() {
                    return Ok::<_, Error>(Some((batch, (bytes, rows, ready))));
                }
                let Some(open) = &mut bytes else { return Ok(None) };
                match open.try_next().await? {
                    Some(piece) => ready.extend(rows.push(&piece)?),
                    None => {
                        bytes = None;
                        ready.extend(rows.finish()?);
                    }
                }
            }
        });
        let batches = batches.map_err(into_datafusion).boxed();
        Ok(Box::pin(async move { Ok(batches) }))
    }
}
