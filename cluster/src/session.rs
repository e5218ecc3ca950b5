//! Sessions on both ends of a distributed plan. A worker starts from defaults and is told only what
//! travels in a request's headers, so the scheduler writes a statement's settings there and the
//! worker builds the same session from them.

use std::str::FromStr;
use std::sync::Arc;

use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigExtension;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use datafusion_distributed::{
    DistributedConfig, DistributedExt, WorkerPlanRewriteEvent, WorkerPlanRewriteEventResponse,
    WorkerQueryContext, WorkerResolver,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use watershed_storage::blocks::with_blocks;
use watershed_storage::cache::Caches;
use watershed_storage::codec::WatershedCodec;
use watershed_storage::session::{self, StatementOptions};

use crate::{Channels, yielding_for_others};

/// Bytes that one connection may have received and not yet handed on.
const CONNECTION_BUFFER_BYTES: usize = 8 << 20;

/// Makes a session's plans run on the workers that `workers` names.
pub fn distribute(
    config: SessionConfig,
    options: StatementOptions,
    channels: Channels,
    workers: impl WorkerResolver + 'static,
) -> Result<SessionConfig> {
    with_peers(options.limit_rows(config), channels)?
        .with_distributed_worker_resolver(workers)
        .with_distributed_metrics_collection(true)
        .map(|config| config.with_distributed_option_extension(options))
}

/// Builds the session in which a worker runs one task: the scheduler's, with this process's
/// resources.
pub fn worker_state(
    mut context: WorkerQueryContext,
    runtime: Arc<RuntimeEnv>,
    channels: Channels,
    caches: Arc<Caches>,
    threads: usize,
) -> Result<SessionState> {
    let config = context.builder.config().take().unwrap_or_default();
    let config =
        config.with_distributed_option_extension_from_headers::<StatementOptions>(&context.headers)?;
    let settings = session::statement_settings(&config)?;
    let wanted = StatementOptions::of(config.options()).limit_rows(session::config(&settings, threads));
    let config = with_options_of(config, &wanted);
    let (resources, blocks) = (Arc::clone(&runtime), Arc::clone(&caches.blocks));
    let rewrite = move |event: WorkerPlanRewriteEvent<'_>| {
        let plan = with_blocks(event.plan, &resources, &blocks)?;
        yielding_for_others(plan).map(WorkerPlanRewriteEventResponse::new)
    };
    let config = with_peers(config, channels)?.with_distributed_worker_plan_rewrite_handler(rewrite);
    let config = config.with_extension(Arc::clone(&caches.fragments));
    let builder: SessionStateBuilder = session::state(config, runtime);
    Ok(builder.build())
}

/// `config` with DataFusion's options of `wanted`; extensions, which datafusion-distributed keeps its
/// own state in, stay.
fn with_options_of(mut config: SessionConfig, wanted: &SessionConfig) -> SessionConfig {
    let mut options = wanted.options().as_ref().clone();
    std::mem::swap(&mut options.extensions, &mut config.options_mut().extensions);
    *config.options_mut() = options;
    config
}

fn with_peers(config: SessionConfig, channels: Channels) -> Result<SessionConfig> {
    config
        .with_distributed_user_codec(WatershedCodec)
        .with_distributed_channel_resolver(channels)
        // Partial aggregates stay where aggregation meets the scan.
        .with_distributed_partial_reduce(false)?
        .with_distributed_worker_connection_buffer_budget_bytes(CONNECTION_BUFFER_BYTES)?
        .with_distributed_compression(None)
}

/// What datafusion-distributed calls the headers that carry configuration. Private there; a worker of
/// the same version reads them.
const CONFIG_HEADER_PREFIX: &str = "x-datafusion-distributed-config-";

/// The headers that tell a worker what [`distribute`] put into `config`.
pub fn headers(config: &SessionConfig) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (prefix, extension) in config.options().extensions.iter() {
        if prefix != DistributedConfig::PREFIX && prefix != StatementOptions::PREFIX {
            continue;
        }
        for entry in extension.entries() {
            let Some(value) = entry.value else { continue };
            let name = format!("{CONFIG_HEADER_PREFIX}{prefix}.{}", entry.key);
            let (Ok(name), Ok(value)) = (HeaderName::from_str(&name), HeaderValue::from_str(&value)) else {
                return internal_err!("the option {prefix}.{} does not fit a header", entry.key);
            };
            headers.insert(name, value);
        }
    }
    Ok(headers)
}
