//! What exists: schemas, tables, views, and who may do what with them. An immutable model, operations that are checked against it,
//! and the log of records that outlives every process.
//!
//! An operation ([`Op`]) is what a statement asks. Checked against the newest model it becomes facts
//! ([`Change`]), which one [`Record`] keeps. Replaying records gives the model again, without rules.

pub mod builtin;
mod cache;
mod compare;
mod history;
mod model;
mod object;
mod op;
mod principals;
mod record;
mod shard_map;
mod snapshot;
mod store;
mod temporary;

pub use cache::{
    CacheLayer, CacheLayerRow, EVERYTHING, INVALIDATIONS_KEPT, Invalidation, InvalidationDef, Invalidations,
    Layer,
};
pub use history::{Findings, History};
pub use model::{CATALOG_NAME, Catalog, INFORMATION_SCHEMA, PUBLIC_SCHEMA, SYSTEM_SCHEMA, TEMPORARY_SCHEMA};
pub use object::{
    ExternalDef, ExternalFormat, Identity, LiveDef, Meant, Object, ObjectKind, ObjectName, TableDef, ViewDef,
    ViewRead,
};
pub use op::{Alteration, CacheOp, Op, PrincipalOp};
pub use principals::{
    ADMIN, PUBLIC, PasswordHash, Principals, Privilege, Privileges, Scope, TokenDef, UserDef,
};
pub use record::{Change, FORMAT, Record, Snapshot};
pub use shard_map::{DEFAULT_SHARDS, SHARD_MAPS, default_shard_map};
pub use store::{Applied, CatalogStore};
pub use temporary::Temporary;

pub(crate) use op::{builtin_form, known_principal};
pub(crate) use shard_map::{ShardMapChoice, settle};

#[cfg(test)]
mod tests;
