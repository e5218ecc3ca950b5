//! What schedulers and executors share to run one plan together: connections to each other, and
//! sessions that agree on everything an answer depends on.
//!
//! It is *not* the membership of a cluster (that is the scheduler's) nor the messages of it (those
//! are `watershed_core::cluster`). Everything here adapts datafusion-distributed, in one place for
//! both sides.
//!
//! Reading order: [`channels`], [`session`], [`control`], [`fault`], `yielding`; then [`staged`].

pub mod channels;
pub mod control;
pub mod fault;
mod parts;
pub mod session;
pub mod staged;
mod yielding;

pub use channels::Channels;
pub use yielding::{yielding, yielding_for_others};
