//! Every integration test, in one binary: what the shipped `watershed` does when it is met as a user
//! meets it.
//!
//! Reading order: `harness` starts it, `slt` is where most tests belong, `python` runs real drivers,
//! `cluster` and those after it kill and damage things, `tidy` reads the repository itself.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that fails panics, and says why on standard error"
)]

mod harness;

mod cache;
mod cancel;
mod cluster;
mod contract;
mod damage;
mod demo;
mod durability;
mod flight_sql;
mod fuzz;
mod hedging;
mod limits;
mod members;
mod partial;
mod python;
mod readme;
mod repair;
mod safety;
mod security;
mod shell;
mod slt;
mod soak;
mod statistics;
mod tidy;
mod tls;
mod tpcds;
mod tpch;
mod unread;
mod writers;
