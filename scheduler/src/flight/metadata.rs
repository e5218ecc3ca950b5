//! What drivers ask about catalogs, schemas and tables.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{GetCatalogsBuilder, GetDbSchemasBuilder, GetTablesBuilder};
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTableTypes, CommandGetTables};
use watershed_core::id::SessionId;
use watershed_core::{Error, Result, SqlState};

use super::engine::{Engine, TableEntry, TableKind};
use super::wire;

/// There is one catalog.
pub const CATALOG: &str = "watershed";

const TABLE: &str = "TABLE";
const VIEW: &str = "VIEW";
const SYSTEM_TABLE: &str = "SYSTEM TABLE";
/// What the standard, and some tools, call a table.
const BASE_TABLE: &str = "BASE TABLE";

impl TableKind {
    fn name(self) -> &'static str {
        match self {
            Self::Table => TABLE,
            Self::View => VIEW,
            Self::SystemTable => SYSTEM_TABLE,
        }
    }

    /// Whether a filter of types lets it through. None at all lets everything through.
    fn is_among(self, types: &[String]) -> bool {
        types.is_empty()
            || types.iter().any(|given| {
                given.eq_ignore_ascii_case(self.name())
                    || self == Self::Table && given.eq_ignore_ascii_case(BASE_TABLE)
            })
    }
}

pub(super) fn catalogs() -> Result<RecordBatch> {
    let mut builder = GetCatalogsBuilder::new();
    builder.append(CATALOG);
    built(builder.build())
}

pub(super) fn table_types() -> Result<RecordBatch> {
    let mut builder = CommandGetTableTypes {}.into_builder();
    for name in [TABLE, VIEW, SYSTEM_TABLE] {
        builder.append(name);
    }
    built(builder.build())
}

pub(super) fn db_schemas_schema() -> SchemaRef {
    GetDbSchemasBuilder::new(None::<String>, None::<String>).schema()
}

pub(super) async fn db_schemas(
    engine: &dyn Engine,
    session: SessionId,
    command: &CommandGetDbSchemas,
) -> Result<RecordBatch> {
    let mut builder = GetDbSchemasBuilder::new(None::<String>, None::<String>);
    if is_ours(command.catalog.as_deref()) {
        let schemas = engine.schemas(session).await?;
        for schema in matching(
            schemas,
            String::as_str,
            command.db_schema_filter_pattern.as_deref(),
        )? {
            builder.append(CATALOG, schema);
        }
    }
    built(builder.build())
}

pub(super) fn tables_schema(include_schema: bool) -> SchemaRef {
    tables_builder(include_schema).schema()
}

fn tables_builder(include_schema: bool) -> GetTablesBuilder {
    let types: [String; 0] = [];
    GetTablesBuilder::new(
        None::<String>,
        None::<String>,
        None::<String>,
        types,
        include_schema,
    )
}

pub(super) async fn tables(
    engine: &dyn Engine,
    session: SessionId,
    command: &CommandGetTables,
) -> Result<RecordBatch> {
    let mut builder = tables_builder(command.include_schema);
    if is_ours(command.catalog.as_deref()) {
        let tables = engine.tables(session).await?;
        let schema_pattern = command.db_schema_filter_pattern.as_deref();
        let tables = matching(tables, |table| table.schema.as_str(), schema_pattern)?;
        let name_pattern = command.table_name_filter_pattern.as_deref();
        let tables = matching(tables, |table| table.name.as_str(), name_pattern)?;
        for table in tables
            .iter()
            .filter(|table| table.kind.is_among(&command.table_types))
        {
            let schema = if command.include_schema {
                table_schema(engine, session, table).await
            } else {
                Schema::empty()
            };
            built(builder.append(CATALOG, &table.schema, &table.name, table.kind.name(), &schema))?;
        }
    }
    built(builder.build())
}

/// The columns of a table. One whose columns cannot be told does not hide all the others.
async fn table_schema(engine: &dyn Engine, session: SessionId, table: &TableEntry) -> Schema {
    match engine.table_schema(session, &table.schema, &table.name).await {
        Ok(schema) => {
            let schema = wire::table_schema(&schema, CATALOG, &table.schema, &table.name);
            Arc::unwrap_or_clone(schema)
        }
        Err(error) => {
            tracing::warn!(schema = table.schema, table = table.name, %error, "table without columns");
            Schema::empty()
        }
    }
}

