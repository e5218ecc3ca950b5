//! What a part of a query comes to over one data file, kept on the executor that owns the file's shard.
//!
//! A fragment ends in a partial aggregate over one scan, which may be joined with small sides on the way. Files
//! never change, so what it came to over a file holds for ever: after an append only the new file is read.
//! [`describe`] says which fragments are the same, [`proof`] which conditions are true of all rows of a file
//! and so make no other fragment of it ([`proofs`] travel with plans), [`parts`] names what there is a state of, [`worth`] which states pay,
//! [`store`] keeps them in memory and on disk together with what [`readers`] say was read for them, [`columns`] keeps what others will be made of, [`run`] puts
//! them together where [`FragmentCacheExec`] stands.

mod columns;
mod counts;
mod describe;
mod digest;
mod entry;
mod exec;
mod parts;
mod plan;
mod proof;
mod proofs;
mod readers;
mod run;
mod scan;
mod store;
#[cfg(test)]
mod tests;
mod worth;

pub use describe::digest;
pub use digest::FragmentDigest;
pub use exec::FragmentCacheExec;
pub use plan::{insert, probe_of, replace_probe};
pub use proofs::Proofs;
pub use store::FragmentCache;
