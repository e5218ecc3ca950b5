//! Every socket, served or dialled, is opened here, so that TLS and authentication are switched on
//! in one place. Ports for clients have TLS if they are given a certificate. Cluster ports answer
//! members only: those that send the cluster's secret.

#![expect(clippy::disallowed_methods, reason = "this is the module that opens sockets")]

mod connection;
mod count;
mod dial;
mod health;
mod incoming;
mod secret;
mod serve;
mod status;
mod tls;

pub use connection::{ConnectionId, Peer};
pub use count::limit_connections;
pub use dial::{MemberChannel, dial, dial_client, dial_client_trusting};
pub use health::{Readiness, health_router};
pub use secret::ClusterSecret;
pub use serve::{Bound, MAX_MESSAGE_BYTES, bind, members_only, serve_grpc, serve_http};
pub use status::{Closing, Notices, from_status, to_status};
pub use tls::{DevCertificate, ServerTls, explain_tls, speaks_tls};

#[cfg(test)]
mod tests;
