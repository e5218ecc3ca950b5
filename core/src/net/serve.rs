//! Ports that are served.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Extension;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::Service;

use super::incoming::Incoming;
use super::{ClusterSecret, ServerTls};
use crate::error::{Error, Result, SqlState};

/// The largest message that cluster ports take: plans with very many files.
pub const MAX_MESSAGE_BYTES: usize = 256 << 20;
/// Some drivers forward every connection property as a header.
const MAX_HEADER_BYTES: u32 = 128 << 10;
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// How often a connection is pinged over which nothing comes, and how long the answer may take.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A request over HTTP, headers and all, takes no longer, and neither does an idle connection.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams that are open when a process is asked to end may take this long.
const DRAIN: Duration = Duration::from_secs(10);
/// Bytes that an HTTP connection buffers in each direction: of a request, more than its line and headers may have.
const HTTP_BUFFER: usize = 256 << 10;

/// A port that is open and not yet served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<ServerTls>,
}

impl Bound {
    /// Where the port is: port 0 has become a free one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    #[cfg(test)]
    pub(super) fn into_listener(self) -> TcpListener {
        self.listener
    }

    /// The same port, with TLS if there is a certificate.
    pub fn with_tls(self, tls: Option<ServerTls>) -> Self {
        Self { tls, ..self }
    }
}

/// Opens a port.
pub async fn bind(address: SocketAddr) -> Result<Bound> {
    let failed = |error: std::io::Error| {
        Error::new(SqlState::IoError, format!("cannot listen on {address}"))
            .with_detail(error.to_string())
            .with_hint("Choose another address, or port 0 for a free one.")
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound {
        listener,
        address,
        tls: None,
    })
}

/// Serves gRPC until `shutdown`, then lets open streams end for a while.
pub async fn serve_grpc(bound: Bound, routes: Routes, shutdown: CancellationToken) -> Result<()> {
    serve_grpc_pinging(bound, routes, shutdown, KEEPALIVE_INTERVAL).await
}

pub(super) async fn serve_grpc_pinging(
    bound: Bound,
    routes: Routes,
    shutdown: CancellationToken,
    interval: Duration,
) -> Result<()> {
    let address = bound.address;
    let incoming = Incoming::new(bound.listener, bound.tls.map(|tls| tls.for_grpc())).into_stream();
    let server = Server::builder()
        .http2_keepalive_interval(Some(interval))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
    drained(server, shutdown).await.map_err(|error| {
        Error::new(SqlState::IoError, format!("the server on {address} failed"))
            .with_detail(format!("{error:?}"))
    })
}

/// Serves HTTP until `shutdown`. Handlers may extract whom a request comes from, as `ConnectInfo<Peer>`.
pub async fn serve_http(bound: Bound, router: axum::Router, shutdown: CancellationToken) -> Result<()> {
    serve_http_within(bound, router, shutdown, HEADERS_TIMEOUT).await
}

/// The same. A connection whose next request is not there within the time, headers and all, is closed.
pub(super) async fn serve_http_within(
    bound: Bound,
    router: axum::Router,
    shutdown: CancellationToken,
    headers_timeout: Duration,
) -> Result<()> {
    let mut incoming = Incoming::new(bound.listener, bound.tls.map(|tls| tls.for_http()));
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(headers_timeout)
        .max_buf_size(HTTP_BUFFER);
    let connections = TaskTracker::new();
    while let Some(connection) = shutdown.run_until_cancelled(incoming.next()).await {
        let service = router.clone().layer(Extension(ConnectInfo(connection.peer())));
        let (builder, shutdown) = (builder.clone(), shutdown.clone());
        connections.spawn(async move {
            let serving =
                builder.serve_connection(TokioIo::new(connection), TowerToHyperService::new(service));
            let mut serving = std::pin::pin!(serving);
            let served = tokio::select! {
                served = serving.as_mut() => served,
                () = shutdown.cancelled() => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "an HTTP connection has failed");
            }
        });
    }
    connections.close();
    // Requests that are under way when a process is asked to end may take a while.
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::debug!("HTTP connections are still open");
    }
    Ok(())
}

async fn drained<E>(
    server: impl Future<Output = Result<(), E>>,
    shutdown: CancellationToken,
) -> Result<(), E> {
    tokio::select! {
        ended = server => ended,
        () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}

/// Wraps a service of a cluster port: calls without the cluster's secret are refused before
/// anything of them is decoded.
pub fn members_only<S>(service: S, secret: ClusterSecret) -> MembersOnly<S> {
    MembersOnly { service, secret }
}

/// What [`members_only`] gives.
#[derive(Debug, Clone)]
pub struct MembersOnly<S> {
    service: S,
    secret: ClusterSecret,
}

impl<S: NamedService> NamedService for MembersOnly<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for MembersOnly<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = futures::future::Either<S::Future, std::future::Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.secret.is_in(request.headers()) {
            futures::future::Either::Left(self.service.call(request))
        } else {
            let refusal = tonic::Status::unauthenticated("this port serves members of the cluster only");
            futures::future::Either::Right(std::future::ready(Ok(refusal.into_http())))
        }
    }
}
