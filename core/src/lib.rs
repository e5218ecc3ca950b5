//! The words every other crate shares: errors, identifiers, shard arithmetic, settings,
//! sockets and telemetry.
//!
//! ```
//! use watershed_core::shard::{Ring, shard_of_i64};
//!
//! // A key always lands in the same shard …
//! let shard = shard_of_i64(42, 16);
//! assert_eq!(shard, shard_of_i64(42, 16));
//! // … and a shard belongs to one node of the ring.
//! let ring = Ring::new(["a".into(), "b".into()]);
//! let owners = ring.place(16);
//! assert!(ring.nodes().contains(owners[shard as usize]));
//! ```
//!
//! It is *not* an engine: nothing here knows SQL, DataFusion or Delta.
//!
//! Reading order: [`error`], [`id`], [`shard`], [`settings`], [`clock`], [`store`], [`net`],
//! [`partial`], [`cluster`], [`interrupt`], [`telemetry`].

pub mod clock;
pub mod cluster;
pub mod duration;
pub mod error;
pub mod id;
pub mod interrupt;
pub mod net;
pub mod partial;
pub mod settings;
pub mod shard;
pub mod store;
pub mod telemetry;
pub mod threads;

pub use error::{Error, Result, SqlState};
