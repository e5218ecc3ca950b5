//! Tables others keep: Parquet, CSV, JSON and Delta, as a file, a folder or a Hive-partitioned tree.

mod format;
mod listing;
mod place;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig};
use datafusion::execution::SessionState;
use serde::{Deserialize, Serialize};
use watershed_core::error::{Error, Result, SqlState};

use crate::delta;
use crate::error::from_datafusion;
use crate::layout::{Column, ColumnType};
use crate::table::{ScanLog, ShardedTable};

use format::file_format;
pub(crate) use listing::{FilesTable, digest};
use place::Place;

/// How an external table's files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalFormat {
    Parquet,
    Csv,
    Json,
    Delta,
}

/// What an external table's definition says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalTable {
    /// For reports and errors.
    pub name: String,
    pub format: ExternalFormat,
    /// A path, or a `file://` or `s3://` URL, of a file or a folder.
    pub location: String,
    /// All columns, those of the folders' names last. Empty before they are inferred.
    pub columns: Vec<Column>,
    /// The columns whose values stand in the folders' names, outermost first.
    pub partition_by: Vec<String>,
    pub options: BTreeMap<String, String>,
}

/// What the files themselves say.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    pub columns: Vec<Column>,
    pub partition_by: Vec<String>,
}

/// Reads columns and partitions from the files, and checks the options. Columns and partitions that
/// the definition names are kept as they are.
pub async fn infer(table: &ExternalTable, state: &SessionState) -> Result<Inferred> {
    let place = Place::find(&table.location, state).await?;
    if table.format == ExternalFormat::Delta {
        file_format(table.format, &table.options, state)?;
        let (layout, _) =
            delta::read_foreign(&place.url, Arc::clone(&place.store), place.path.clone()).await?;
        let columns = match table.columns.is_empty() {
            true => layout.columns,
            false => table.columns.clone(),
        };
        return Ok(Inferred {
            columns,
            partition_by: layout.partition_by,
        });
    }
    let format = file_format(table.format, &table.options, state)?;
    let ending = place.extension(table.format.endings());
    let partitions = match place.is_folder() {
        true => place.partitions(&ending),
        false => Vec::new(),
    };
    let partition_by: Vec<String> = match table.partition_by.is_empty() {
        true => partitions.iter().map(|(name, _)| name.clone()).collect(),
        false => table.partition_by.clone(),
    };
    if let Some(missing) = partition_by
        .iter()
        .enumerate()
        .find(|(place, name)| partitions.get(*place).is_none_or(|(found, _)| found != *name))
    {
        return Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!(
                "the folders at {:?} have no partition \"{}\"",
                table.location, missing.1
            ),
        )
        .with_detail(format!(
            "they are named by: {}",
            partitions
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        )));
    }
    let mut columns = table.columns.clone();
    if columns.is_empty() {
        let files: Vec<_> = place
            .files
            .iter()
            .filter(|file| file.location.as_ref().ends_with(&ending))
            .cloned()
            .collect();
        let schema = format
            .infer_schema(state, &place.store, &files)
            .await
            .map_err(|error| unreadable(table, from_datafusion(error)))?;
        columns = columns_of(&schema)?;
        columns.retain(|column| !partition_by.contains(&column.name));
    }
    for (name, values) in &partitions {
        if partition_by.contains(name) && !columns.iter().any(|column| column.name == *name) {
            columns.push(Column::new(name, type_of(values)));
        }
    }
    Ok(Inferred {
        columns,
        partition_by,
    })
}

/// The table, ready to be scanned.
pub async fn open(
    table: &ExternalTable,
    state: &SessionState,
    log: ScanLog,
) -> Result<Arc<dyn TableProvider>> {
    let place = Place::find(&table.location, state).await?;
    if table.format == ExternalFormat::Delta {
        let (layout, snapshot) =
            delta::read_foreign(&place.url, Arc::clone(&place.store), place.path.clone()).await?;
        let provider = ShardedTable::within(
            table.name.clone(),
            Arc::new(layout),
            Arc::new(snapshot),
            &place.url,
            log,
        );
        return Ok(Arc::new(provider));
    }
    let format = file_format(table.format, &table.options, state)?;
    let inferred;
    let (columns, partition_by) = match table.columns.is_empty() {
        true => {
            inferred = infer(table, state).await?;
            (&inferred.columns, &inferred.partition_by)
        }
        false => (&table.columns, &table.partition_by),
    };
    let in_files: Vec<_> = columns
        .iter()
        .filter(|column| !partition_by.contains(&column.name))
        .map(Column::field)
        .collect();
    let partitions: Vec<(String, DataType)> = partition_by
        .iter()
        .filter_map(|name| columns.iter().find(|column| column.name == *name))
        .map(|column| (column.name.clone(), column.data_type.arrow()))
        .collect();
    let options = ListingOptions::new(format)
        .with_file_extension(place.extension(table.format.endings()))
        .with_table_partition_cols(partitions);
    let config = ListingTableConfig::new(place.listing()?)
        .with_listing_options(options)
        .with_schema(Arc::new(Schema::new(in_files)));
    let inner = ListingTable::try_new(config)
        .map_err(from_datafusion)?
        .with_cache(state.runtime_env().cache_manager.get_file_statistic_cache());
    Ok(Arc::new(FilesTable {
        name: table.name.clone(),
        location: table.location.clone(),
        declaration: format!("{table:?}"),
        seen: place.digest(),
        inner,
        log,
    }))
}

/// The columns that files of that schema have, as ours.
pub(crate) fn columns_of(schema: &Schema) -> Result<Vec<Column>> {
    schema
        .fields()
        .iter()
        .map(|field| match ColumnType::from_arrow(field.data_type()) {
            // Files to come may lack what all files have now.
            Some(kind) => Ok(Column::new(field.name(), kind)),
            None => Err(Error::unsupported(format!(
                "column \"{}\" has a type that is not supported: {}",
                field.name(),
                field.data_type()
            ))
            .with_hint("Declare the columns to be read, without this one.")),
        })
        .collect()
}

/// The type that holds all values of a partition.
fn type_of(values: &[String]) -> ColumnType {
    let all = |kind: &ColumnType| {
        values.iter().all(|value| {
            ScalarValue::try_from_string(value.clone(), &kind.arrow()).is_ok_and(|v| !v.is_null())
        })
    };
    // A number such as 007 is a name.
    let plain = values.iter().all(|value| {
        value
            .parse::<i64>()
            .is_ok_and(|number| number.to_string() == *value)
    });
    let padded = values
        .iter()
        .all(|value| value.len() <= 2 && value.parse::<u8>().is_ok());
    let dates = values.iter().all(|value| value.len() == 10);
    if plain || padded {
        ColumnType::BigInt
    } else if dates && all(&ColumnType::Date) {
        ColumnType::Date
    } else {
        ColumnType::String
    }
}

fn unreadable(table: &ExternalTable, error: Error) -> Error {
    let failed = Error::new(
        error.code(),
        format!("cannot read {:?} as {}", table.location, table.format),
    );
    failed.with_detail(match error.detail() {
        Some(detail) => format!("{}: {detail}", error.message()),
        None => error.message().to_owned(),
    })
}
