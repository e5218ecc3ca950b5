//! Shard arithmetic: which shard a key belongs to, and which node a shard belongs to.

mod hash;
mod ring;

pub use hash::{HASH_VERSION, Key, shard_of, shard_of_i64, shard_of_str};
pub use ring::Ring;
