//! A scheduler's life from its first port to its last: all wiring, top to bottom.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use watershed_cluster::Channels;
use watershed_core::clock::SystemClock;
use watershed_core::net::{self, ClusterSecret, MAX_MESSAGE_BYTES, Readiness, ServerTls};
use watershed_core::store::StoreRoot;
use watershed_core::threads::{Threads, ended};
use watershed_core::{Error, Result, SqlState};
use watershed_sql::catalog::CatalogStore;
use watershed_storage::cache::Caches;
use watershed_storage::delta::DeltaStore;
use watershed_storage::session::{self, Resources};

use crate::auth::{Logins, Policy};
use crate::cache::{Confirmations, ResultCache};
use crate::cluster::{ControlService, Membership};
use crate::dispatch::Dispatch;
use crate::dispatch::staged::Staged;
use crate::edge;
use crate::engine::{Admission, Engine, Parts, Queries, Sessions};
use crate::flight;
use crate::system::ServiceRegistry;

/// Statements that end by themselves may take this long after a shutdown was asked for.
const DRAIN: Duration = Duration::from_secs(5);

/// How often what clients have left behind is looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How often cached answers are looked at for their age.
const CACHE_SWEEP_INTERVAL: Duration = Duration::from_millis(500);
/// After how many such rounds those on the store are listed.
const STORE_ROUNDS: u64 = 10;
/// Bytes of memory for what small queries, which run in this process, have read, and made of it.
const BLOCKS_MEMORY: usize = 64 << 20;
const FRAGMENTS_MEMORY: usize = 64 << 20;
/// How often the files of the certificate are looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(3);

/// How a scheduler runs.
#[derive(Debug, Clone)]
pub struct Options {
    pub store: StoreRoot,
    pub secret: ClusterSecret,
    pub flight: SocketAddr,
    pub http: SocketAddr,
    pub cluster: SocketAddr,
    /// What the ports for clients, Flight SQL and HTTP, prove themselves with; without it they are plain.
    pub tls: Option<ServerTls>,
    pub threads: usize,
    pub memory_limit: usize,
    pub work_dir: PathBuf,
    /// Statements that run at a time, and that wait for it.
    pub max_running: usize,
    pub max_waiting: usize,
    /// Whom it lets in.
    pub login: Policy,
    /// Sessions and prepared statements that nobody uses for so long end.
    pub idle_timeout: Duration,
    /// Statements whose clients neither take rows nor send them for so long end.
    pub stall_timeout: Duration,
    /// Bytes of the files of one session's temporary tables.
    pub temporary_limit: u64,
}

/// A scheduler that is up.
pub struct Scheduler {
    pub flight_url: String,
    pub http_url: String,
    pub cluster_url: String,
    pub membership: Arc<Membership>,
    ready: Readiness,
    engine: Engine,
    shutdown: CancellationToken,
    serving: JoinSet<Result<()>>,
    _threads: [Threads; 2],
}

