//! The scheduler: sessions, catalog, planning, dispatch, and the Flight SQL port.
//!
//! It decides; executors do. It never depends on the executor's crate: what the two share lies in
//! `watershed-cluster`.
//!
//! Reading order: [`engine::statement`], the life of a statement; then [`engine`] around it,
//! [`dispatch`] (where a query runs), [`cluster`] (who is there), [`system`] (the tables that show all
//! this), [`flight`] (the port), [`auth`] (whom it lets in) and [`process`] (the wiring).

pub mod auth;
pub mod cache;
pub mod cluster;
pub mod dispatch;
mod edge;
pub mod engine;
pub mod flight;
pub mod process;
pub mod system;
