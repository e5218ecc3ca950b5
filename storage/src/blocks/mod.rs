//! Data of objects as it was fetched, so that it is not fetched again: blocks of files on object stores, in
//! memory and on disk, below all scans of Parquet of a process.
//!
//! What makes it exact is that a block belongs to one version of its object. [`scan`] brings to a process
//! what the versions of a plan's files are, [`object`] is one of these versions as a store, and [`cache`]
//! keeps a block only if the answer that brought it said that it is of that version. [`footers`] changes footers that the
//! reader would misread.

mod cache;
mod footers;
mod object;
mod scan;
#[cfg(test)]
mod tests;

pub use cache::BlockCache;
pub(crate) use footers::FooterChange;
pub(crate) use scan::{files_never_change, with_tags};
pub use scan::{with_blocks, with_meant_files};
