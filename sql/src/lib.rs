//! Text and a catalog snapshot in, a typed plan out.
//!
//! ```
//! let parsed = watershed_sql::dialect::parse("SELECT 1; SHOW TABLES").unwrap();
//! assert_eq!(parsed.len(), 2);
//! ```
//!
//! It is the one crate that knows sqlparser, the catalog's records, and how names become tables. It is
//! *not* an engine: it runs nothing, reads no table, and keeps no session.
//!
//! Reading order: [`dialect`] (text to statements), [`catalog`] (what exists), [`plan`] (statements to
//! plans), [`authorize`] (who may do them).

pub mod authorize;
pub mod catalog;
pub mod dialect;
pub mod plan;
