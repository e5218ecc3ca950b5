//! Bulk ingest: rows that a client streams into a table.

use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tonic::Status;
use watershed_core::id::SessionId;
use watershed_core::{Error, Result, SqlState};
use watershed_sql::plan::IngestMode;

use super::engine::{Engine, Ingest, RowStream};
use super::frames::Batches;
use super::metadata::CATALOG;
use super::wire;

/// Writes the rows of `frames` into the table that `command` names, and says how many they were.
pub(super) async fn ingest(
    engine: &dyn Engine,
    session: SessionId,
    command: CommandStatementIngest,
    frames: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<i64> {
    if !engine.ingests() {
        return Err(Error::unsupported("bulk ingest is not supported").with_hint("Use INSERT."));
    }
    let target = target(command)?;
    let mut batches = Batches::of(frames);
    let first = batches.next().await?;
    let schema = batches
        .schema()
        .cloned()
        .ok_or_else(|| Error::new(SqlState::DataException, "the sent rows have no schema"))?;
    let schema = wire::plain_schema(&schema);
    let declared = Arc::clone(&schema);
    let batches = stream::iter(first.map(Ok))
        .chain(batches.into_stream())
        .and_then(move |batch| std::future::ready(wire::conform(&batch, &declared)));
    let count = engine
        .ingest(session, target, RowStream::new(schema, batches.boxed()))
        .await?;
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

fn target(command: CommandStatementIngest) -> Result<Ingest> {
    if let Some(catalog) = command.catalog.filter(|name| !name.is_empty() && name != CATALOG) {
        return Err(Error::new(
            SqlState::InvalidCatalogName,
            format!("catalog \"{catalog}\" does not exist"),
        )
        .with_hint(format!("The only catalog is \"{CATALOG}\".")));
    }
    let mode = match command.table_definition_options {
        None => IngestMode::Create,
        Some(options) => mode(options.if_not_exist(), options.if_exists())?,
    };
    Ok(Ingest {
        schema: command.schema.filter(|name| !name.is_empty()),
        table: command.table,
        mode,
        temporary: command.temporary,
    })
}

fn mode(if_not_exist: TableNotExistOption, if_exists: TableExistsOption) -> Result<IngestMode> {
    use {TableExistsOption as E, TableNotExistOption as N};
    let unclear = |text| Err(Error::new(SqlState::InvalidParameterValue, text));
    match (if_not_exist, if_exists) {
        (N::Unspecified, _) | (_, E::Unspecified) => {
            unclear("the ingest does not say what to do if the table exists and if it does not")
        }
        (N::Create | N::Fail, E::Replace) => Ok(IngestMode::Replace),
        (N::Create, E::Append) => Ok(IngestMode::CreateOrAppend),
        (N::Fail, E::Append) => Ok(IngestMode::Append),
        (N::Create, E::Fail) => Ok(IngestMode::Create),
        (N::Fail, E::Fail) => unclear("an ingest that fails whether the table exists or not"),
    }
}

#[cfg(test)]
mod tests {
    use arrow_flight::sql::TableDefinitionOptions;

    use super::*;

    fn check(
        if_not_exist: TableNotExistOption,
        if_exists: TableExistsOption,
        expected: Result<IngestMode, SqlState>,
    ) {
        let command = CommandStatementIngest {
            table: "t".into(),
            table_definition_options: Some(TableDefinitionOptions {
                if_not_exist: if_not_exist as i32,
                if_exists: if_exists as i32,
            }),
            ..CommandStatementIngest::default()
        };
        let mode = target(command)
            .map(|target| target.mode)
            .map_err(|error| error.code());
        assert_eq!(mode, expected);
    }

    #[test]
    fn modes() {
        use {TableExistsOption as E, TableNotExistOption as N};
        check(N::Create, E::Fail, Ok(IngestMode::Create));
        check(N::Fail, E::Append, Ok(IngestMode::Append));
        check(N::Create, E::Append, Ok(IngestMode::CreateOrAppend));
        check(N::Create, E::Replace, Ok(IngestMode::Replace));
        check(N::Fail, E::Fail, Err(SqlState::InvalidParameterValue));
        check(N::Unspecified, E::Append, Err(SqlState::InvalidParameterValue));
        check(N::Create, E::Unspecified, Err(SqlState::InvalidParameterValue));
    }
}
