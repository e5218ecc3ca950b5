//! Writes to live tables. Each has the effect that its table documents, or is refused.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::logical_expr::LogicalPlan;
use futures::TryStreamExt;
use watershed_core::{Error, Result};
use watershed_sql::catalog::{LiveDef, PUBLIC_SCHEMA};
use watershed_storage::error::from_datafusion;

use super::{cache_layers, invalidations, query_cache, service_registry};
use crate::dispatch::Job;
use crate::dispatch::context::StatementContext;
use crate::engine::{Engine, Session};

/// What a statement does to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    Insert,
    Delete,
    Update,
}

impl Write {
    const fn name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Delete => "DELETE",
            Self::Update => "UPDATE",
        }
    }
}

/// Who writes.
pub struct Writer<'a> {
    pub engine: &'a Engine,
    pub session: &'a Arc<Session>,
    pub statement: &'a Arc<StatementContext>,
}

/// Writes the rows that `input` gives: new ones, those that go, or those that change as they are and as
/// they will be. Gives how many.
pub async fn write(writer: &Writer<'_>, how: Write, def: &LiveDef, input: LogicalPlan) -> Result<u64> {
    let engine = writer.engine;
    let rows = rows(writer, input);
    match (def.schema.as_str(), def.name.as_str(), how) {
        (PUBLIC_SCHEMA, "service_registry", Write::Insert) => {
            service_registry::insert(engine.parts(), &rows.await?)
        }
        (PUBLIC_SCHEMA, "cache_layers", Write::Insert) => cache_layers::insert(engine, &rows.await?).await,
        (PUBLIC_SCHEMA, "cache_layers", Write::Delete) => cache_layers::delete(engine, &rows.await?).await,
        (PUBLIC_SCHEMA, "cache_layers", Write::Update) => cache_layers::update(engine, &rows.await?).await,
        (PUBLIC_SCHEMA, "cache_invalidation_events", Write::Insert) => {
            invalidations::insert(engine, writer.session, &rows.await?).await
        }
        (PUBLIC_SCHEMA, "distributed_query_cache", Write::Delete) => {
            Ok(query_cache::delete(engine.parts(), &rows.await?))
        }
        _ => Err(refused(def, how)),
    }
}

async fn rows(writer: &Writer<'_>, input: LogicalPlan) -> Result<Vec<RecordBatch>> {
    let job = Job {
        statement: Arc::clone(writer.statement),
        plan: input,
        optimized: None,
        write: None,
    };
    let (_, rows) = writer.engine.parts().dispatch.run(&job).await?;
    rows.try_collect().await.map_err(from_datafusion)
}

fn refused(def: &LiveDef, how: Write) -> Error {
    let (schema, name) = (&def.schema, &def.name);
    let alone = |what: &str, hint: &str| {
        Error::unsupported(format!(
            "{schema}.{name} takes {what} alone, and no {}",
            how.name()
        ))
        .with_hint(hint)
    };
    match (schema.as_str(), name.as_str()) {
        (PUBLIC_SCHEMA, "service_registry") => alone(
            "INSERT",
            "A service's row, inserted again, says that it still lives.",
        ),
        (PUBLIC_SCHEMA, "cache_invalidation_events") => {
            alone("INSERT", "What was forgotten stays forgotten.")
        }
        (PUBLIC_SCHEMA, "distributed_query_cache") => alone(
            "DELETE",
            "A row that goes is an answer that is found anew when it is asked for.",
        ),
        _ if def.control => Error::unsupported(format!("writing to {schema}.{name} is not supported"))
            .with_detail(
                "A row of this table changes how the system behaves, and this version would not act on it.",
            ),
        _ => Error::unsupported(format!("{schema}.{name} shows what is; it is not written")),
    }
}
