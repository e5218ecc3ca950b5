//! The folder on disk that caches share. One process has it at a time, and it says of what store it is, in
//! which form, and what was invalidated.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use watershed_core::{Error, Result, SqlState};

use super::CacheOptions;
use super::epochs::{Epochs, Numbers};
use super::tiers::Disk;

/// The caches' own folders.
pub(super) const FRAGMENTS: &str = "fragments";
pub(super) const BLOCKS: &str = "blocks";
const ALL: [&str; 2] = [FRAGMENTS, BLOCKS];

/// The form of what is on disk.
const FORMAT: u32 = 2;
const MARK: &str = "caches.json";
const LOCK: &str = "lock";

/// What stands in the folder beside the caches. Where it differs, they are of no use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    format: u32,
    /// Of the engine: its versions keep states in different forms.
    version: String,
    store: String,
    /// Bytes of each cache. A smaller one would leave files behind.
    sizes: Vec<usize>,
    numbers: Numbers,
}

/// The folder, as long as this process has it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    mark: Mark,
    _lock: File,
}

impl Folder {
    /// Takes the folder. What is there of another store, or in another form, is removed.
    pub(super) fn open(options: &CacheOptions) -> Result<(Self, Epochs)> {
        let path = options.folder.clone();
        std::fs::create_dir_all(&path).map_err(|error| failed(&path, &error))?;
        let file = path.join(LOCK);
        let lock = File::create(&file).map_err(|error| failed(&file, &error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => failed(&path, &"another process uses it"),
            TryLockError::Error(error) => failed(&file, &error),
        })?;
        let mark = Mark {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store: options.store.clone(),
            sizes: vec![options.fragments_disk, options.blocks_disk],
            numbers: Numbers::default(),
        };
        let mut folder = Self {
            path,
            mark,
            _lock: lock,
        };
        if let Some(left) = folder.left() {
            folder.mark.numbers = left.numbers.clone();
            if folder.mark == left {
                return Ok((folder, Epochs::new(left.numbers)));
            }
            folder.mark.numbers = Numbers::default();
        }
        // The mark goes first: without it the next process starts anew, too.
        folder.unmark()?;
        for name in ALL {
            let path = folder.path.join(name);
            match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(&path, &error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let epochs = Epochs::default();
        folder.note(&epochs)?;
        Ok((folder, epochs))
    }

    /// The disk of one of the caches.
    pub(super) fn disk(&self, name: &str, bytes: usize) -> Disk {
        Disk {
            folder: self.path.join(name),
            bytes,
        }
    }

    /// Writes down what was invalidated: all of it or, if that fails, nothing of the caches is left to the
    /// next process.
    pub(super) fn note(&self, epochs: &Epochs) -> Result<()> {
        let mark = Mark {
            numbers: epochs.numbers(),
            ..self.mark.clone()
        };
        let (draft, path) = (self.path.join("caches.tmp"), self.path.join(MARK));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&draft)?;
            file.write_all(&serde_json::to_vec(&mark)?)?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)
        };
        write().or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "what was invalidated cannot be written down");
            self.unmark()
        })
    }

    /// What an earlier process left, as far as it can be read.
    fn left(&self) -> Option<Mark> {
        serde_json::from_slice(&std::fs::read(self.path.join(MARK)).ok()?).ok()
    }

    fn unmark(&self) -> Result<()> {
        let path = self.path.join(MARK);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(&path, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(
        SqlState::IoError,
        format!("the caches' folder cannot be used: {}", path.display()),
    )
    .with_detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path, store: &str) -> CacheOptions {
        CacheOptions {
            folder: folder.to_owned(),
            store: store.to_owned(),
            fragments_memory: 1 << 20,
            fragments_disk: 16 << 20,
            blocks_memory: 0,
            blocks_disk: 0,
        }
    }

    #[test]
    fn what_is_there_is_of_one_store_and_one_process() {
        let temporary = tempfile::tempdir().unwrap();
        let at = temporary.path();
        let kept = at.join(FRAGMENTS).join("something");
        let (folder, epochs) = Folder::open(&options(at, "a")).unwrap();
        std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
        std::fs::write(&kept, "kept").unwrap();
        epochs.forget(&["tables/x".to_owned()], false);
        epochs.hear(7);
        folder.note(&epochs).unwrap();
        // Two processes would write over each other.
        let error = Folder::open(&options(at, "a")).unwrap_err();
        assert_eq!(error.detail(), Some("another process uses it"));
        drop(folder);
        let (folder, epochs) = Folder::open(&options(at, "a")).unwrap();
        assert!(kept.exists());
        assert_eq!((epochs.heard(), epochs.of("tables/x/1")), (Some(7), 1));
        drop(folder);
        let (_folder, epochs) = Folder::open(&options(at, "b")).unwrap();
        assert!(!kept.exists());
        assert_eq!((epochs.heard(), epochs.of("tables/x/1")), (None, 0));
    }

    #[test]
    fn without_a_mark_nothing_is_trusted() {
        let temporary = tempfile::tempdir().unwrap();
        let at = temporary.path();
        let kept = at.join(FRAGMENTS).join("something");
        for mark in ["", "{\"format\":1"] {
            std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
            std::fs::write(&kept, "kept").unwrap();
            std::fs::write(at.join(MARK), mark).unwrap();
            Folder::open(&options(at, "a")).unwrap();
            assert!(!kept.exists(), "{mark:?}");
        }
    }
}
