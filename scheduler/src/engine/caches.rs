//! What the catalog says about caches, done by this scheduler and told to its executors.

use std::sync::Arc;

use watershed_core::Result;
use watershed_core::cluster::Invalidated;
use watershed_sql::catalog::{self, CacheLayer, Catalog, Since};

use super::Engine;
use crate::cache::{Layer, Layers, Limits};
use crate::cluster::Forgetting;

impl Engine {
    /// The newest catalog. Caches have forgotten by then what it says that they were asked to.
    pub async fn newest_catalog(&self) -> Result<Arc<Catalog>> {
        let catalog = self.parts().catalog.refresh().await?;
        self.follow(&catalog).await?;
        Ok(catalog)
    }

    /// Brings this scheduler's caches to what a version of the catalog says of them.
    pub async fn follow(&self, catalog: &Catalog) -> Result<()> {
        let parts = self.parts();
        if parts.catalog.current().version <= catalog.version {
            parts.cache.configure(layers(catalog.cache_layers()));
        }
        if let Some(pending) = parts.confirmations.pending(catalog.invalidations()).await {
            for key in pending.keys() {
                parts.cache.invalidate(key).await?;
            }
            pending.done();
            self.settle_invalidations();
        }
        Ok(())
    }

    /// Notes which invalidations have been done by all.
    pub fn settle_invalidations(&self) {
        let members = self.parts().membership.current();
        let executors = members.executors.values();
        self.parts()
            .confirmations
            .settle(executors.map(|executor| executor.invalidated));
    }
}

/// The rows of `cache_layers` as limits.
fn layers(on: &[CacheLayer]) -> Layers {
    let mut layers = Layers {
        local: None,
        distributed: None,
        edge: None,
        targets: [None; 3],
    };
    for layer in on {
        let limits = layer.max_bytes().map(|max_bytes| Limits {
            ttl: layer.ttl(),
            max_bytes,
        });
        let place = match layer.layer {
            catalog::Layer::Local => {
                layers.local = limits;
                Layer::Local
            }
            catalog::Layer::Distributed => {
                layers.distributed = limits;
                Layer::Distributed
            }
            catalog::Layer::Edge => {
                layers.edge = Some(layer.ttl());
                Layer::Edge
            }
        };
        layers.targets[place as usize] = layer.hit_rate_target;
    }
    layers
}

impl Forgetting for Engine {
    fn since(&self, sequence: Option<u64>) -> Invalidated {
        let catalog = self.parts().catalog.current();
        let asked = catalog.invalidations();
        let keys = match sequence.map(|sequence| asked.since(sequence)) {
            Some(Since::These(these)) => these.iter().map(|one| one.def.key.clone()).collect(),
            // Who has not heard of any may have missed some.
            None if asked.last() == 0 => Vec::new(),
            Some(Since::Everything(_)) | None => vec!["*".to_owned()],
        };
        Invalidated {
            last: asked.last(),
            keys,
        }
    }

    fn heard(&self) {
        self.settle_invalidations();
    }
}
