//! Tables whose rows the scheduler makes when they are read: the control tables of `public` and
//! everything in `system`. One file each.

mod cache_layers;
mod cache_stats;
mod executors;
mod invalidations;
mod queries;
mod query_cache;
mod read;
mod rows;
mod service_registry;
mod sessions;
mod settings;
mod shard_map;
mod shards;
mod write;

pub use service_registry::ServiceRegistry;
pub use write::{Write, Writer, write};

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use watershed_core::{Error, Result};
use watershed_sql::catalog::{LiveDef, PUBLIC_SCHEMA, SYSTEM_SCHEMA};

use crate::engine::{Engine, Session};

/// The rows of a live table at this moment.
pub async fn provider(
    engine: &Engine,
    session: &Arc<Session>,
    def: &Arc<LiveDef>,
) -> Result<Arc<dyn TableProvider>> {
    let parts = engine.parts();
    match (def.schema.as_str(), def.name.as_str()) {
        (SYSTEM_SCHEMA, "cache_stats") => cache_stats::provider(parts, def),
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
        (PUBLIC_SCHEMA, "cache_layers") => cache_layers::provider(&parts.catalog.current(), def),
        (PUBLIC_SCHEMA, "cache_invalidation_events") => {
            let catalog = parts.catalog.current();
            let access = engine.access(&catalog, session)?;
            invalidations::provider(engine, &catalog, &access, def)
        }
        (PUBLIC_SCHEMA, "distributed_query_cache") => {
            let access = engine.access(&parts.catalog.current(), session)?;
            query_cache::provider(parts, &access, def)
        }
        (PUBLIC_SCHEMA, "service_registry") => service_registry::provider(parts, def),
        (PUBLIC_SCHEMA, "user_shard_map" | "content_shard_map") => Ok(shard_map::provider(parts, def)),
        // Nothing has ever been written to these: writes are refused.
        (PUBLIC_SCHEMA, _) => rows::table(def, Vec::new()),
        (schema, name) => Err(Error::internal(format!("{schema}.{name} has no rows of its own"))),
    }
}
