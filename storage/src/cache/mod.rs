//! The caches of an executor: where they lie, how large they get, and how they forget.
//!
//! [`tiers`] is a cache in memory and, below it, on disk; [`folder`] the folder that outlives the process;
//! [`epochs`] what makes that which was invalidated not be found again, in either; [`activity`] counts what
//! they do.

mod activity;
mod epochs;
mod folder;
mod tiers;

use std::path::PathBuf;
use std::sync::Arc;

use watershed_core::Result;
use watershed_core::cluster::{CachesFigures, Invalidated};

use crate::blocks::BlockCache;
use crate::fragment::FragmentCache;

use folder::Folder;

pub(crate) use activity::{Activity, Held};
pub(crate) use epochs::Epochs;
pub(crate) use tiers::{Disk, Key, Tiers};

/// How large caches may get, in bytes. Nothing is kept where that is 0.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// The folder of what is on disk. The next process that has it goes on with it.
    pub folder: PathBuf,
    /// The root of the tables whose files are read: what is on disk is of these.
    pub store: String,
    pub fragments_memory: usize,
    pub fragments_disk: usize,
    pub blocks_memory: usize,
    pub blocks_disk: usize,
}

/// The caches of a process.
#[derive(Debug)]
pub struct Caches {
    pub fragments: Arc<FragmentCache>,
    pub blocks: Arc<BlockCache>,
    epochs: Arc<Epochs>,
    /// None if nothing is on disk.
    folder: Option<Folder>,
}

impl Caches {
    /// Opens them with what an earlier process left. A disk that cannot be used is told, and done without.
    pub async fn open(options: CacheOptions) -> Self {
        let wanted = options.fragments_disk > 0 || options.blocks_disk > 0;
        let (folder, epochs) = match wanted.then(|| Folder::open(&options)).transpose() {
            Ok(Some((folder, epochs))) => (Some(folder), epochs),
            Ok(None) => (None, Epochs::default()),
            Err(error) => {
                tracing::warn!(%error, detail = error.detail(), "caches are kept in memory alone");
                (None, Epochs::default())
            }
        };
        let epochs = Arc::new(epochs);
        let disk = |name: &str, bytes: usize| {
            let folder = folder.as_ref().filter(|_| bytes > 0)?;
            Some(folder.disk(name, bytes))
        };
        let fragments = FragmentCache::open(
            options.fragments_memory,
            disk(folder::FRAGMENTS, options.fragments_disk),
            Arc::clone(&epochs),
        );
        let blocks = BlockCache::new(
            options.blocks_memory,
            disk(folder::BLOCKS, options.blocks_disk),
            Arc::clone(&epochs),
        );
        Self {
            fragments: Arc::new(fragments.await),
            blocks: Arc::new(blocks),
            epochs,
            folder,
        }
    }

    /// In memory alone.
    pub async fn in_memory(fragments: usize, blocks: usize) -> Self {
        let epochs = Arc::default();
        let fragments = FragmentCache::open(fragments, None, Arc::clone(&epochs)).await;
        Self {
            fragments: Arc::new(fragments),
            blocks: Arc::new(BlockCache::new(blocks, None, Arc::clone(&epochs))),
            epochs,
            folder: None,
        }
    }

    /// Up to where these caches, or those that left what they hold, have done what was asked of them.
    pub fn heard(&self) -> Option<u64> {
        self.epochs.heard()
    }

    /// Forgets what was made of files in these tables' folders. Once it is done it stays so, whatever
    /// becomes of this process. It waits for the disk.
    pub fn forget(&self, news: &Invalidated) -> Result<()> {
        if self.heard() == Some(news.last) && news.folders.is_empty() && !news.everything {
            return Ok(());
        }
        match news.everything {
            true => self.forget_all(),
            false => self.epochs.forget(&news.folders, false),
        }
        self.epochs.hear(news.last);
        match &self.folder {
            Some(folder) => folder.note(&self.epochs),
            None => Ok(()),
        }
    }

    /// Forgets everything that is in memory. What is being read now is not kept, either.
    pub fn forget_all(&self) {
        self.epochs.forget(&[], true);
        self.fragments.clear_memory();
        self.blocks.clear_memory();
    }

    /// What they hold and have done.
    pub fn figures(&self) -> CachesFigures {
        CachesFigures {
            fragments: self.fragments.figures(),
            data: self.blocks.figures(),
        }
    }

    /// Has the process's metrics show what they hold; what they do is counted there as it happens.
    pub fn show(&self) {
        let figures = self.figures();
        self.fragments.activity().show(&figures.fragments);
        self.blocks.activity().show(&figures.data);
    }

    /// Looks how much of the disk they take, for those who ask for figures. It waits for the disk.
    pub fn measure(&self) {
        self.fragments.measure();
        self.blocks.measure();
    }

    /// Waits until what is kept is on disk.
    pub async fn close(&self) {
        self.fragments.close().await;
        self.blocks.close().await;
    }
}
