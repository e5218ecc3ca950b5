//! What schedulers and executors share to run a plan in stages on Ballista: how plans travel, how
//! shuffle files are read, how errors come back, and the few calls beside Ballista's own.

mod codec;
mod config;
mod fault;
mod fetch;

pub use codec::{StagedCodec, codec};
pub use config::{executor_config, staged_config};
pub use fault::{of_task, portable, recover};
pub use fetch::fetch;

use watershed_core::id::NodeId;

/// The action by which an executor is told to ask for work at once.
pub const WAKE_ACTION: &str = "watershed.staged.wake";
/// The action that ends a job on an executor: its tasks are stopped and its files removed. The body is
/// the job's id.
pub const END_ACTION: &str = "watershed.staged.end";
/// The action that asks how many tasks of a job an executor runs. The body is the job's id; the answer
/// is the number as text.
pub const TASKS_ACTION: &str = "watershed.staged.tasks";

/// What Ballista calls an executor: the process, not only its name, so that what one process wrote is
/// never looked for at its successor.
pub fn executor_id(node: &NodeId, incarnation: u64) -> String {
    format!("{node}.{incarnation:016x}")
}

/// Whether a text is a job's id. Such ids name folders, so nothing else may pass.
pub fn is_job_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_stay_within_their_folder() {
        assert!(is_job_id("0190a5c2-7d3e-7cc1-8a33-0e1b2c3d4e5f"));
        for text in ["", ".", "..", "a/b", "../a", "a\\b", "a\0", &"a".repeat(65)] {
            assert!(!is_job_id(text), "{text:?}");
        }
    }
}
