//! External tables as the files are at this moment.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::execution::SessionState;
use watershed_core::error::{Error, Result, SqlState};

use super::facts::{self, FileFacts};
use super::files::{DataFile, FileClass, FilesTable, Format, unknown_statistics};
use super::fit::keeps_order;
use super::format::Options;
use super::hive::Partitions;
use super::names::places;
use super::place::Place;
use super::shape::{self, field_of};
use super::text::{self, TextFormat};
use super::{ExternalFormat, ExternalTable};
use crate::blocks::FooterChange;
use crate::delta::{self, partition_statistics};
use crate::layout::Column;
use crate::table::{ScanLog, ShardedTable};

/// Checks a definition against the files: that they can be read, and have what is declared.
pub async fn check(table: &ExternalTable, state: &SessionState) -> Result<()> {
    let provider = open(table, state, ScanLog::default()).await?;
    if table.format != ExternalFormat::Delta || table.columns.is_empty() {
        return Ok(());
    }
    // The columns of a Delta table are those that its log says.
    let found = provider.schema();
    let same = |(declared, found): (&Column, &Arc<Field>)| {
        declared.name == *found.name() && declared.data_type.arrow() == *found.data_type()
    };
    let all = found.fields().len() == table.columns.len();
    match all && table.columns.iter().zip(found.fields()).all(same) {
        true => Ok(()),
        false => Err(Error::new(
            SqlState::InvalidTableDefinition,
            "the declared columns are not those of the Delta table",
        )
        .with_hint("Leave out the columns: the table's log says what they are.")),
    }
}

/// The table, ready to be scanned.
pub async fn open(
    table: &ExternalTable,
    state: &SessionState,
    log: ScanLog,
) -> Result<Arc<dyn TableProvider>> {
    let options = Options::new(table.format, &table.options)?;
    let place = Place::find(&table.location, state).await?;
    if table.format == ExternalFormat::Delta {
        let version = options.version()?;
        let (store, path) = (Arc::clone(&place.store), place.path.clone());
        let (layout, snapshot) = delta::read_foreign(&place.url, store, path, version).await?;
        let provider = ShardedTable::within(
            table.name.clone(),
            Arc::new(layout),
            Arc::new(snapshot),
            &place.url,
            log,
        );
        return Ok(Arc::new(provider));
    }
    let seen = place.digest();
    let place = place
        .without_delta_log(&table.location)?
        .with_endings(&options.endings(), options.has_ending());
    let Some(first) = place.files.first() else {
        return Err(Error::new(
            SqlState::IoError,
            format!(
                "no file at {:?} has the ending that was asked for",
                table.location
            ),
        ));
    };
    let format = options.text_format(first.location.as_ref(), table.columns.is_empty())?;
    let found = match place.is_folder() {
        true => Partitions::of(&place.path, &place.files),
        false => Partitions::default(),
    };
    let partitions = Chosen::new(table, &found)?;
    let (classes, in_files, format) = match format {
        None => parquet(table, &place, &partitions, state).await?,
        Some(format) => of_text(table, &place, &partitions, format).await?,
    };
    // Columns of partitions stand where they were declared, else last.
    let mut fields: Vec<Field> = in_files;
    let mut order: Vec<usize> = Vec::new();
    for partition in &partitions.0 {
        let field = field_of(&partition.column);
        let place = partition
            .declared
            .map_or(fields.len(), |place| place.min(fields.len()));
        fields.insert(place, field);
    }
    for partition in &partitions.0 {
        let place = fields
            .iter()
            .position(|field| field.name() == &partition.column.name);
        order.extend(place);
    }
    let values = partitions
        .0
        .iter()
        .map(|partition| found.typed(partition.level, &partition.column.data_type, &place.files))
        .collect::<Result<Vec<_>>>()?;
    let bucket = place.bucket();
    let classes = classes
        .into_iter()
        .map(|class| class.with_partitions(&place, &values))
        .collect();
    Ok(Arc::new(FilesTable {
        name: table.name.clone(),
        location: table.location.clone(),
        declaration: format!("{table:?}"),
        seen,
        bucket,
        schema: Arc::new(Schema::new(fields)),
        partitions: order,
        classes,
        format,
        log,
    }))
}

/// The columns whose values stand in the names of folders.
struct Chosen(Vec<Partition>);

struct Partition {
    /// Which level of folders it is.
    level: usize,
    column: Column,
    /// Where it stands among the declared columns.
    declared: Option<usize>,
}

impl Chosen {
    fn new(table: &ExternalTable, found: &Partitions) -> Result<Self> {
        let names: Vec<&str> = match table.partition_by.is_empty() {
            true => found.names.iter().map(String::as_str).collect(),
            false => table.partition_by.iter().map(String::as_str).collect(),
        };
        let levels = places(names.iter().copied(), found.names.iter().map(String::as_str))?;
        let mut chosen = Vec::new();
        for (name, level) in names.into_iter().zip(levels) {
            let Some(level) = level else {
                return Err(Error::new(
                    SqlState::InvalidTableDefinition,
                    format!("the folders at {:?} have no partition \"{name}\"", table.location),
                )
                .with_detail(format!("they are named by: {}", found.names.join(", "))));
            };
            let declared = table.columns.iter().position(|column| column.name == name);
            let column = match declared.and_then(|place| table.columns.get(place)) {
                Some(column) => column.clone(),
                None => Column::new(name, found.inferred(level)),
            };
            chosen.push(Partition {
                level,
                column,
                declared,
            });
        }
        // Put in one after the other, each finds its place.
        chosen.sort_by_key(|partition| partition.declared.unwrap_or(usize::MAX));
        Ok(Self(chosen))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|partition| partition.column.name == name)
    }

    /// The declared columns that lie in files.
    fn in_files(&self, table: &ExternalTable) -> Vec<Field> {
        let columns = table.columns.iter();
        columns
            .filter(|column| !self.has(&column.name))
            .map(field_of)
            .collect()
    }
}

