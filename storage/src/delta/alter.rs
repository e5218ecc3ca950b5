//! Changes of a table's columns.

use std::collections::HashMap;

use deltalake_core::kernel::{Action, MetadataExt, StructType};
use deltalake_core::protocol::DeltaOperation;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::id::StatementId;

use crate::layout::TableLayout;

use super::commit::commit_actions;
use super::folder::{TableFolder, delta_fields};

/// Commits the columns of `new`, if Delta can go there from `old` without touching files.
pub(super) async fn alter(
    folder: &TableFolder,
    old: &TableLayout,
    new: &TableLayout,
    statement: StatementId,
) -> Result<()> {
    check(old, new)?;
    let known: Vec<_> = old.columns.iter().map(|column| column.name.as_str()).collect();
    let fields = delta_fields(new)?;
    let added = fields
        .iter()
        .filter(|field| new.column(field.name()).is_some() && !known.contains(&field.name().as_str()))
        .cloned()
        .collect();
    let schema = StructType::try_new(fields)
        .map_err(|error| Error::internal(format!("columns make no schema: {error}")))?;
    let operation = DeltaOperation::AddColumn { fields: added };
    commit_actions(folder, None, statement, 0, operation, HashMap::new(), |state| {
        let metadata = state
            .metadata()
            .clone()
            .with_schema(&schema)
            .map_err(|error| folder.failed("alter", &error.into()))?;
        Ok(vec![Action::Metadata(metadata)])
    })
    .await?;
    Ok(())
}

/// Says what cannot be changed, before anything is.
fn check(old: &TableLayout, new: &TableLayout) -> Result<()> {
    let needs_mapping = |what: String| {
        Error::unsupported(what)
            .with_detail("Delta does it by column mapping, which is not supported yet")
            .with_hint("Make a new table with CREATE TABLE … AS SELECT.")
    };
    for column in &old.columns {
        match new.column(&column.name) {
            None => {
                return Err(needs_mapping(format!(
                    "column \"{}\" cannot be dropped or renamed",
                    column.name
                )));
            }
            Some(now) if now.data_type != column.data_type => {
                return Err(needs_mapping(format!(
                    "the type of column \"{}\" cannot be changed",
                    column.name
                )));
            }
            Some(now) if column.nullable && !now.nullable => {
                return Err(Error::unsupported(format!(
                    "column \"{}\" cannot become NOT NULL",
                    column.name
                )));
            }
            Some(_) => {}
        }
    }
    for column in &new.columns {
        if old.column(&column.name).is_none() && !column.nullable {
            return Err(Error::new(
                SqlState::NotNullViolation,
                format!("column \"{}\" cannot be added as NOT NULL", column.name),
            )
            .with_detail("rows that are there have no value for it")
            .with_hint("Add it without NOT NULL."));
        }
    }
    if old.partition_by != new.partition_by || old.sharding != new.sharding {
        return Err(Error::unsupported(
            "the partitions and shards of a table cannot be changed",
        ));
    }
    Ok(())
}
