//! The configuration of sessions on both ends of a staged plan.

use std::sync::Arc;

use ballista_core::config::{
    BALLISTA_BROADCAST_JOIN_THRESHOLD_BYTES, BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK,
    BALLISTA_SHUFFLE_SORT_BASED_MEMORY_LIMIT_PER_TASK_BYTES, BallistaConfig,
};
use ballista_core::extension::{SessionConfigExt, SessionConfigHelperExt};
use datafusion::prelude::SessionConfig;

/// Bytes of rows that one task collects before it sorts them out to disk.
const SHUFFLE_MEMORY: usize = 64 << 20;
/// Ballista refuses a `NOT IN` whose outer side is larger than what it would broadcast, although it
/// runs that join in one task; nothing else is broadcast here.
const NULL_AWARE_LIMIT: usize = 4 << 30;

/// Makes a statement's configuration one whose plans can be cut into stages.
pub fn staged_config(config: SessionConfig) -> SessionConfig {
    // Two at least: with one, joins are planned as if all their rows met in one place.
    let partitions = config.target_partitions().max(2);
    let mut config = config
        .with_option_extension(BallistaConfig::default())
        .ballista_restricted_configuration()
        .with_target_partitions(partitions)
        .with_ballista_adaptive_query_planner(false)
        // A task then holds the one place it is counted for.
        .set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1)
        .set_usize(BALLISTA_SHUFFLE_SORT_BASED_MEMORY_LIMIT_PER_TASK_BYTES, SHUFFLE_MEMORY)
        .set_usize(BALLISTA_BROADCAST_JOIN_THRESHOLD_BYTES, NULL_AWARE_LIMIT);
    let optimizer = &mut config.options_mut().optimizer;
    // Joins of unknown size are what this path is for: none of them collects one side.
    optimizer.hash_join_single_partition_threshold = 0;
    optimizer.hash_join_single_partition_threshold_rows = 0;
    config
}

/// What an executor's tasks start from. The statement's values are set over it: with every task come
/// all options of DataFusion and Ballista, those of other extensions do not.
pub fn executor_config() -> SessionConfig {
    SessionConfig::new()
        .with_option_extension(BallistaConfig::default())
        // Ballista's own connections carry no secret. Ours are used instead, and if one of its were
        // dialled after all, it fails here.
        .with_ballista_override_create_grpc_client_endpoint(Arc::new(|_| Err("connections are dialled by Watershed".into())))
}

#[cfg(test)]
mod tests {
    use watershed_core::settings::{Settings, TIME_ZONE};

    use super::*;

    #[test]
    fn a_statements_configuration_reaches_tasks() {
        let mut settings = Settings::default();
        settings.set(TIME_ZONE, "Europe/Berlin").unwrap();
        let sent = watershed_storage::session::config(&settings, 1);
        let sent = staged_config(sent);
        let received = executor_config().update_from_key_value_pair(&sent.to_key_value_pairs());
        for config in [&sent, &received] {
            let options = config.options();
            assert_eq!(options.execution.time_zone.as_deref(), Some("Europe/Berlin"));
            assert_eq!(options.execution.target_partitions, 2);
            assert!(!options.execution.enable_file_stream_work_stealing);
            assert!(!options.optimizer.enable_dynamic_filter_pushdown);
            assert!(!options.optimizer.enable_join_dynamic_filter_pushdown);
            assert!(!options.optimizer.prefer_hash_join);
            assert_eq!(config.ballista_config().max_partitions_per_task(), 1);
            assert_eq!(
                config.ballista_config().broadcast_join_threshold_bytes(),
                NULL_AWARE_LIMIT
            );
        }
    }
}
