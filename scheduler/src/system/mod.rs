//! Tables whose rows the scheduler makes when they are read: the control tables of `public` and
//! everything in `system`. One file each.

mod executors;
mod queries;
mod rows;
mod service_registry;
mod sessions;
mod settings;
mod shard_map;
mod shards;

pub use service_registry::ServiceRegistry;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::logical_expr::LogicalPlan;
use futures::TryStreamExt;
use watershed_core::{Error, Result};
use watershed_sql::catalog::{LiveDef, PUBLIC_SCHEMA, SYSTEM_SCHEMA};
use watershed_storage::error::from_datafusion;

use crate::dispatch::Job;
use crate::dispatch::context::StatementContext;
use crate::engine::{Engine, Session};

/// The rows of a live table at this moment.
pub async fn provider(
    engine: &Engine,
    session: &Arc<Session>,
    def: &Arc<LiveDef>,
) -> Result<Arc<dyn TableProvider>> {
    let parts = engine.parts();
    match (def.schema.as_str(), def.name.as_str()) {
        (SYSTEM_SCHEMA, "executors") => executors::provider(parts, def),
        (SYSTEM_SCHEMA, "queries") => {
            let access = engine.access(&parts.catalog.current(), session)?;
            queries::provider(parts, &access, def)
        }
        (SYSTEM_SCHEMA, "sessions") => {
            let access = engine.access(&parts.catalog.current(), session)?;
            sessions::provider(parts, &access, def)
        }
        (SYSTEM_SCHEMA, "settings") => settings::provider(session, def),
        (SYSTEM_SCHEMA, "shards") => {
            let catalog = parts.catalog.current();
            let access = engine.access(&catalog, session)?;
            shards::provider(parts, &catalog, &access, def).await
        }
        (PUBLIC_SCHEMA, "service_registry") => service_registry::provider(parts, def),
        (PUBLIC_SCHEMA, "user_shard_map" | "content_shard_map") => Ok(shard_map::provider(parts, def)),
        // Nothing has ever been written to these: writes are refused below.
        (PUBLIC_SCHEMA, _) => rows::table(def, Vec::new()),
        (schema, name) => Err(Error::internal(format!("{schema}.{name} has no rows of its own"))),
    }
}

/// Writes to a live table. Each has the effect the table documents, or is refused.
pub async fn insert(
    engine: &Engine,
    statement: &Arc<StatementContext>,
    def: &LiveDef,
    input: LogicalPlan,
) -> Result<u64> {
    let parts = engine.parts();
    match (def.schema.as_str(), def.name.as_str()) {
        (PUBLIC_SCHEMA, "service_registry") => {
            let job = Job {
                statement: Arc::clone(statement),
                plan: input,
                write: None,
            };
            let (_, rows) = parts.dispatch.run(&job).await?;
            let batches: Vec<_> = rows.try_collect().await.map_err(from_datafusion)?;
            service_registry::insert(parts, &batches)
        }
        (schema, name) if def.control => Err(Error::unsupported(format!(
            "writing to {schema}.{name} is not supported"
        ))
        .with_detail(
            "A row of this table changes how the system behaves, and this version would not act on it.",
        )),
        (schema, name) => Err(Error::unsupported(format!(
            "{schema}.{name} shows what is; it is not written"
        ))),
    }
}