/// Files by class, whose partition values are not known yet.
struct Unplaced {
    schema: SchemaRef,
    change: Option<FooterChange>,
    /// Of each file, its place in the listing and the statistics of its columns.
    files: Vec<(usize, Statistics)>,
}

impl Unplaced {
    fn with_partitions(self, place: &Place, values: &[Vec<ScalarValue>]) -> FileClass {
        let files = self.files.into_iter().filter_map(|(index, mut statistics)| {
            let partitions: Vec<ScalarValue> = values
                .iter()
                .filter_map(|values| values.get(index).cloned())
                .collect();
            let rows = statistics.num_rows;
            let of_values = partitions.iter().map(|value| partition_statistics(value, rows));
            statistics.column_statistics.extend(of_values);
            Some(DataFile {
                meta: place.files.get(index)?.clone(),
                partitions,
                statistics: Arc::new(statistics),
            })
        });
        FileClass {
            files: files.collect(),
            schema: self.schema,
            change: self.change,
        }
    }
}

type Opened = (Vec<Unplaced>, Vec<Field>, Format);

async fn parquet(
    table: &ExternalTable,
    place: &Place,
    partitions: &Chosen,
    state: &SessionState,
) -> Result<Opened> {
    let facts = facts::of_files(place, state).await?;
    let fields = match table.columns.is_empty() {
        true => {
            let mut fields = shape::inferred(&place.files, &facts)?;
            fields.retain(|field| !partitions.has(field.name()));
            fields
        }
        false => partitions.in_files(table),
    };
    let classes = shape::classes(&table.location, &fields, &place.files, &facts)?;
    let classes = classes
        .into_iter()
        .map(|class| {
            let files = class.files.iter();
            let files = files.filter_map(|(index, of_file)| {
                let facts = facts.get(*index)?;
                Some((*index, statistics(&class.schema, facts, of_file)))
            });
            Unplaced {
                files: files.collect(),
                schema: Arc::clone(&class.schema),
                change: class.change,
            }
        })
        .collect();
    Ok((classes, fields, Format::Parquet))
}

/// A file's statistics as those of the table's columns: what a cast might change is left out.
fn statistics(schema: &Schema, facts: &FileFacts, of_file: &[Option<usize>]) -> Statistics {
    let rows = facts.statistics.num_rows;
    let columns = schema.fields().iter().zip(of_file).map(|(field, place)| {
        let Some(place) = place else {
            // The column is NULL in all rows of this file.
            return ColumnStatistics {
                null_count: rows,
                ..ColumnStatistics::new_unknown()
            };
        };
        let found = facts.statistics.column_statistics.get(*place);
        let Some(found) = found else {
            return ColumnStatistics::new_unknown();
        };
        let kind = facts.schema.field(*place).data_type();
        if kind == field.data_type() {
            return found.clone();
        }
        let cast = |value: &Precision<ScalarValue>| match value {
            Precision::Exact(value) if keeps_order(kind, field.data_type()) => value
                .cast_to(field.data_type())
                .map_or(Precision::Absent, Precision::Exact),
            _ => Precision::Absent,
        };
        ColumnStatistics {
            null_count: found.null_count,
            min_value: cast(&found.min_value),
            max_value: cast(&found.max_value),
            ..ColumnStatistics::new_unknown()
        }
    });
    Statistics {
        num_rows: rows,
        total_byte_size: facts.statistics.total_byte_size,
        column_statistics: columns.collect(),
    }
}

async fn of_text(
    table: &ExternalTable,
    place: &Place,
    partitions: &Chosen,
    format: TextFormat,
) -> Result<Opened> {
    let mut format = format;
    let samples = text::sampled(place, &format).await?;
    let found = text::columns(&samples)?;
    let names = || found.iter().map(|(name, _)| name.as_str());
    let fields = match table.columns.is_empty() {
        true => {
            let columns = found.iter().filter(|(name, _)| !partitions.has(name));
            columns
                .map(|(name, kind)| field_of(&Column::new(name, kind.clone())))
                .collect()
        }
        false => partitions.in_files(table),
    };
    if fields.is_empty() {
        return Err(Error::new(
            SqlState::DataException,
            format!("the files at {:?} have no columns", table.location),
        ));
    }
    if let TextFormat::Csv(dialect) = &mut format {
        // A column whose values stand in the names of folders is left out of the files.
        dialect.closed &= !found.iter().any(|(name, _)| partitions.has(name));
        if let Some(nested) = fields.iter().find(|field| !text::is_flat(field.data_type())) {
            return Err(Error::unsupported(format!(
                "column \"{}\" cannot be read from CSV, which has no nested values",
                nested.name()
            )));
        }
        if !table.columns.is_empty() && dialect.header {
            let of_files = places(fields.iter().map(|field| field.name().as_str()), names())?;
            if of_files.iter().all(Option::is_none) {
                // Other names for all columns are meant as such.
                dialect.positional = true;
            } else if let Some((field, _)) = fields.iter().zip(of_files).find(|(_, place)| place.is_none()) {
                return Err(shape::missing(&table.location, field.name(), names()));
            }
        }
    }
    let files = place.files.iter().enumerate();
    let class = Unplaced {
        files: files
            .map(|(index, file)| (index, unknown_statistics(file.size, fields.len())))
            .collect(),
        schema: Arc::new(Schema::new(fields.clone())),
        change: None,
    };
    Ok((vec![class], fields, Format::Text(format)))
}
