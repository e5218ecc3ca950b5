//! Rows become files: the plan node that executors run, and what it hands to the commit.

mod check;
mod exec;
mod file;
mod limits;
mod open;
mod partition;
mod run;
mod statistics;
#[cfg(test)]
mod tests;

pub(crate) use open::batch_prefix;

pub use exec::{ShardWriteExec, WriteTarget};
pub use file::{SHARD_SPEC_TAG, WrittenFile, written_files};
