//! Scans of tables over files that others wrote.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{
    ColumnStatistics, DFSchema, Result, ScalarValue, Statistics, internal_datafusion_err, project_schema,
};
use datafusion::config::{ConfigOptions, TableParquetOptions};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::SessionState;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::{CastExpr, Column, lit};
use datafusion::physical_expr::{Partitioning, PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use object_store::ObjectMeta;
use url::Url;
use xxhash_rust::xxh3::Xxh3;

use super::place::Place;
use super::text::{TextFormat, TextSource};
use crate::blocks::{FooterChange, with_tags};
use crate::table::{ScanLog, ScanReport, deal, has_subquery, unqualified};

/// A table over files at the moment at which the statement looked.
#[derive(Debug)]
pub(crate) struct FilesTable {
    pub(crate) name: String,
    /// As it was declared.
    pub(crate) location: String,
    /// How it was declared, in full: it says what the files' rows are.
    pub(crate) declaration: String,
    /// A digest of the files that were there when the statement looked; none of too many.
    pub(crate) seen: Option<String>,
    pub(super) bucket: Url,
    /// The columns as queries see them.
    pub(super) schema: SchemaRef,
    /// Which of them stand in the names of folders.
    pub(super) partitions: Vec<usize>,
    pub(super) classes: Vec<FileClass>,
    pub(super) format: Format,
    pub(super) log: ScanLog,
}

/// How files are read.
#[derive(Debug, Clone)]
pub(super) enum Format {
    Parquet,
    Text(TextFormat),
}

/// Files that are read by one scan.
#[derive(Debug)]
pub(super) struct FileClass {
    /// The columns that lie in files, in the table's order, with the names that the files have and the types that
    /// they are scanned as.
    pub(super) schema: SchemaRef,
    /// How the reader takes the files' footers.
    pub(super) change: Option<FooterChange>,
    pub(super) files: Vec<DataFile>,
}

#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) meta: ObjectMeta,
    pub(super) partitions: Vec<ScalarValue>,
    /// Of the class's columns, then of the partitions.
    pub(super) statistics: Arc<Statistics>,
}

/// A digest of files: path, size, time and tag of each.
pub(crate) fn digest<'a>(
    files: impl Iterator<Item = (&'a str, u64, DateTime<Utc>, Option<&'a str>)>,
) -> String {
    let mut files: Vec<_> = files.collect();
    files.sort_unstable();
    let mut hash = Xxh3::new();
    for (path, size, modified, tag) in files {
        let tag = tag.unwrap_or_default();
        hash.update(format!("{path:?} {size} {} {tag:?}\n", modified.to_rfc3339()).as_bytes());
    }
    format!("{:032x}", hash.digest128())
}

/// The statistics of a file whose rows are not counted.
pub(super) fn unknown_statistics(size: u64, columns: usize) -> Statistics {
    Statistics {
        num_rows: Precision::Absent,
        total_byte_size: usize::try_from(size).map_or(Precision::Absent, Precision::Inexact),
        column_statistics: vec![ColumnStatistics::new_unknown(); columns],
    }
}

impl FilesTable {
    /// A digest of the files that are there now, if all can be looked at.
    pub(crate) async fn look(location: &str, state: &SessionState) -> Option<String> {
        Place::find(location, state).await.ok()?.digest()
    }

    fn is_of_partitions(&self, filter: &Expr) -> bool {
        let columns = filter.column_refs();
        !columns.is_empty()
            && columns.iter().all(|column| {
                let mut partitions = self.partitions.iter();
                partitions.any(|place| self.schema.field(*place).name() == &column.name)
            })
            && !filter.is_volatile()
            && !has_subquery(filter)
    }

