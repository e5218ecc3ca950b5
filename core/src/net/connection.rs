//! Accepted connections, each of which is told from every other: ports are used again.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::count::Counted;

/// The connection that a request came over. The number is unique among those that one port has
/// accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub usize);

/// The other end of a connection, in the extensions of each request that comes over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    pub connection: ConnectionId,
    /// `None` if it was gone before it could be asked for.
    pub address: Option<IpAddr>,
}

impl Peer {
    fn of(stream: &TcpStream, connection: ConnectionId) -> Self {
        Self {
            connection,
            address: stream.peer_addr().ok().map(|peer| peer.ip()),
        }
    }
}

/// Bytes that every client sends at once: the preface of HTTP/2 has 24, and no request of HTTP/1 with its headers fewer.
const FIRST_BYTES: usize = 24;

/// A connection and its other end.
pub(super) struct Connection {
    transport: Transport,
    peer: Peer,
    /// Until when its first bytes are waited for, and how many of them are left.
    opening: Option<(Pin<Box<Sleep>>, usize)>,
    /// Its place among those of the port.
    _counted: Option<Counted>,
}

/// What bytes travel over. TLS keeps its buffers beside it.
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    pub(super) fn plain(stream: TcpStream, id: ConnectionId) -> Self {
        let peer = Peer::of(&stream, id);
        Self::over(Transport::Plain(stream), peer)
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>, id: ConnectionId) -> Self {
        let peer = Peer::of(stream.get_ref().0, id);
        Self::over(Transport::Tls(Box::new(stream)), peer)
    }

    fn over(transport: Transport, peer: Peer) -> Self {
        Self {
            transport,
            peer,
            opening: None,
            _counted: None,
        }
    }

    /// The same, closed if nothing comes within the limit, with its place among those of the port.
    pub(super) fn limited(self, first_bytes: Duration, counted: Counted) -> Self {
        Self {
            opening: Some((Box::pin(tokio::time::sleep(first_bytes)), FIRST_BYTES)),
            _counted: Some(counted),
            ..self
        }
    }

    /// Notes what a read gave. An error when the first bytes have taken too long.
    fn opened(&mut self, context: &mut Context<'_>, read: usize, pending: bool) -> io::Result<()> {
        let Some((deadline, left)) = &mut self.opening else {
            return Ok(());
        };
        *left = left.saturating_sub(read);
        if *left == 0 {
            self.opening = None;
        } else if pending && deadline.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl Connection {
    pub(super) fn peer(&self) -> Peer {
        self.peer
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        self.opened(context, buffer.filled().len() - before, read.is_pending())?;
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, buffer),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
