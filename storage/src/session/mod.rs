//! One way to build a DataFusion session, used alike by scheduler and executors, so that a fragment
//! gives the same rows wherever it runs.

mod buckets;
mod computed_keys;
mod dependencies;
mod distinct;
mod dynamic_filters;
mod empty_branches;
mod filtered;
mod guards;
mod hidden;
mod interruptible;
mod joins;
mod leaves;
mod limits;
pub(crate) mod lists;
mod lists_pushed;
mod only_row;
mod options;
mod orders;
mod predicates;
mod pushdown;
mod repeated_windows;
mod sets;
mod sort_keys;
mod totals;
#[cfg(test)]
mod types;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::config::TableOptions;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionConfig;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::settings::{BATCH_SIZE, BROADCAST_LIMIT, Settings, TARGET_PARTITIONS};
use watershed_core::store::StoreRoot;

use crate::error::{from_datafusion, into_datafusion};
use crate::functions;
use crate::guard::LeakproofPredicates;
use crate::numbers;
use crate::windows;

use buckets::Buckets;

pub use dependencies::without_dependencies;
pub use options::StatementOptions;

/// The largest consumers that an error about memory names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// What one process may use.
#[derive(Debug, Clone)]
pub struct Resources {
    /// Bytes that operators may reserve.
    pub memory_limit: usize,
    /// Where operators spill to.
    pub spill_dir: PathBuf,
    pub threads: usize,
}

/// The runtime that all sessions of a process share. Its memory and its disk are bounded, and the
/// root's bucket is known to it.
pub fn runtime(root: &StoreRoot, resources: &Resources) -> Result<Arc<RuntimeEnv>> {
    std::fs::create_dir_all(&resources.spill_dir).map_err(|error| {
        Error::new(
            SqlState::IoError,
            format!(
                "cannot create the folder for spilling {}",
                resources.spill_dir.display()
            ),
        )
        .with_detail(error.to_string())
    })?;
    functions::bounded::set_resources(resources.memory_limit, resources.threads);
    let pool = TrackConsumersPool::new(FairSpillPool::new(resources.memory_limit), CONSUMERS_NAMED);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![resources.spill_dir.clone()]))
        .with_max_temp_directory_size(spill_limit(resources.memory_limit));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        // Footers and page indexes of files that are read again and again.
        .with_metadata_cache_limit((resources.memory_limit / 8).clamp(16 << 20, 256 << 20))
        // A listing that is remembered misses the files that came after it.
        .with_object_list_cache_limit(0)
        .with_object_store_registry(Arc::new(Buckets::default()))
        .build_arc()
        .map_err(from_datafusion)?;
    runtime.register_object_store(&bucket_url(root.url()), Arc::clone(root.bucket()));
    Ok(runtime)
}

/// A spill larger than this is a statement gone wrong.
fn spill_limit(memory_limit: usize) -> u64 {
    u64::try_from(memory_limit)
        .unwrap_or(u64::MAX)
        .saturating_mul(16)
        .clamp(16 << 30, 256 << 30)
}

/// The part of a URL that names its bucket or file system.
pub(crate) fn bucket_url(url: &url::Url) -> url::Url {
    let mut bucket = url.clone();
    bucket.set_path("/");
    bucket.set_query(None);
    bucket.set_fragment(None);
    bucket
}

/// The configuration that settings ask for, in a process of that many threads.
pub fn config(settings: &Settings, threads: usize) -> SessionConfig {
    let partitions = match settings.number(TARGET_PARTITIONS) {
        0 => threads.max(1),
        chosen => chosen,
    };
    let mut config = SessionConfig::new()
        .with_batch_size(settings.number(BATCH_SIZE).max(1))
        .with_target_partitions(partitions)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema("watershed", "public")
        // Large files are read by several at a time; scans of sharded tables say that they stay whole.
        .with_repartition_file_scans(true)
        .with_repartition_file_min_size(1 << 20)
        .with_collect_statistics(true)
        .with_option_extension(StatementOptions::new(settings));
    let options = config.options_mut();
    options.execution.enable_file_stream_work_stealing = false;
    options.execution.time_zone = Some(settings.time_zone().to_owned());
    options.execution.listing_table_ignore_subdirectory = false;
    options.execution.planning_concurrency = partitions;
    // What drivers know goes over the wire, and plans agree on types wherever they are made.
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.execution.parquet.bloom_filter_on_read = true;
    options.execution.parquet.enable_page_index = true;
    // A bound that is still NULL is left out of the predicate that several aggregates share, so that
    // `min(a), max(b)` loses rows: https://github.com/apache/datafusion/issues/25147
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // Reordering the keys of an aggregate for the join above it finds the keys by name, and reads one twice if
    // two have the same name (`reorder_aggregate_keys` of DataFusion 55; no issue is known upstream).
    options.optimizer.top_down_join_key_reordering = false;
    // `x IS TRUE` is never NULL in a logical plan, and may be in a physical one, which does no harm; the check
    // refuses it in aggregates: https://github.com/apache/datafusion/issues/24096
    options.execution.skip_physical_aggregate_schema_check = true;
    let broadcast = settings.number(BROADCAST_LIMIT);
    options.optimizer.hash_join_single_partition_threshold = broadcast;
    config
}

