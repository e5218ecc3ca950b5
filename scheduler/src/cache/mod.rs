//! Answers that are reused.

mod confirmations;

pub use confirmations::Confirmations;
