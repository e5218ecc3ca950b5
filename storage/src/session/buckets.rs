//! The buckets that a process knows: those it was told of, and those that plans name.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use object_store::ObjectStore;
use url::Url;
use watershed_core::store::open_bucket;

use crate::error::into_datafusion;

/// Opens a bucket when a plan first names it, so that every process can run every fragment.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    known: DefaultObjectStoreRegistry,
}

impl ObjectStoreRegistry for Buckets {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.known.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.known.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if let Ok(store) = self.known.get_store(url) {
            return Ok(store);
        }
        let (store, _) = open_bucket(url).map_err(into_datafusion)?;
        self.known.register_store(url, Arc::clone(&store));
        Ok(store)
    }
}