/// The settings that a session's configuration carries, wherever it came from.
pub fn statement_settings(config: &SessionConfig) -> datafusion::common::Result<Settings> {
    StatementOptions::of(config.options())
        .read_settings()
        .map_err(into_datafusion)
}

/// A session's state, with all functions: DataFusion's, those over JSON, and our own.
pub fn state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionStateBuilder {
    let options = TableOptions::default_from_session_config(config.options());
    SessionStateBuilder::new_from_existing(TEMPLATE.clone())
        .with_config(config)
        .with_table_options(options)
        .with_runtime_env(runtime)
        .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()))
}

/// An aggregate that all sessions have.
pub(crate) fn aggregate(name: &str) -> Option<Arc<AggregateUDF>> {
    TEMPLATE.aggregate_functions().get(name).cloned()
}

/// The functions of one row that all sessions have.
pub(crate) fn scalar_functions() -> &'static HashMap<String, Arc<ScalarUDF>> {
    TEMPLATE.scalar_functions()
}

/// Holds the functions, which take long to make and are alike for all sessions.
static TEMPLATE: LazyLock<SessionState> = LazyLock::new(|| {
    let builder = SessionStateBuilder::new_with_default_features()
        .with_config(SessionConfig::new().with_create_default_catalog_and_schema(false));
    let mut state = windows::with_rules(numbers::with_rules(builder)).build();
    // Both fail when a registry takes no functions; this one does, as the tests below show.
    if let Err(error) = numbers::register(&mut state) {
        tracing::error!(%error, "functions over numbers are missing");
    }
    if let Err(error) = functions::domains::guard(&mut state) {
        tracing::error!(%error, "functions with a domain are missing");
    }
    if let Err(error) = datafusion_functions_json::register_all(&mut state) {
        tracing::error!(%error, "functions over JSON are missing");
    }
    if let Err(error) = windows::register(&mut state) {
        tracing::error!(%error, "window functions are missing");
    }
    let registered = functions::scalar()
        .into_iter()
        .try_for_each(|function| state.register_udf(function).map(drop))
        .and_then(|()| {
            functions::aggregate()
                .into_iter()
                .try_for_each(|function| state.register_udaf(function).map(drop))
        })
        .and_then(|()| {
            functions::higher_order()
                .into_iter()
                .try_for_each(|function| state.register_higher_order_function(function).map(drop))
        });
    if let Err(error) = registered {
        tracing::error!(%error, "functions are missing");
    }
    if let Err(error) = state.register_udf(Arc::new(only_row::function())) {
        tracing::error!(%error, "the function of scalar subqueries is missing");
    }
    if let Err(error) = functions::bounded::guard(&mut state) {
        tracing::error!(%error, "functions have no bounds");
    }
    let mut logical = repeated_windows::guarded(guards::guarded(state.optimizers()));
    logical.insert(0, Arc::new(LeakproofPredicates));
    logical.push(Arc::new(sort_keys::DistinctSortKeys));
    logical.push(Arc::new(computed_keys::ComputedKeys));
    logical.push(Arc::new(predicates::GuardedPredicates));
    let physical = filtered::guarded(pushdown::guarded(state.physical_optimizers()));
    let physical = dynamic_filters::guarded(sets::completed(orders::completed(limits::completed(&physical))));
    let builder = SessionStateBuilder::new_from_existing(state)
        .with_optimizer_rules(logical)
        .with_physical_optimizer_rules(physical);
    interruptible::state(builder.build())
});

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;
    use watershed_core::settings::TIME_ZONE;

    use super::*;

    pub(super) fn context(settings: &Settings) -> (tempfile::TempDir, SessionContext) {
        let folder = tempfile::tempdir().unwrap();
        let root = StoreRoot::open(folder.path().to_str().unwrap()).unwrap();
        let resources = Resources {
            memory_limit: 64 << 20,
            spill_dir: folder.path().join("spill"),
            threads: 2,
        };
        let runtime = runtime(&root, &resources).unwrap();
        let state = state(config(settings, 2), runtime).build();
        (folder, SessionContext::new_with_state(state))
    }

    async fn value(context: &SessionContext, sql: &str) -> String {
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let options = Default::default();
        let formatter =
            arrow::util::display::ArrayFormatter::try_new(batches[0].column(0), &options).unwrap();
        formatter.value(0).to_string()
    }

    #[tokio::test]
    async fn functions_over_json_are_there() {
        let (_folder, context) = context(&Settings::default());
        assert_eq!(
            value(&context, r#"SELECT '{"a": {"b": 7}}'->'a'->>'b'"#).await,
            "7"
        );
        assert_eq!(
            value(&context, r#"SELECT json_get_int('{"a": 7}', 'a') + 1"#).await,
            "8"
        );
    }

    #[tokio::test]
    async fn the_time_zone_reaches_functions() {
        let mut settings = Settings::default();
        settings.set(TIME_ZONE, "+02:00").unwrap();
        let (_folder, context) = context(&settings);
        let of_now = value(&context, "SELECT arrow_typeof(now())").await;
        assert!(of_now.contains("+02:00"), "{of_now}");
    }
}
