//! Heartbeats, on a thread of their own: an executor whose workers are all busy still lives.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use datafusion::execution::memory_pool::MemoryPool;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use watershed_cluster::control::Control;
use watershed_core::cluster::{HEARTBEAT_INTERVAL, Heartbeat, Invalidated, PROTOCOL_VERSION};
use watershed_core::id::NodeId;
use watershed_core::net::{ClusterSecret, Readiness};
use watershed_core::{Error, Result, SqlState};
use watershed_storage::cache::Caches;

/// A call that takes longer than this is as good as lost; the next one may get through.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// How often it is looked at how much of the disk the caches take.
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);

/// What the heartbeats say, and to whom.
pub(crate) struct Heart {
    pub(crate) node: NodeId,
    /// Differs from one process to the next of the same name.
    pub(crate) incarnation: u64,
    pub(crate) url: String,
    pub(crate) http: String,
    pub(crate) threads: usize,
    pub(crate) scheduler: String,
    pub(crate) secret: ClusterSecret,
    pub(crate) memory: Arc<dyn MemoryPool>,
    pub(crate) memory_limit: usize,
    /// Set while the scheduler hears us.
    pub(crate) ready: Readiness,
    /// What is to be forgotten when the scheduler says so.
    pub(crate) caches: Arc<Caches>,
}

/// Starts the thread, which tells `joined` once the scheduler has heard it, or refused it. It ends with
/// `shutdown`, saying goodbye.
pub(crate) fn start(
    heart: Heart,
    joined: oneshot::Sender<Result<()>>,
    shutdown: CancellationToken,
) -> Result<JoinHandle<()>> {
    let failed = |error: std::io::Error| {
        Error::new(
            SqlState::InsufficientResources,
            "the heartbeat thread cannot be started",
        )
        .with_detail(error.to_string())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    std::thread::Builder::new()
        .name("heartbeat".to_owned())
        .spawn(move || runtime.block_on(beat(heart, joined, shutdown)))
        .map_err(failed)
}

async fn beat(heart: Heart, joined: oneshot::Sender<Result<()>>, shutdown: CancellationToken) {
    tokio::spawn(measure(Arc::clone(&heart.caches)));
    let (mut control, mut joined) = (None, Some(joined));
    // What an earlier process of this name has done counts, as this one goes on with its caches.
    let mut invalidated = heart.caches.heard();
    loop {
        heart.caches.show();
        let sent = tokio::time::timeout(CALL_TIMEOUT, send(&heart, invalidated, &mut control)).await;
        let mut pause = HEARTBEAT_INTERVAL;
        let heard = match sent {
            Ok(Ok(news)) => {
                let last = news.last;
                // That it is done is told at once; what could not be done is asked for again.
                if forget(&heart.caches, news).await && invalidated != Some(last) {
                    pause = Duration::ZERO;
                    invalidated = Some(last);
                }
                // Nobody waits for it any more: then it is of no use.
                joined.take().and_then(|joined| joined.send(Ok(())).ok());
                true
            }
            Ok(Err(error)) if error.code() == SqlState::InvalidAuthorization && joined.is_some() => {
                // It would be refused for ever.
                joined.take().and_then(|joined| joined.send(Err(error)).ok());
                return;
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, detail = error.detail(), "the scheduler does not hear our heartbeat");
                false
            }
            Err(_) => {
                tracing::warn!("the scheduler did not answer our heartbeat in time");
                false
            }
        };
        if !heard {
            control = None;
        }
        heart.ready.set(heard);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => break,
        }
    }
    if let Some(mut control) = control {
        match tokio::time::timeout(CALL_TIMEOUT, control.leave(&heart.node)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(%error, "the goodbye was not heard"),
            Err(_) => tracing::info!("the goodbye was not answered in time"),
        }
    }
}

/// Looks at the disk again and again, beside the heartbeats: these do not wait for it.
async fn measure(caches: Arc<Caches>) {
    loop {
        let caches = Arc::clone(&caches);
        if let Err(error) = tokio::task::spawn_blocking(move || caches.measure()).await {
            tracing::warn!(%error, "how much of the disk the caches take is not known");
        }
        tokio::time::sleep(MEASURE_INTERVAL).await;
    }
}

/// Has the caches forget, and says whether they have.
async fn forget(caches: &Arc<Caches>, news: Invalidated) -> bool {
    let caches = Arc::clone(caches);
    match tokio::task::spawn_blocking(move || caches.forget(&news)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, detail = error.detail(), "the caches do not forget what they should");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "the caches do not forget what they should");
            false
        }
    }
}

async fn send(heart: &Heart, invalidated: Option<u64>, control: &mut Option<Control>) -> Result<Invalidated> {
    let control = match control {
        Some(control) => control,
        None => control.insert(Control::connect(&heart.scheduler, &heart.secret).await?),
    };
    let message = Heartbeat {
        protocol: PROTOCOL_VERSION,
        node: heart.node.clone(),
        incarnation: heart.incarnation,
        url: heart.url.clone(),
        http: heart.http.clone(),
        threads: u32::try_from(heart.threads).unwrap_or(u32::MAX),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        memory_used: heart.memory.reserved() as u64,
        memory_limit: heart.memory_limit as u64,
        invalidated,
        caches: Some(heart.caches.figures()),
    };
    Ok(control.heartbeat(&message).await?.invalidated)
}
