//! Connections to other processes.

use std::path::Path;
use std::time::Duration;

use http::{Request, Response};
use tokio_rustls::rustls::RootCertStore;
use tonic::body::Body;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::ClusterSecret;
use super::tls::{roots_of_file, roots_of_system};
use crate::error::{Error, Result, SqlState};

/// A connection to another member of the cluster.
pub type MemberChannel = BoxCloneSyncService<Request<Body>, Response<Body>, tonic::transport::Error>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Clients may be far away, and TLS takes a few more messages.
const CLIENT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that answers no ping for so long is cut off. A process that is busy may take its time: whether
/// it lives, its heartbeats tell, which come from a thread of their own.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// Large enough that one stream fills a fast link.
const STREAM_WINDOW: u32 = 4 << 20;
/// The most there is. What a stream has received and nobody has read counts here too, so that with less a
/// few streams that are read slowly stop all others of the connection; each is bounded by its own window.
const CONNECTION_WINDOW: u32 = i32::MAX as u32;

/// Dials another member of the cluster.
pub async fn dial(url: &str, secret: &ClusterSecret) -> Result<MemberChannel> {
    let channel = endpoint(url)?
        .connect()
        .await
        .map_err(|error| unreachable_peer(url, &error))?;
    let secret = secret.clone();
    Ok(BoxCloneSyncService::new(channel.map_request(
        move |mut request: Request<Body>| {
            secret.attach(request.headers_mut());
            request
        },
    )))
}

/// Dials a scheduler as a client does, with TLS if the URL is `https://`. The certificate has to be of an
/// authority that this machine trusts. The connection is made at the first call, and again when it was
/// lost.
pub fn dial_client(url: &str) -> Result<Channel> {
    let endpoint = client_endpoint(url)?;
    if !has_tls(url) {
        return Ok(endpoint.connect_lazy());
    }
    Ok(with_tls(endpoint, url, roots_of_system()?)?.connect_lazy())
}

/// The same over TLS, trusting the authorities in a PEM file and no others.
pub fn dial_client_trusting(url: &str, authorities: &Path) -> Result<Channel> {
    if !has_tls(url) {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("{url} has no TLS, and so no certificate to check"),
        )
        .with_hint("Write the address as https://host:port."));
    }
    Ok(with_tls(client_endpoint(url)?, url, roots_of_file(authorities)?)?.connect_lazy())
}

fn client_endpoint(url: &str) -> Result<Endpoint> {
    Ok(endpoint(url)?.connect_timeout(CLIENT_CONNECT_TIMEOUT))
}

fn has_tls(url: &str) -> bool {
    url.starts_with("https://")
}

fn with_tls(endpoint: Endpoint, url: &str, roots: RootCertStore) -> Result<Endpoint> {
    let config = ClientTlsConfig::new()
        .trust_anchors(roots.roots)
        .timeout(CLIENT_CONNECT_TIMEOUT);
    endpoint.tls_config(config).map_err(|error| {
        Error::new(
            SqlState::InvalidParameterValue,
            format!("cannot set up TLS for {url}"),
        )
        .with_detail(error.to_string())
    })
}

fn endpoint(url: &str) -> Result<Endpoint> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| {
        Error::new(
            SqlState::InvalidParameterValue,
            format!("invalid address {url:?}"),
        )
        .with_detail(error.to_string())
        .with_hint("Write it as http://host:port.")
    })?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .tcp_nodelay(true))
}

fn unreachable_peer(url: &str, error: &tonic::transport::Error) -> Error {
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    Error::new(SqlState::CannotConnectNow, format!("cannot connect to {url}")).with_detail(detail)
}
