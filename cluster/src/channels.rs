//! Open connections to the workers of a cluster, one per worker.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result};
use datafusion_distributed::{ChannelResolver, WorkerChannel, grpc::create_worker_client};
use tokio::sync::Mutex;
use url::Url;
use watershed_core::net::{ClusterSecret, MemberChannel, dial};

/// More workers than any cluster has; beyond it connections are made anew.
const MAX_CHANNELS: usize = 4096;

/// A pool of connections. Clones share it.
#[derive(Debug, Clone)]
pub struct Channels {
    secret: ClusterSecret,
    open: Arc<Mutex<HashMap<String, MemberChannel>>>,
}

impl Channels {
    pub fn new(secret: ClusterSecret) -> Self {
        Self {
            secret,
            open: Arc::default(),
        }
    }

    /// The connection to `url`. One that broke is dialled again when it is next used.
    pub async fn get(&self, url: &str) -> watershed_core::Result<MemberChannel> {
        if let Some(channel) = self.open.lock().await.get(url) {
            return Ok(channel.clone());
        }
        // Dialled without the lock: a peer that does not answer holds up nobody else.
        let channel = dial(url, &self.secret).await?;
        let mut open = self.open.lock().await;
        if open.len() >= MAX_CHANNELS {
            open.clear();
        }
        Ok(open.entry(url.to_owned()).or_insert(channel).clone())
    }

    /// Forgets a connection, as its peer is gone.
    pub async fn forget(&self, url: &str) {
        self.open.lock().await.remove(url);
    }
}

#[async_trait]
impl ChannelResolver for Channels {
    async fn get_worker_client_for_url(&self, url: &Url) -> Result<Box<dyn WorkerChannel>, DataFusionError> {
        // A `Url` ends in a slash, an address does not.
        let address = url.as_str().trim_end_matches('/');
        let channel = self
            .get(address)
            .await
            .map_err(watershed_storage::error::into_datafusion)?;
        Ok(create_worker_client(channel))
    }
}
