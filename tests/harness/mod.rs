//! Starts the built binary as users do and talks to it as drivers do.

mod cluster;
mod http;
mod process;
mod server;
mod session;
mod wire;

pub use cluster::{Cluster, Executor, Options, text_of};
pub use http::{get, get_with};
pub use process::{alive, memory, processor_time, signal, steps, wait_until};
pub use server::Server;
pub use session::{Failure, Session, Table};
pub use wire::{Answer, Wire, frames, packed, query, ticket, unpacked};
