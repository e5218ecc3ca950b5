//! Scatter-gather: parts of a plan that are distributive over shards run on the shards' owners, one
//! task per executor and one partition per shard; what is above them runs in the scheduler.
//!
//! [`split`] finds those parts and puts a [`ShardGatherExec`] in their place; `task` drives one worker;
//! `exec` is the node itself, with its retries.

mod exec;
mod split;
mod task;

pub(crate) use exec::no_executor;
pub use exec::{Fragment, FragmentReport, ShardGatherExec, Surroundings};
pub use split::{SplitOptions, split};
pub(crate) use split::{file_scan, plan_bytes};
pub use task::TaskReport;
