//! Connections as they come in, after their TLS handshakes where a port has TLS.
//!
//! Handshakes run beside each other and beside accepting. A peer that connects and then says nothing
//! waits alone: it has a deadline, and where too many are under way, the oldest one makes room.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::connection::{Connection, ConnectionId};
use super::count::{Count, Counted};

/// Handshakes of honest peers take milliseconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKES_MAX: usize = 512;
/// A client begins its first request at once.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
/// Where accepting fails, as it does without a free file descriptor, trying at once would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The connections of one port.
pub(super) struct Incoming {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handshakes: JoinSet<Option<Connection>>,
    /// Those under way, the oldest first.
    under_way: VecDeque<AbortHandle>,
    handshakes_max: usize,
    handshake_timeout: Duration,
    accepted: usize,
    count: Count,
    first_bytes_timeout: Duration,
}

impl Incoming {
    pub(super) fn new(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            listener,
            tls: tls.map(TlsAcceptor::from),
            handshakes: JoinSet::new(),
            under_way: VecDeque::new(),
            handshakes_max: HANDSHAKES_MAX,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            accepted: 0,
            count: Count::new(),
            first_bytes_timeout: FIRST_BYTES_TIMEOUT,
        }
    }

    #[cfg(test)]
    pub(super) fn with_limits(self, handshakes_max: usize, handshake_timeout: Duration) -> Self {
        Self {
            handshakes_max,
            handshake_timeout,
            ..self
        }
    }

    /// With a limit of connections, and of the time in which a client begins its first request.
    #[cfg(test)]
    pub(super) fn with_connections(self, max: usize, first_bytes_timeout: Duration) -> Self {
        Self {
            count: Count::up_to(max),
            first_bytes_timeout,
            ..self
        }
    }

    /// The next connection that may carry requests. Nothing is lost if this is not waited for to its
    /// end.
    pub(super) async fn next(&mut self) -> Connection {
        loop {
            let accepted = tokio::select! {
                Some(ended) = self.handshakes.join_next() => {
                    match connection_of(ended) {
                        Some(connection) => return connection,
                        None => continue,
                    }
                }
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let Some(counted) = self.count.enter(peer.ip()) else {
                // Closed at once, so that those that are there go on.
                tracing::debug!(%peer, "a connection is refused, as there are too many");
                continue;
            };
            // Without this, each small reply waits 40 ms for the peer's acknowledgement.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "a connection was lost as it was accepted");
                continue;
            }
            let id = ConnectionId(self.accepted);
            self.accepted += 1;
            match self.tls.clone() {
                None => return Connection::plain(stream, id).limited(self.first_bytes_timeout, counted),
                Some(tls) => self.shake_hands(tls, stream, peer, id, counted),
            }
        }
    }

    fn shake_hands(
        &mut self,
        tls: TlsAcceptor,
        stream: TcpStream,
        peer: SocketAddr,
        id: ConnectionId,
        counted: Counted,
    ) {
        if self.under_way.len() >= self.handshakes_max {
            self.under_way.retain(|handshake| !handshake.is_finished());
        }
        if self.under_way.len() >= self.handshakes_max
            && let Some(oldest) = self.under_way.pop_front()
        {
            oldest.abort();
        }
        let (timeout, first_bytes) = (self.handshake_timeout, self.first_bytes_timeout);
        let handshake = self.handshakes.spawn(async move {
            match tokio::time::timeout(timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => Some(Connection::tls(stream, id).limited(first_bytes, counted)),
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "a TLS handshake failed");
                    None
                }
                Err(_) => {
                    tracing::debug!(%peer, "a TLS handshake took too long");
                    None
                }
            }
        });
        self.under_way.push_back(handshake);
    }

    /// The connections as gRPC's server takes them. The stream has no end and no errors.
    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Connection>> {
        stream::unfold(self, |mut incoming| async move {
            let connection = incoming.next().await;
            Some((Ok(connection), incoming))
        })
    }
}

fn connection_of(ended: Result<Option<Connection>, JoinError>) -> Option<Connection> {
    match ended {
        Ok(connection) => connection,
        Err(error) if error.is_cancelled() => None,
        Err(error) => {
            tracing::warn!(%error, "a TLS handshake panicked");
            None
        }
    }
}

async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    // The peer's own doing, and nothing to do with the next one.
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        return;
    }
    tracing::warn!(%error, "a connection cannot be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
