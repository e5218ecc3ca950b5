//! The cluster as the scheduler sees it: which executors live, and which shard each of them owns.

mod members;
mod service;

pub use members::{Executor, Members, Membership};
pub use service::{ControlService, Forgetting};
