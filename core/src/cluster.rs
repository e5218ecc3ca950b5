//! What the members of a cluster say to each other to be one: registration and heartbeats.
//!
//! They travel as Flight actions on the scheduler's cluster port, with JSON bodies.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;

/// How often an executor says that it lives.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// An executor silent for longer than this is dead.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);
/// Grows when members stop understanding each other.
pub const PROTOCOL_VERSION: u32 = 1;

/// The action that carries a [`Heartbeat`].
pub const HEARTBEAT_ACTION: &str = "watershed.heartbeat";
/// The action by which an executor says goodbye; its body is a [`NodeId`].
pub const LEAVE_ACTION: &str = "watershed.leave";

/// Says who an executor is and that it lives. The first one registers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub protocol: u32,
    pub node: NodeId,
    /// Differs from one process to the next of the same name.
    pub incarnation: u64,
    /// Where other members reach it.
    pub url: String,
    /// Where its health and metrics are.
    pub http: String,
    pub threads: u32,
    pub version: String,
    pub pid: u32,
    /// Bytes its operators have reserved now, and may reserve.
    pub memory_used: u64,
    pub memory_limit: u64,
    /// The newest invalidation that its caches have done; none before it has heard of any.
    #[serde(default)]
    pub invalidated: Option<u64>,
    /// What its caches do; none of an executor that does not tell yet.
    #[serde(default)]
    pub caches: Option<CachesFigures>,
}

/// The caches of an executor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CachesFigures {
    /// States of fragments over files.
    pub fragments: CacheFigures,
    /// Blocks of objects.
    pub data: CacheFigures,
}

/// What a cache holds, and has done since its process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheFigures {
    /// Bytes of memory that it may take; it keeps nothing if that is 0.
    pub max_bytes: u64,
    /// Entries in memory, and the bytes that they take.
    pub entries: u64,
    pub bytes: u64,
    /// Bytes that its files take on the disk; none if it has no disk, or has not opened it yet.
    pub disk_bytes: Option<u64>,
    pub hits: u64,
    pub misses: u64,
    /// Entries that left memory, as others needed the room.
    pub evictions: u64,
}

impl CacheFigures {
    /// Of all that was asked for; none before anything was.
    pub fn hit_rate(&self) -> Option<f64> {
        let asked = self.hits + self.misses;
        (asked > 0).then(|| self.hits as f64 / asked as f64)
    }
}

/// The scheduler's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// Grows with every executor that joins or leaves.
    pub epoch: u64,
    #[serde(default)]
    pub invalidated: Invalidated,
}

/// What caches are to forget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalidated {
    /// The number of the newest invalidation: whoever has done all this has come so far.
    pub last: u64,
    /// All that was made of files in these tables' folders, below the root.
    pub folders: Vec<String>,
    pub everything: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_other_versions_understand_a_heartbeat() {
        let heartbeat = Heartbeat {
            protocol: PROTOCOL_VERSION,
            node: NodeId::new("a"),
            incarnation: 1,
            url: String::new(),
            http: String::new(),
            threads: 1,
            version: String::new(),
            pid: 1,
            memory_used: 0,
            memory_limit: 0,
            invalidated: Some(7),
            caches: Some(CachesFigures::default()),
        };
        let mut message = serde_json::to_value(&heartbeat).unwrap();
        let read =
            |message: &serde_json::Value| serde_json::from_value::<Heartbeat>(message.clone()).unwrap();
        assert_eq!(read(&message), heartbeat);
        // Figures that one of them does not know, or does not tell.
        message["caches"] = serde_json::json!({"data": {"hits": 3, "newer": 1}, "newer": {}});
        let data = CacheFigures {
            hits: 3,
            ..CacheFigures::default()
        };
        let caches = CachesFigures {
            data,
            ..CachesFigures::default()
        };
        assert_eq!(read(&message).caches, Some(caches));
        let fields = message.as_object_mut().unwrap();
        fields.remove("caches");
        fields.remove("invalidated");
        let older = read(&message);
        assert_eq!((older.caches, older.invalidated), (None, None));
    }
}
