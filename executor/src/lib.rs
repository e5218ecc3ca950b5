//! The executor: runs plan fragments over shards, and says that it lives.
//!
//! It knows no SQL and no catalog. What it runs comes as plans from a scheduler, over a port that
//! answers members of the cluster only; rows go back over the same port.
//!
//! Reading order: [`process`], then `worker`, `staged`, `heartbeat`.

mod heartbeat;
pub mod process;
mod staged;
mod worker;

pub use process::{Joined, Options, run};
