//! What the catalog says about caches, done by this scheduler and told to its executors.

use std::sync::Arc;

use watershed_core::Result;
use watershed_core::cluster::Invalidated;
use watershed_sql::catalog::{CacheLayer, Catalog, EVERYTHING, Object};

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
        parts.cache.learn_invalidations(catalog.invalidations());
        if let Some(pending) = parts.confirmations.pending(catalog.invalidations()).await {
            parts.cache.invalidate(pending.keys()).await?;
            parts.dispatch.forget();
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
        match layer.layer {
            Layer::Local => layers.local = limits,
            Layer::Distributed => layers.distributed = limits,
            Layer::Edge => layers.edge = Some(layer.ttl()),
        }
        layers.targets[layer.layer as usize] = layer.hit_rate_target;
    }
    layers
}

/// The folders of the tables that a key names; `None` if it may name others' files, too.
fn folders(catalog: &Catalog, key: &str) -> Option<Vec<String>> {
    let named = |object: &&Object| {
        let name = format!("{}.{}", object.schema(), object.name());
        match key.strip_suffix('*') {
            Some(prefix) => name.to_lowercase().starts_with(&prefix.to_lowercase()),
            None => name == key,
        }
    };
    if key == EVERYTHING {
        return None;
    }
    let mut folders = Vec::new();
    for object in catalog.all_objects().filter(named) {
        match object {
            Object::Table(table) => folders.push(table.layout.folder()),
            // Executors know neither views nor the names that external tables' places have here.
            Object::View(_) | Object::External(_) => return None,
            Object::Live(_) => {}
        }
    }
    Some(folders)
}

impl Forgetting for Engine {
    fn since(&self, sequence: Option<u64>) -> Invalidated {
        let catalog = self.parts().catalog.current();
        let asked = catalog.invalidations();
        let keys = match sequence {
            Some(sequence) => asked.keys_since(sequence),
            // Who has not heard of any may have missed some.
            None if asked.last() == 0 => Vec::new(),
            None => vec![EVERYTHING.to_owned()],
        };
        let folders: Option<Vec<_>> = keys.iter().map(|key| folders(&catalog, key)).collect();
        Invalidated {
            last: asked.last(),
            everything: folders.is_none(),
            folders: folders.unwrap_or_default().concat(),
        }
    }

    fn heard(&self) {
        self.settle_invalidations();
    }
}

#[cfg(test)]
mod tests {
    use watershed_core::store::StoreRoot;
    use watershed_sql::catalog::CatalogStore;

    use super::*;

    #[tokio::test]
    async fn keys_become_folders() {
        let folder = tempfile::tempdir().unwrap();
        let root = StoreRoot::open(folder.path().to_str().unwrap()).unwrap();
        let store = CatalogStore::open(&root).await.unwrap();
        let catalog = store.current();
        let of = |name: &str| {
            let table = catalog.tables().find(|table| table.name == name).unwrap();
            table.layout.folder()
        };
        let check = |key: &str, expected: Option<Vec<String>>| {
            assert_eq!(folders(&catalog, key), expected, "{key}");
        };
        check("public.cdn_logs", Some(vec![of("cdn_logs")]));
        check("public.r*", Some(vec![of("raw_events"), of("realtime_metrics")]));
        check("public.cache_layers", Some(Vec::new()));
        check("public.gone", Some(Vec::new()));
        check(&"0f".repeat(32), Some(Vec::new()));
        check("public.unified_metrics", None);
        check("public.*", None);
        check("*", None);
    }

    #[test]
    fn rows_become_limits() {
        let defaults = layers(Catalog::empty().cache_layers());
        assert_eq!(defaults, Layers::default());
        let off = layers(&[]);
        assert_eq!((off.local, off.distributed, off.edge), (None, None, None));
    }
}
