//! Bodies of HTTP responses that clients have not read yet. Their total size is bounded, and a body from which the client reads
//! nothing for the stall timeout is dropped.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{Stream, stream};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watershed_core::{Error, Result, SqlState};

/// The size of a chunk in bytes. A body that is no larger has one chunk, and does not count towards the bound.
const CHUNK: usize = 64 << 10;
/// The bound of all unread bodies together, in bytes.
const MOST: usize = 128 << 20;

/// The bodies of a port.
#[derive(Clone)]
pub(super) struct Bodies {
    chunks: Arc<Semaphore>,
    stall_timeout: Duration,
}

/// What is left of a body, and its part of the bound.
type Rest = Mutex<Option<(Bytes, OwnedSemaphorePermit)>>;

struct Unread {
    rest: Rest,
    /// Chunks that were read.
    read: AtomicU64,
}

impl Bodies {
    pub(super) fn new(stall_timeout: Duration) -> Self {
        Self {
            chunks: Arc::new(Semaphore::new(MOST / CHUNK)),
            stall_timeout,
        }
    }

    /// A body of these bytes; an error if the unread bodies are at their bound.
    pub(super) fn body(&self, bytes: Vec<u8>) -> Result<Body> {
        match bytes.len() {
            0..=CHUNK => Ok(Body::from(bytes)),
            _ => Ok(Body::from_stream(self.chunked(bytes)?)),
        }
    }

    fn chunked(&self, bytes: Vec<u8>) -> Result<impl Stream<Item = io::Result<Bytes>> + use<>> {
        let chunks = u32::try_from(bytes.len().div_ceil(CHUNK)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.chunks).try_acquire_many_owned(chunks);
        let permit = permit.map_err(|_| {
            Error::new(
                SqlState::TooManyStatements,
                format!(
                    "results over HTTP that clients have not read take {} MiB",
                    MOST >> 20
                ),
            )
            .with_hint("Try again when they are read, or fetch the result over Flight SQL.")
        })?;
        let unread = Arc::new(Unread {
            rest: Mutex::new(Some((Bytes::from(bytes), permit))),
            read: AtomicU64::new(0),
        });
        tokio::spawn(give_up(Arc::downgrade(&unread), self.stall_timeout));
        Ok(stream::unfold(unread, |unread| async {
            let next = unread.next()?;
            Some((next, unread))
        }))
    }
}

impl Unread {
    /// Drops the body if the number of chunks read is still `before`.
    fn goes_on(&self, before: &mut u64) -> bool {
        let read = self.read.load(Ordering::Relaxed);
        let goes_on = read != std::mem::replace(before, read);
        if !goes_on {
            *self.rest.lock() = None;
        }
        goes_on
    }

    fn next(&self) -> Option<io::Result<Bytes>> {
        self.read.fetch_add(1, Ordering::Relaxed);
        let mut rest = self.rest.lock();
        let Some((bytes, _)) = rest.as_mut() else {
            return Some(Err(io::Error::from(io::ErrorKind::TimedOut)));
        };
        if bytes.is_empty() {
            return None;
        }
        // A copy: a part of the bytes would hold all of them.
        let chunk = bytes.split_to(bytes.len().min(CHUNK));
        Some(Ok(Bytes::copy_from_slice(&chunk)))
    }
}

/// Drops a body when no chunk of it was read for the stall timeout.
async fn give_up(unread: Weak<Unread>, stall_timeout: Duration) {
    let mut before = 0;
    loop {
        tokio::time::sleep(stall_timeout).await;
        let Some(unread) = unread.upgrade() else { return };
        if !unread.goes_on(&mut before) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    const LARGE: usize = 16 << 20;

    #[tokio::test]
    async fn unread_bodies_are_bounded() {
        let bodies = Bodies::new(Duration::from_secs(600));
        let mut unread: Vec<_> = (0..MOST / LARGE)
            .map(|_| Box::pin(bodies.chunked(vec![7; LARGE]).unwrap()))
            .collect();
        let refused = bodies.chunked(vec![7; LARGE]).err().unwrap();
        assert_eq!(refused.code(), SqlState::TooManyStatements);
        assert!(bodies.body(vec![7; CHUNK]).is_ok());
        // One that is read to its end makes room.
        let read: Vec<Bytes> = unread.pop().unwrap().try_collect().await.unwrap();
        assert_eq!(read.iter().map(Bytes::len).sum::<usize>(), LARGE);
        assert!(bodies.chunked(vec![7; LARGE]).is_ok());
    }

    #[test]
    fn a_body_of_which_nothing_is_read_is_given_up() {
        let chunks = Arc::new(Semaphore::new(4));
        let permit = Arc::clone(&chunks).try_acquire_many_owned(3).unwrap();
        let unread = Unread {
            rest: Mutex::new(Some((Bytes::from(vec![7; 3 * CHUNK]), permit))),
            read: AtomicU64::new(0),
        };
        let mut before = 0;
        for _ in 0..2 {
            assert_eq!(unread.next().unwrap().unwrap().len(), CHUNK);
            assert!(unread.goes_on(&mut before));
        }
        assert!(!unread.goes_on(&mut before));
        assert_eq!(chunks.available_permits(), 4);
        assert!(unread.next().unwrap().is_err());
    }
}