    /// The files that filters on partitions leave, by class.
    fn kept(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Vec<&DataFile>>> {
        let filters = filters.iter().filter(|filter| self.is_of_partitions(filter));
        let Some(filter) = conjunction(filters.cloned()) else {
            return Ok(self
                .classes
                .iter()
                .map(|class| class.files.iter().collect())
                .collect());
        };
        let schema = Arc::new(self.schema.project(&self.partitions)?);
        let filter = unqualified(filter)?;
        let filter = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(&schema))?)?;
        self.classes
            .iter()
            .map(|class| kept(&class.files, &schema, &*filter))
            .collect()
    }

    fn report(&self, kept: &[Vec<&DataFile>]) -> ScanReport {
        let mut report = ScanReport {
            table: self.name.clone(),
            files_total: self.classes.iter().map(|class| class.files.len()).sum(),
            ..ScanReport::default()
        };
        let mut rows = Some(0_u64);
        for file in kept.iter().flatten() {
            report
                .first_file
                .get_or_insert_with(|| file.meta.location.clone());
            report.files_scanned += 1;
            report.bytes_scanned += file.meta.size;
            let counted = file.statistics.num_rows.get_value().copied();
            let counted = counted.and_then(|rows| u64::try_from(rows).ok());
            rows = rows.zip(counted).map(|(rows, more)| rows.saturating_add(more));
        }
        report.rows_estimated = rows;
        if report.files_scanned < report.files_total {
            report.pruned_by.push("partition".to_owned());
        }
        report
    }

    /// The scan of one class.
    fn plan(
        &self,
        class: &FileClass,
        files: &[&DataFile],
        projection: &[usize],
        limit: Option<usize>,
        state: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = self
            .partitions
            .iter()
            .map(|place| Arc::new(self.schema.field(*place).clone()));
        let partitions: Vec<FieldRef> = partitions.collect();
        let table = TableSchema::builder(Arc::clone(&class.schema))
            .with_table_partition_cols(partitions)
            .build();
        let full = Arc::clone(table.table_schema());
        // From the place in the table to the place in the scan.
        let mut places = vec![0; self.schema.fields().len()];
        let in_files = (0..places.len()).filter(|place| !self.partitions.contains(place));
        for (scanned, place) in in_files
            .chain(self.partitions.iter().copied())
            .enumerate()
            .collect::<Vec<_>>()
        {
            places[place] = scanned;
        }
        let projected: Vec<usize> = projection.iter().map(|place| places[*place]).collect();
        let planned: Vec<_> = files.iter().map(|file| planned(file)).collect();
        let options = state.config_options();
        let target = state.config().target_partitions();
        let (source, min_bytes): (Arc<dyn FileSource>, u64) = match &self.format {
            Format::Parquet => (
                Arc::new(parquet(table, class.change, state)),
                options.optimizer.repartition_file_min_size as u64,
            ),
            // Where a row begins is known only to who has read all before it.
            Format::Text(format) => (Arc::new(TextSource::new(table, format.clone())), u64::MAX),
        };
        let statistics = merged(&planned, &full)?;
        let groups = deal(planned, target, min_bytes)
            .into_iter()
            .map(|files| {
                let statistics = merged(&files, &full)?;
                Ok(FileGroup::new(files).with_statistics(Arc::new(statistics)))
            })
            .collect::<Result<Vec<_>>>()?;
        // Declared, so that nobody cuts the files in another way.
        let partitioning = Partitioning::UnknownPartitioning(groups.len());
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(&self.bucket)?, source)
            .with_file_groups(groups)
            .with_output_partitioning(Some(partitioning))
            .with_statistics(statistics)
            .with_limit(limit)
            .with_projection_indices(Some(projected))?
            .build();
        let scan = with_tags(DataSourceExec::from_data_source(config));
        self.converted(scan, projection, state.config().options())
    }

    /// The columns with the names and types that the table gives them.
    fn converted(
        &self,
        scan: Arc<dyn ExecutionPlan>,
        projection: &[usize],
        options: &Arc<ConfigOptions>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = projection.iter().map(|place| self.schema.field(*place));
        let found = scan.schema();
        let kinds = |fields: &mut dyn Iterator<Item = &Field>| -> Vec<_> {
            fields
                .map(|field| (field.name().clone(), field.data_type().clone()))
                .collect()
        };
        let mut of_scan = found.fields().iter().map(AsRef::as_ref);
        if kinds(&mut of_scan) == kinds(&mut wanted.clone()) {
            return Ok(scan);
        }
        let exprs = wanted
            .enumerate()
            .map(|(place, field)| {
                let column = Arc::new(Column::new(found.field(place).name(), place));
                let expr = conversion(column, &found, field.data_type(), options)?;
                Ok((expr, field.name().clone()))
            })
            .collect::<Result<Vec<(Arc<dyn PhysicalExpr>, String)>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(exprs, scan)?))
    }
}

