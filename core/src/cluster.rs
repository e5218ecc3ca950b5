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