/// Starts a scheduler: when this returns, its ports are open and its catalog is there.
pub async fn start(options: Options) -> Result<Scheduler> {
    let shutdown = CancellationToken::new();
    let clock = SystemClock::shared();
    let resources = Resources {
        memory_limit: options.memory_limit,
        spill_dir: options.work_dir.join("spill"),
        threads: options.threads,
    };
    let runtime = session::runtime(&options.store, &resources)?;
    let membership = Arc::new(Membership::new(Arc::clone(&clock)));
    let channels = Channels::new(options.secret.clone());
    let staged = Staged::start(
        Arc::clone(&membership),
        channels.clone(),
        Arc::clone(&runtime),
        Arc::clone(&clock),
    )
    .await?;
    let caches = Arc::new(Caches::in_memory(FRAGMENTS_MEMORY, BLOCKS_MEMORY).await);
    let dispatch = Dispatch::new(
        Arc::clone(&membership),
        channels,
        Arc::clone(&runtime),
        staged.clone(),
        Arc::clone(&caches),
        options.threads,
    );
    // Clients are served, and heartbeats heard, however busy the statements keep the threads that are there.
    let statements = Handle::current();
    let fronts = Threads::start("front", options.threads.max(2))?;
    let hearing = Threads::start("cluster", 1)?;
    let flight = fronts
        .run(net::bind(options.flight))
        .await?
        .with_tls(options.tls.clone());
    let http = fronts
        .run(net::bind(options.http))
        .await?
        .with_tls(options.tls.clone());
    let cluster = hearing.run(net::bind(options.cluster)).await?;
    let (flight_url, http_url, cluster_url) = (flight.url(), http.url(), cluster.url());

    let catalog = CatalogStore::open(&options.store).await?;
    let logins = Logins::start(options.login, &catalog.current(), Arc::clone(&clock)).await?;
    let confirmations = Confirmations::new(Arc::clone(&clock), catalog.current().invalidations());
    let engine = Engine::start(Parts {
        catalog,
        logins,
        delta: DeltaStore::new(options.store.clone()),
        cache: ResultCache::new(&options.store, Arc::clone(&clock)),
        root: options.store,
        runtime,
        membership: Arc::clone(&membership),
        dispatch,
        sessions: Sessions::new(Arc::clone(&clock), options.idle_timeout),
        admission: Arc::new(Admission::new(options.max_running, options.max_waiting)),
        stall_timeout: options.stall_timeout,
        temporary_limit: options.temporary_limit,
        queries: Queries::new(Arc::clone(&clock)),
        services: ServiceRegistry::default(),
        confirmations,
        statements,
        flight_url: flight_url.clone(),
        clock: Arc::clone(&clock),
    })
    .await?;

    let ready = Readiness::default();
    let mut serving = JoinSet::new();
    let kept = flight::Options::idle_for(options.idle_timeout);
    let front = flight::Front::over(Arc::new(engine.clone()), clock, kept)?;
    let served = net::serve_grpc(flight, Routes::new(front.server()), shutdown.clone());
    serving.spawn(fronts.run(served));
    serving.spawn(sweep(engine.clone(), front, shutdown.clone()));
    serving.spawn(sweep_cache(
        engine.parts().cache.clone(),
        caches,
        shutdown.clone(),
    ));
    if let Some(tls) = options.tls {
        let watching = tls.watch(CERTIFICATE_INTERVAL, shutdown.clone());
        serving.spawn(async move {
            watching.await;
            Ok(())
        });
    }
    let routes = net::health_router(ready.clone()).merge(edge::router(engine.clone(), options.http.ip()));
    serving.spawn(fronts.run(net::serve_http(http, routes, shutdown.clone())));
    let control = FlightServiceServer::new(ControlService::new(
        Arc::clone(&membership),
        Arc::new(engine.clone()),
    ))
    .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let control = Routes::new(net::members_only(control, options.secret.clone()))
        .add_service(net::members_only(staged.service(), options.secret));
    serving.spawn(hearing.run(net::serve_grpc(cluster, control, shutdown.clone())));
    let waking = staged.wake_executors(shutdown.clone());
    serving.spawn(async move {
        waking.await;
        Ok(())
    });
    let watching = Arc::clone(&membership).watch(shutdown.clone());
    serving.spawn(hearing.run(async move {
        watching.await;
        Ok(())
    }));
    Ok(Scheduler {
        flight_url,
        http_url,
        cluster_url,
        membership,
        ready,
        engine,
        shutdown,
        serving,
        _threads: [hearing, fronts],
    })
}

/// Lets go of what clients have left behind, now and then.
async fn sweep(engine: Engine, front: flight::Front, shutdown: CancellationToken) -> Result<()> {
    while shutdown
        .run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL))
        .await
        .is_some()
    {
        front.sweep();
        engine.sweep().await;
    }
    Ok(())
}

/// Removes answers that are too old or too much, and has the metrics show what the other caches hold.
async fn sweep_cache(cache: ResultCache, caches: Arc<Caches>, shutdown: CancellationToken) -> Result<()> {
    let mut rounds = 0_u64;
    loop {
        if rounds.is_multiple_of(STORE_ROUNDS) {
            cache.sweep_store().await;
        }
        rounds += 1;
        cache.sweep();
        caches.show();
        let pause = tokio::time::sleep(CACHE_SWEEP_INTERVAL);
        if shutdown.run_until_cancelled(pause).await.is_none() {
            return Ok(());
        }
    }
}

impl Scheduler {
    /// Waits until so many executors have joined.
    pub async fn wait_for_executors(&self, count: usize, timeout: Duration) -> Result<()> {
        let mut changes = self.membership.subscribe();
        let enough = changes.wait_for(|members| members.executors.len() >= count);
        match tokio::time::timeout(timeout, enough).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::new(
                SqlState::CannotConnectNow,
                format!(
                    "{} of {count} executors joined in time",
                    self.membership.current().executors.len()
                ),
            )
            .with_hint("Look at what the executors logged.")),
        }
    }

    /// Says on `/readyz` that queries are answered.
    pub fn set_ready(&self) {
        self.ready.set(true);
    }

    /// Serves until `stop`, then lets running statements end for a while and cancels the rest.
    pub async fn serve(mut self, stop: impl Future<Output = ()>) -> Result<()> {
        let failed = tokio::select! {
            ended = self.serving.join_next() => ended,
            () = stop => None,
        };
        self.ready.set(false);
        let queries = &self.engine.parts().queries;
        let drained = async {
            while queries.running() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            queries.cancel_all();
        }
        self.shutdown.cancel();
        let mut outcome = failed.map_or(Ok(()), ended);
        while let Some(joined) = self.serving.join_next().await {
            outcome = outcome.and(ended(joined));
        }
        outcome
    }
}
