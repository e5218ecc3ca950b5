//! The place of one statement among those that run. The statement gives it back while it waits for its client, and ends
//! when the client neither takes rows nor sends them for too long.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use watershed_core::{Error, Result, SqlState};

use super::Engine;
use super::admission::{Admission, Permit, Who};
use super::sessions::Session;
use crate::flight::RowStream;

/// A statement that waits for its client keeps its place for so long: giving it back has its price, as others may take it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a statement waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    /// That its client takes the rows that are ready.
    Taken,
    /// That its client sends rows.
    Sent,
}

/// See the module. Clones share the place.
#[derive(Clone)]
pub(super) struct Place(Arc<Parts>);

struct Parts {
    admission: Arc<Admission>,
    who: Who,
    /// How long a client may do nothing, and how long the place is held for it.
    limit: Duration,
    patience: Duration,
    permit: Mutex<Option<Permit>>,
}

impl Engine {
    /// The place of a statement of this session, which does not have it yet.
    pub(super) fn place(&self, session: &Session) -> Result<Place> {
        let parts = self.parts();
        Ok(Place::new(
            Arc::clone(&parts.admission),
            self.who(session)?,
            parts.stall_timeout,
            PATIENCE,
        ))
    }
}

impl Place {
    fn new(admission: Arc<Admission>, who: Who, limit: Duration, patience: Duration) -> Self {
        Self(Arc::new(Parts {
            admission,
            who,
            limit,
            patience: patience.min(limit),
            permit: Mutex::default(),
        }))
    }

    /// Takes a place if there is one right now.
    pub(super) fn try_enter(&self) -> bool {
        let permit = self.0.admission.try_enter(&self.0.who);
        let entered = permit.is_some();
        *self.0.permit.lock() = permit;
        entered
    }

    /// Waits for a place, unless too many wait already.
    pub(super) async fn enter(&self) -> Result<()> {
        let permit = self.0.admission.enter(&self.0.who).await?;
        *self.0.permit.lock() = Some(permit);
        Ok(())
    }

    /// Gives it back for good: what is left of the statement computes nothing.
    pub(super) fn leave(&self) {
        self.0.permit.lock().take();
    }

    /// Waits for the client. An error if that takes longer than the limit.
    pub(super) async fn client<T>(&self, wait: Wait, work: impl Future<Output = T>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        if let Ok(done) = tokio::time::timeout(self.0.patience, &mut work).await {
            return Ok(done);
        }
        let away = self.0.away();
        let rest = self.0.limit.saturating_sub(self.0.patience);
        let done = tokio::time::timeout(rest, &mut work).await;
        let done = done.map_err(|_| stalled(wait, self.0.limit))?;
        if let Some(away) = away {
            let permit = self.0.admission.enter_again(&self.0.who).await?;
            *self.0.permit.lock() = Some(permit);
            drop(away);
        }
        Ok(done)
    }

    /// The rows that a client sends, which wait for it here.
    pub(super) fn received(&self, rows: RowStream) -> RowStream {
        let state = Some((self.clone(), rows.batches));
        let batches = stream::unfold(state, |state| async {
            let (place, mut batches) = state?;
            match place.client(Wait::Sent, batches.next()).await {
                Ok(Some(batch)) => Some((batch, Some((place, batches)))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        RowStream {
            batches: batches.boxed(),
            ..rows
        }
    }
}

impl Parts {
    /// Gives the place back, unless too many statements are without theirs. None where there is none to give.
    fn away(&self) -> Option<OwnedSemaphorePermit> {
        let mut permit = self.permit.lock();
        permit.as_ref()?;
        let away = self.admission.away()?;
        permit.take();
        Some(away)
    }
}

fn stalled(wait: Wait, limit: Duration) -> Error {
    let what = match wait {
        Wait::Taken => "takes no rows",
        Wait::Sent => "sends no rows",
    };
    Error::new(
        SqlState::QueryCanceled,
        format!(
            "the client {what} for longer than --stall-timeout, {}",
            watershed_core::duration::format(limit)
        ),
    )
    .with_hint("Run the statement again, and do not stop between its rows.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_given_back_while_the_client_does_nothing() {
        let admission = Arc::new(Admission::new(1, 1));
        let millis = Duration::from_millis;
        let of = |limit, patience| Place::new(Arc::clone(&admission), Who::Anyone, limit, patience);
        let place = of(millis(60_000), millis(60_000));
        place.enter().await.unwrap();
        place
            .client(Wait::Taken, tokio::time::sleep(millis(5)))
            .await
            .unwrap();
        assert!(
            admission.try_enter(&Who::Anyone).is_none(),
            "a short wait keeps it"
        );
        place.leave();
        let place = of(millis(60_000), millis(1));
        place.enter().await.unwrap();
        // The client goes on once another has had the place.
        let long = async {
            loop {
                if let Some(permit) = admission.try_enter(&Who::Anyone) {
                    return permit;
                }
                tokio::time::sleep(millis(1)).await;
            }
        };
        place
            .client(Wait::Taken, async { drop(long.await) })
            .await
            .unwrap();
        assert!(admission.try_enter(&Who::Anyone).is_none(), "it is taken again");
        place.leave();
        let place = of(millis(5), millis(1));
        place.enter().await.unwrap();
        let never = std::future::pending::<()>();
        let error = place.client(Wait::Sent, never).await.unwrap_err();
        assert_eq!(error.code(), SqlState::QueryCanceled);
        assert!(error.message().contains("sends no rows"), "{error}");
        assert!(admission.try_enter(&Who::Anyone).is_some());
    }
}
