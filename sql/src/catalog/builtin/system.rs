//! What operating needs to see beside the documented tables.

use super::Kind::{BigInt, Double, Int, Text, Timestamp};
use super::Live;

pub(super) const TABLES: [Live; 5] = [
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
            // local, gather, exchange, staged
            ("execution", Text),
            ("reason", Text),
            ("started_at", Timestamp),
            ("finished_at", Timestamp),
            ("duration_ms", Double),
            ("row_count", BigInt),
            ("rows_scanned", BigInt),
            ("bytes_scanned", BigInt),
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
        ],
        key: &["statement_id"],
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
    },
];
