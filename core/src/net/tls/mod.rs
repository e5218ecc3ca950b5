//! TLS on the ports that clients use, and in the client: certificates, trust, and what went wrong.
//!
//! Reading order: [`server`], [`pem`], [`trust`], [`failure`], [`dev`].

mod dev;
mod failure;
mod pem;
mod server;
mod trust;

use std::sync::Arc;

use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::version::{TLS12, TLS13};

pub use dev::DevCertificate;
pub use failure::explain_tls;
pub use server::ServerTls;
#[cfg(test)]
pub(super) use trust::connect_trusting;
pub use trust::speaks_tls;
pub(super) use trust::{roots_of_file, roots_of_system};

pub(super) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// The cryptography. Two kinds are compiled in, so that it has to be named wherever it is used.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