/// The files whose partition values fulfil a filter, which is evaluated over one row per file.
fn kept<'a>(
    files: &'a [DataFile],
    schema: &SchemaRef,
    filter: &dyn PhysicalExpr,
) -> Result<Vec<&'a DataFile>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let columns = (0..schema.fields().len())
        .map(|place| ScalarValue::iter_to_array(files.iter().map(|file| file.partitions[place].clone())))
        .collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
    let keep = filter.evaluate(&batch)?.into_array(files.len())?;
    let keep = keep
        .as_boolean_opt()
        .ok_or_else(|| internal_datafusion_err!("a filter gave no truth values"))?;
    Ok(files
        .iter()
        .zip(keep.iter())
        .filter_map(|(file, keep)| (keep == Some(true)).then_some(file))
        .collect())
}

fn planned(file: &DataFile) -> PartitionedFile {
    let mut planned =
        PartitionedFile::new_from_meta(file.meta.clone()).with_partition_values(file.partitions.clone());
    // Set as a whole, as there are NULLs among partition values.
    planned.statistics = Some(Arc::clone(&file.statistics));
    planned
}

fn merged(files: &[PartitionedFile], schema: &Schema) -> Result<Statistics> {
    Statistics::try_merge_iter(files.iter().filter_map(|file| file.statistics.as_deref()), schema)
}

/// A column of a scan as a type that the scan does not give.
fn conversion(
    column: Arc<Column>,
    schema: &Schema,
    wanted: &DataType,
    options: &Arc<ConfigOptions>,
) -> Result<Arc<dyn PhysicalExpr>> {
    let found = schema.field(column.index()).data_type();
    if found == wanted {
        return Ok(column);
    }
    let call = |name: &str, args: Vec<Arc<dyn PhysicalExpr>>| -> Result<Arc<dyn PhysicalExpr>> {
        let function = crate::functions::named(name)?;
        let call = ScalarFunctionExpr::try_new(function, args, schema, Arc::clone(options))?;
        Ok(Arc::new(call))
    };
    let expr = match (found, wanted) {
        (DataType::Date32, DataType::Timestamp(..)) => {
            let zone = options.execution.time_zone.as_deref().unwrap_or("UTC");
            call("instant_from_local", vec![column, lit(zone)])?
        }
        _ => call("values_of_bytes", vec![column])?,
    };
    if expr.data_type(schema)? == *wanted {
        return Ok(expr);
    }
    Ok(Arc::new(CastExpr::new(expr, wanted.clone(), None)))
}

fn parquet(table: TableSchema, change: Option<FooterChange>, state: &dyn Session) -> ParquetSource {
    let mut options = TableParquetOptions::new();
    options.global = state.config_options().execution.parquet.clone();
    // Nanoseconds of 64 bits end in 2262, and some writers mean "never" by the year 9999.
    options.global.coerce_int96 = Some("us".to_owned());
    if let Some(change) = change {
        change.note(&mut options);
    }
    let hint = options.global.metadata_size_hint;
    let source = ParquetSource::new(table).with_table_parquet_options(options);
    match hint {
        Some(hint) => source.with_metadata_size_hint(hint),
        None => source,
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| {
                if self.is_of_partitions(filter) {
                    TableProviderFilterPushDown::Exact
                } else if has_subquery(filter) {
                    TableProviderFilterPushDown::Unsupported
                } else {
                    TableProviderFilterPushDown::Inexact
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = self.kept(state, filters)?;
        self.log.push(self.report(&kept));
        let all: Vec<usize>;
        let columns = match projection {
            Some(projection) => projection,
            None => {
                all = (0..self.schema.fields().len()).collect();
                &all
            }
        };
        let mut plans = self
            .classes
            .iter()
            .zip(&kept)
            .filter(|(_, files)| !files.is_empty())
            .map(|(class, files)| self.plan(class, files, columns, limit, state))
            .collect::<Result<Vec<_>>>()?;
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(project_schema(
                &self.schema,
                projection,
            )?))),
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}
