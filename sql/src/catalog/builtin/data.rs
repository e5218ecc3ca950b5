//! The documented data tables and views.

use std::sync::Arc;

use watershed_core::id::TableId;
use watershed_storage::layout::{Sharding, TableLayout};

use super::Kind::{self, BigInt, Date, Double, Int, Json, Text, Timestamp};
use super::{columns, names};
use crate::catalog::model::PUBLIC_SCHEMA;
use crate::catalog::object::TableDef;
use crate::catalog::shard_map::{DEFAULT_SHARDS, default_shard_map};

/// The declaration of a data table.
pub(super) struct Data {
    pub(super) name: &'static str,
    columns: &'static [(&'static str, Kind)],
    key: &'static [&'static str],
    partition_by: &'static [&'static str],
    shard_key: Option<&'static str>,
    /// A column and the expression that gives its value.
    generated: Option<(&'static str, &'static str)>,
}

impl Data {
    pub(super) fn define(&self, id: TableId) -> TableDef {
        let mut columns = columns(self.columns, self.key);
        if let Some((name, expr)) = self.generated {
            for column in columns.iter_mut().filter(|column| column.name == name) {
                column.generated = Some(expr.to_owned());
            }
        }
        TableDef {
            schema: PUBLIC_SCHEMA.to_owned(),
            name: self.name.to_owned(),
            layout: Arc::new(TableLayout {
                id,
                columns,
                primary_key: names(self.key),
                partition_by: names(self.partition_by),
                sharding: self.shard_key.map(|key| Sharding {
                    key: key.to_owned(),
                    shards: DEFAULT_SHARDS,
                }),
                sort_by: Vec::new(),
                shard_map: self.shard_key.and_then(default_shard_map).map(str::to_owned),
            }),
            builtin: true,
        }
    }
}

pub(super) const TABLES: [Data; 5] = [
    Data {
        name: "raw_events",
        columns: &[
            ("event_id", Text),
            ("event_type", Text),
            ("event_data", Json),
            ("ingestion_ts", Timestamp),
            ("source", Text),
            ("partition_date", Date),
        ],
        key: &[],
        partition_by: &["partition_date"],
        shard_key: Some("event_id"),
        generated: Some(("partition_date", "CAST(ingestion_ts AS DATE)")),
    },
    Data {
        name: "realtime_metrics",
        columns: &[
            ("metric_name", Text),
            ("metric_value", Double),
            ("window_start", Timestamp),
            ("window_end", Timestamp),
            ("computed_at", Timestamp),
        ],
        key: &["metric_name", "window_start"],
        partition_by: &[],
        shard_key: None,
        generated: None,
    },
    Data {
        name: "batch_metrics",
        columns: &[
            ("metric_name", Text),
            ("date_partition", Date),
            ("metric_value", Double),
            ("computed_at", Timestamp),
        ],
        key: &["metric_name", "date_partition"],
        partition_by: &[],
        shard_key: None,
        generated: None,
    },
    Data {
        name: "cdn_logs",
        columns: &[
            ("request_id", Text),
            ("user_id", BigInt),
            ("title_id", BigInt),
            ("cdn_edge_location", Text),
            ("response_time_ms", Int),
            ("bytes_transferred", BigInt),
            ("http_status", Int),
            ("request_ts", Timestamp),
            ("user_country", Text),
            ("dt", Date),
        ],
        key: &[],
        partition_by: &["dt"],
        shard_key: Some("user_id"),
        generated: Some(("dt", "CAST(request_ts AS DATE)")),
    },
    Data {
        name: "playback_quality_decisions",
        columns: &[
            ("session_id", Text),
            ("title_id", BigInt),
            ("user_id", BigInt),
            ("device_type", Text),
            ("connection_speed_mbps", Double),
            ("selected_bitrate_kbps", Int),
            ("buffer_health_seconds", Int),
            ("decision_ts", Timestamp),
        ],
        key: &[],
        partition_by: &[],
        shard_key: Some("user_id"),
        generated: None,
    },
];

/// The views' names and queries.
///
/// The documented view shows nothing from yesterday 00:00 to an hour ago. The exact one shows every
/// metric's day once: from the batch layer where it is there, else from the speed layer. Its days are
/// those of UTC whatever the session's zone, which CAST would follow.
pub(super) const VIEWS: [(&str, &str); 2] = [
    ("unified_metrics", include_str!("unified_metrics.sql")),
    ("unified_metrics_exact", include_str!("unified_metrics_exact.sql")),
];
