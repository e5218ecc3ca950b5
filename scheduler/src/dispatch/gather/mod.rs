//! Scatter-gather: parts of a plan that are distributive over shards run on the shards' owners, one
//! task per executor and one partition per shard; what is above them runs in the scheduler.
//!
//! [`split`] finds those parts, each a `fragment`, and puts a [`ShardGatherExec`] of `exec` in their place.
//! `run` is one execution of it: `fetch` reads a partition, through the loss of executors, from a `source`,
//! part of a `task` on an executor; or it was `kept` by an earlier try; `tally` says which are there, `hedge` which
//! are asked of a second executor.

mod broadcast;
mod exec;
mod fetch;
mod fragment;
mod hedge;
mod kept;
mod run;
mod source;
mod split;
mod tally;
mod task;

pub(crate) use exec::gathers;
pub use exec::{ShardGatherExec, Surroundings};
pub(crate) use fetch::no_executor;
pub use fragment::Fragment;
pub use kept::KeptShards;
pub use source::FragmentReport;
pub use split::{SplitOptions, split};
pub(crate) use split::{file_scan, plan_bytes};
pub use task::TaskReport;
