//! Flight SQL: the protocol that every client of Watershed speaks.
//!
//! The engine behind it is an [`Engine`]; nothing here plans or runs anything. Reading order:
//! [`engine`](Engine), `front` (what is served), `commands` (one method per command), `statement` and
//! `prepared` (what is kept between calls), `query` (queries run), `announced` (rows in the columns that were announced), `ahead` (before they are fetched) and
//! `parallel` (over several streams), `delivery` and `encode` (rows on their way out), `frames`,
//! `params`, `convert` and `ingest` (rows on their way in), `metadata`, `sql_info` and `types`, `actions` and `options`, `auth`,
//! `ticket`, `seal`.

mod actions;
mod ahead;
mod announced;
mod auth;
mod commands;
mod convert;
mod delivery;
mod encode;
mod engine;
mod frames;
mod front;
mod ingest;
mod metadata;
mod options;
mod parallel;
mod params;
mod prepared;
mod query;
mod registry;
mod seal;
mod service;
mod sql_info;
mod statement;
mod ticket;
mod types;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use watershed_core::Result;
use watershed_core::clock::Clock;

pub use delivery::Delivery;
pub use engine::{
    Credentials, Engine, Executed, Ingest, Keeps, Login, Outcome, Prepared, Principal, Progress, RowStream,
    SessionKey, TableEntry, TableKind,
};
pub use front::Front;
pub use metadata::CATALOG;
pub(crate) use params::execute_each;
pub use registry::Bounds;
pub use wire::plain as plain_type;

/// Statements come as one message, and so do batches of rows.
const REQUEST_BYTES_MAX: usize = 64 << 20;
/// A statement that runs many times tells only its first notices.
const NOTICES_MAX: usize = 100;

/// What is kept for clients between their calls.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Prepared statements and what is bound to them.
    pub prepared: Bounds,
    /// Statements whose rows can still be fetched.
    pub results: Bounds,
}

/// Rows that nobody has fetched by then are not wanted any more.
const RESULTS_IDLE_MAX: Duration = Duration::from_secs(600);

impl Options {
    /// For clients that are gone when nothing was heard of them for `idle_max`.
    pub fn idle_for(idle_max: Duration) -> Self {
        Self {
            prepared: Bounds {
                entries_max: 10_000,
                bytes_max: 256 << 20,
                idle_max,
            },
            results: Bounds {
                entries_max: 10_000,
                bytes_max: 128 << 20,
                idle_max: idle_max.min(RESULTS_IDLE_MAX),
            },
        }
    }
}

impl Front {
    /// Flight SQL over an engine.
    pub fn over(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>, options: Options) -> Result<Self> {
        Ok(Self::new(service::Service::new(engine, clock, options)?))
    }

    /// The service, to be added to a server's routes.
    pub fn server(&self) -> FlightServiceServer<Self> {
        FlightServiceServer::new(self.clone())
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(usize::MAX)
    }
}
