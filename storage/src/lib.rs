//! Tables: where their rows lie, how they are read, and how rows become files.
//!
//! It is the one crate that knows Delta Lake and the object store's layout. It knows DataFusion, as
//! scans and writes are its plan nodes. It is *not* a planner: it has no SQL, no catalog, no sessions.
//!
//! ```
//! use watershed_storage::layout::{Column, ColumnType};
//!
//! let key = Column::new("user_id", ColumnType::BigInt).not_null();
//! assert_eq!(key.data_type.sql(), "BIGINT");
//! ```
//!
//! Reading order: [`layout`], [`error`], [`log`], [`delta`], [`table`], [`external`], [`write`],
//! [`fragment`], [`blocks`], [`cache`], [`codec`],
//! [`numbers`], [`casts`], [`functions`], [`windows`], [`session`].

pub mod blocks;
pub mod cache;
pub mod casts;
pub mod codec;
pub mod delta;
pub mod error;
pub mod external;
#[cfg(test)]
mod fixture;
pub mod fragment;
pub mod functions;
pub mod guard;
pub mod layout;
pub mod log;
pub mod numbers;
pub mod scalar;
pub mod session;
pub mod shards;
pub mod table;
pub mod windows;
pub mod write;
