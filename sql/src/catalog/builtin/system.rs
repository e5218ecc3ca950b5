//! What operating needs to see beside the documented tables.

use super::Kind::{BigInt, Boolean, Double, Int, Json, Text, Timestamp};
use super::Live;

pub(super) const TABLES: [Live; 6] = [
    Live {
        name: "queries",
        control: false,
        comment: "Statements that run or ended lately.",
        columns: &[
            ("statement_id", Text),
            ("session_id", Text),
            ("principal", Text),
            ("statement", Text),
            // running, finished, failed, cancelled
            ("state", Text),
            // local, gather, exchange, staged, cache
            ("execution", Text),
            ("reason", Text),
            ("started_at", Timestamp),
            ("finished_at", Timestamp),
            ("duration_ms", Double),
            ("row_count", BigInt),
            ("rows_scanned", BigInt),
            ("bytes_scanned", BigInt),
            // Of these, what the processes that read had kept and did not fetch from the object store.
            ("data_bytes_cached", BigInt),
            ("files_total", BigInt),
            ("files_scanned", BigInt),
            ("shards_total", BigInt),
            ("shards_scanned", BigInt),
            ("shards_completed", BigInt),
            // Of the completed, those kept from an earlier try.
            ("shards_reused", BigInt),
            ("retries", BigInt),
            ("hedges", BigInt),
            ("error_code", Text),
            ("error_message", Text),
            ("plan_hash", Text),
            ("table_versions", Json),
            // local, distributed, shared, miss, bypass
            ("cache", Text),
            ("cache_reason", Text),
            ("fragments_cached", BigInt),
            ("fragments_run", BigInt),
            // What was read when the known parts were computed, and not read now.
            ("bytes_cached", BigInt),
        ],
        key: &["statement_id"],
        filled: &[],
    },
    Live {
        name: "cache_stats",
        control: false,
        comment: "The layers of the cache: what each may keep, holds and has done, on this scheduler and on the executors.",
        columns: &[
            // local, distributed, edge: of answers; fragments: of states over files; data: of object stores
            ("layer", Text),
            // An executor, or scheduler: the one that is asked
            ("node_id", Text),
            ("enabled", Boolean),
            ("ttl_seconds", BigInt),
            ("max_size_mb", BigInt),
            ("entries", BigInt),
            ("bytes", BigInt),
            ("disk_bytes", BigInt),
            ("hits", BigInt),
            ("misses", BigInt),
            ("stale_served", BigInt),
            ("evictions", BigInt),
            ("expirations", BigInt),
            ("hit_rate", Double),
            ("hit_rate_target", Double),
            ("meets_target", Boolean),
        ],
        key: &["layer", "node_id"],
        filled: &[],
    },
    Live {
        name: "executors",
        control: false,
        comment: "The executors of the cluster that live.",
        columns: &[
            ("node_id", Text),
            ("url", Text),
            ("http_url", Text),
            ("version", Text),
            ("process_id", BigInt),
            ("threads", Int),
            ("memory_used_bytes", BigInt),
            ("memory_limit_bytes", BigInt),
            // closed, open, half-open
            ("breaker", Text),
            ("joined_at", Timestamp),
            ("last_heartbeat_at", Timestamp),
        ],
        key: &["node_id"],
        filled: &[],
    },
    Live {
        name: "shards",
        control: false,
        comment: "The shards of every sharded table and who owns each now.",
        columns: &[
            ("table_schema", Text),
            ("table_name", Text),
            ("shard_id", Int),
            ("owner", Text),
            ("file_count", BigInt),
            ("row_count", BigInt),
            ("size_bytes", BigInt),
        ],
        key: &["table_schema", "table_name", "shard_id"],
        filled: &[],
    },
    Live {
        name: "sessions",
        control: false,
        comment: "The sessions that clients have open on this scheduler.",
        columns: &[
            ("session_id", Text),
            ("principal", Text),
            ("current_schema", Text),
            ("started_at", Timestamp),
            ("idle_ms", BigInt),
            ("statements_running", BigInt),
            // Those that differ from their defaults, as name=value, in order.
            ("settings", Text),
        ],
        key: &["session_id"],
        filled: &[],
    },
    Live {
        name: "settings",
        control: false,
        comment: "The session's settings.",
        columns: &[
            ("name", Text),
            ("value", Text),
            ("default_value", Text),
            ("description", Text),
        ],
        key: &["name"],
        filled: &[],
    },
];
