//! The files as external tables, and loaded from them into sharded ones.

use std::path::Path;
use std::time::Duration;

use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result};
use watershed_storage::layout::ColumnType;

use super::Tables;
use super::data::{TABLES, Table};
use crate::processes::Session;
use crate::show;

const SHARDS: u32 = 16;

/// Names the files as tables of the schema `raw`.
pub(super) async fn declare(session: &Session, files: &Path) -> Result<()> {
    let schema = Tables::Raw.schema();
    session.update(&format!("CREATE SCHEMA {schema}")).await?;
    for Table { name, .. } in &TABLES {
        let location = files.join(name);
        let sql = format!(
            "CREATE EXTERNAL TABLE {schema}.{name} STORED AS PARQUET LOCATION '{}/'",
            location.display()
        );
        session.update(&sql).await?;
    }
    Ok(())
}

/// Fills the tables of the schema `sharded`: rows, and how long that took.
pub(super) async fn load(session: &Session) -> Result<(i64, Duration)> {
    let (raw, schema) = (Tables::Raw.schema(), Tables::Sharded.schema());
    session.update(&format!("CREATE SCHEMA {schema}")).await?;
    let clock = SystemClock::shared();
    let mut rows = 0;
    for table in &TABLES {
        let name = table.name;
        session
            .update(&format!("CREATE TABLE {schema}.{name} {}", definition(table)?))
            .await?;
        let count = session
            .update(&format!("INSERT INTO {schema}.{name} SELECT * FROM {raw}.{name}"))
            .await?;
        let expected = session
            .number(&format!("SELECT count(*) FROM {raw}.{name}"))
            .await?;
        if count.map(i128::from) != Some(expected) {
            return Err(Error::internal(format!(
                "{name} has {expected} rows, and INSERT said {count:?}"
            )));
        }
        rows += count.unwrap_or_default();
    }
    let took = clock.elapsed();
    show::line(format_args!(
        "{} rows loaded into sharded tables in {}.",
        show::grouped(rows),
        show::duration(took)
    ));
    Ok((rows, took))
}

fn definition(table: &Table) -> Result<String> {
    let schema = table.schema()?;
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let kind = ColumnType::from_arrow(field.data_type())
                .ok_or_else(|| Error::internal(format!("no type for {field}")))?;
            Ok(format!("{} {} NOT NULL", field.name(), kind.sql()))
        })
        .collect::<Result<Vec<_>>>()?;
    let sharding = table.shard_key.map_or_else(String::new, |key| {
        format!(" CLUSTERED BY ({key}) INTO {SHARDS} BUCKETS")
    });
    Ok(format!("({}){sharding}", columns.join(", ")))
}