/// No catalog means every one; the empty name means what is in none.
fn is_ours(catalog: Option<&str>) -> bool {
    catalog.is_none_or(|catalog| catalog == CATALOG)
}

/// Those whose name is like the pattern, with `%`, `_` and `\` as in SQL.
fn matching<T>(items: Vec<T>, name: impl Fn(&T) -> &str, pattern: Option<&str>) -> Result<Vec<T>> {
    let Some(pattern) = pattern else {
        return Ok(items);
    };
    let names = StringArray::from_iter_values(items.iter().map(name));
    let like = arrow::compute::like(&names, &StringArray::new_scalar(pattern)).map_err(|error| {
        Error::new(
            SqlState::InvalidParameterValue,
            format!("invalid pattern {pattern:?}"),
        )
        .with_detail(error.to_string())
    })?;
    let matched = items
        .into_iter()
        .enumerate()
        .filter(|(row, _)| like.is_valid(*row) && like.value(*row))
        .map(|(_, item)| item);
    Ok(matched.collect())
}

pub(super) fn primary_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

pub(super) async fn primary_keys(
    engine: &dyn Engine,
    session: SessionId,
    command: &CommandGetPrimaryKeys,
) -> Result<RecordBatch> {
    let mut keys: Vec<(String, String)> = Vec::new();
    let mut sequence = Vec::new();
    if is_ours(command.catalog.as_deref()) {
        let tables = engine.tables(session).await?;
        let wanted = |table: &&TableEntry| {
            table.name == command.table
                && command
                    .db_schema
                    .as_ref()
                    .is_none_or(|schema| *schema == table.schema)
        };
        for table in tables.iter().filter(wanted) {
            let columns = engine.primary_key(session, &table.schema, &table.name).await?;
            for (column, number) in columns.into_iter().zip(1..) {
                keys.push((table.schema.clone(), column));
                sequence.push(number);
            }
        }
    }
    let texts = |text: &dyn Fn(&(String, String)) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(keys.iter().map(text)))
    };
    let columns = vec![
        texts(&|_| CATALOG.to_owned()),
        texts(&|(schema, _)| schema.clone()),
        texts(&|_| command.table.clone()),
        texts(&|(_, column)| column.clone()),
        texts(&|_| format!("{}_pkey", command.table)),
        Arc::new(Int32Array::from(sequence)) as ArrayRef,
    ];
    RecordBatch::try_new(primary_keys_schema(), columns).map_err(|error| Error::internal(error.to_string()))
}

/// Of imported, exported and cross-referenced keys. There are no foreign keys, so they have no rows.
pub(super) fn foreign_keys_schema() -> SchemaRef {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

pub(super) fn built<T>(result: Result<T, FlightError>) -> Result<T> {
    result.map_err(|error| Error::internal("metadata cannot be put together").with_detail(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern: &str, expected: &[&str]| {
            let names = ["cdn_logs", "cdnxlogs", "raw_events", "50%", "ünï"];
            let matched = matching(names.to_vec(), |name| name, Some(pattern)).unwrap();
            assert_eq!(matched, expected, "{pattern}");
        };
        check("%", &["cdn_logs", "cdnxlogs", "raw_events", "50%", "ünï"]);
        check("cdn_logs", &["cdn_logs", "cdnxlogs"]);
        check(r"cdn\_logs", &["cdn_logs"]);
        check(r"50\%", &["50%"]);
        check("%s", &["cdn_logs", "cdnxlogs", "raw_events"]);
        check("ü__", &["ünï"]);
        check("", &[]);
        check("select * from t where x = '(['", &[]);
        check("\\", &[]);
    }

    #[test]
    fn types() {
        let check = |kind: TableKind, types: &[&str], expected| {
            let types: Vec<_> = types.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(kind.is_among(&types), expected, "{kind:?} {types:?}");
        };
        check(TableKind::Table, &[], true);
        check(TableKind::Table, &["BASE TABLE", "table"], true);
        check(TableKind::Table, &["base table"], true);
        check(TableKind::View, &["TABLE"], false);
        check(TableKind::View, &["view"], true);
        check(TableKind::SystemTable, &["TABLE", "VIEW"], false);
    }
}
