//! An executor's life from its first port to its last: all wiring, top to bottom.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use watershed_cluster::Channels;
use watershed_core::Result;
use watershed_core::id::NodeId;
use watershed_core::net::{self, ClusterSecret, Readiness};
use watershed_core::store::StoreRoot;
use watershed_core::threads::Threads;
use watershed_storage::cache::{CacheOptions, Caches};
use watershed_storage::session::{self, Resources};

use crate::heartbeat::{self, Heart};
use crate::staged::{Identity, StagedExecutor};
use crate::worker;

/// What part of the memory for operators, beside it, states of fragments may take.
const FRAGMENTS_PART: usize = 8;

/// How an executor runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name in the cluster; the ring places shards by it.
    pub node: NodeId,
    /// The scheduler's cluster port.
    pub scheduler: String,
    pub secret: ClusterSecret,
    pub store: StoreRoot,
    pub listen: SocketAddr,
    pub http: SocketAddr,
    /// What others are told to dial, where it differs from the port that is open.
    pub advertise: Option<String>,
    /// Pipelines of one task that run at a time.
    pub threads: usize,
    pub memory_limit: usize,
    /// Where operators spill, and shuffle files and caches lie.
    pub work_dir: PathBuf,
    /// Bytes on disk for states of fragments; 0 keeps them in memory alone.
    pub fragment_cache_disk: usize,
    /// Bytes in memory and on disk for data of object stores; 0 in memory keeps none.
    pub data_cache_memory: usize,
    pub data_cache_disk: usize,
}

/// Where an executor is, once the scheduler knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub node: NodeId,
    pub url: String,
    pub http: String,
}

/// Runs an executor until `shutdown`, and tells `joined` once the scheduler has heard of it.
pub async fn run(
    options: Options,
    joined: oneshot::Sender<Joined>,
    shutdown: CancellationToken,
) -> Result<()> {
    let resources = Resources {
        memory_limit: options.memory_limit,
        spill_dir: options.work_dir.join("spill"),
        threads: options.threads,
    };
    let runtime = session::runtime(&options.store, &resources)?;
    let channels = Channels::new(options.secret.clone());
    let bound = net::bind(options.listen).await?;
    // Health is told however busy the tasks keep the threads that are there.
    let fronts = Threads::start("front", 1)?;
    let http = fronts.run(net::bind(options.http)).await?;
    let url = options.advertise.clone().unwrap_or_else(|| bound.url());

    let caches = Caches::open(CacheOptions {
        folder: options.work_dir.join("caches"),
        store: options.store.url().to_string(),
        fragments_memory: options.memory_limit / FRAGMENTS_PART,
        fragments_disk: options.fragment_cache_disk,
        blocks_memory: options.data_cache_memory,
        blocks_disk: options.data_cache_disk,
    });
    let caches = Arc::new(caches.await);
    let worker = worker::worker(
        Arc::clone(&runtime),
        channels,
        Arc::clone(&caches),
        options.threads,
    );
    let incarnation = rand::random();
    let identity = Identity {
        node: options.node.clone(),
        incarnation,
        url: url.clone(),
        threads: options.threads,
    };
    let shuffle_dir = options.work_dir.join("shuffle");
    let staged = StagedExecutor::new(
        identity,
        Arc::clone(&runtime),
        Arc::clone(&caches.blocks),
        options.secret.clone(),
        shuffle_dir,
    )?;
    let routes = Routes::new(net::members_only(
        worker.into_worker_server(),
        options.secret.clone(),
    ))
    .add_service(net::members_only(staged.service(), options.secret.clone()));

    let ready = Readiness::default();
    let place = Joined {
        node: options.node.clone(),
        url: url.clone(),
        http: http.url(),
    };
    let heart = Heart {
        node: options.node,
        incarnation,
        url,
        http: http.url(),
        threads: options.threads,
        scheduler: options.scheduler.clone(),
        secret: options.secret,
        memory: Arc::clone(&runtime.memory_pool),
        memory_limit: options.memory_limit,
        ready: ready.clone(),
        caches: Arc::clone(&caches),
    };
    let (heard, hears) = oneshot::channel();
    let heartbeats = heartbeat::start(heart, heard, shutdown.clone())?;
    let serving = net::serve_grpc(bound, routes, shutdown.clone());
    let health = net::serve_http(http, net::health_router(ready.clone()), shutdown.clone());
    let health = fronts.run(health);
    let working = async {
        // The sender is dropped only when the process ends anyway.
        if let Ok(answer) = hears.await {
            answer?;
            joined.send(place).ok();
            staged.run(options.scheduler, shutdown.clone()).await;
        }
        Ok(())
    };
    let outcome = tokio::try_join!(serving, health, working).map(drop);
    ready.set(false);
    // The goodbye is sent while streams drain; it is over by now or will not be.
    shutdown.cancel();
    caches.close().await;
    if let Err(panic) = tokio::task::spawn_blocking(move || heartbeats.join()).await {
        tracing::warn!(%panic, "the heartbeat thread could not be joined");
    }
    outcome
}
