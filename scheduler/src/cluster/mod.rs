//! The cluster as the scheduler sees it: which executors live, and which shard each of them owns.

mod breaker;
mod members;
mod service;

pub use breaker::Phase;
pub use members::{Executor, Members, Membership};
pub use service::{ControlService, Forgetting};
