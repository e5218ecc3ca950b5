//! The folder that a process works in: caches on disk, shuffles, spills.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use watershed_core::{Error, Result, SqlState};

/// What the names of temporary folders begin with.
const PREFIX: &str = "watershed-work-";
/// The file that a process locks as long as it uses its folder.
const LOCK: &str = "lock";

/// A folder to work in. A temporary one is removed at the end, or by the next process that starts if this one was
/// killed.
pub(super) enum WorkDir {
    Given(PathBuf),
    Temporary { folder: tempfile::TempDir, _lock: File },
}

impl WorkDir {
    pub(super) fn open(given: Option<&PathBuf>) -> Result<Self> {
        match given {
            Some(path) => Ok(Self::Given(path.clone())),
            None => Self::temporary(&std::env::temp_dir()).map_err(|error| {
                Error::new(SqlState::IoError, "cannot create a folder to work in")
                    .with_detail(error.to_string())
            }),
        }
    }

    fn temporary(parent: &Path) -> std::io::Result<Self> {
        remove_abandoned(parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Locked before it has its name: others take a folder whose lock they get for abandoned.
        let unnamed = folder.path().join("unnamed");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        fs::rename(&unnamed, folder.path().join(LOCK))?;
        Ok(Self::Temporary { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary { folder, .. } => folder.path(),
        }
    }
}

/// Removes the folders of processes that were killed: those whose lock nobody holds. One that cannot be removed, such
/// as another user's, stays.
fn remove_abandoned(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let Ok(lock) = File::open(path.join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(&path)
        {
            tracing::warn!(path = %path.display(), %error, "an abandoned folder cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_killed_processes_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let lives = WorkDir::temporary(parent.path()).unwrap();
        let killed = parent.path().join(format!("{PREFIX}killed"));
        fs::create_dir_all(killed.join("executor-1/caches")).unwrap();
        File::create(killed.join(LOCK)).unwrap();
        let foreign = parent.path().join("watershed-other");
        fs::create_dir(&foreign).unwrap();
        File::create(foreign.join(LOCK)).unwrap();
        let next = WorkDir::temporary(parent.path()).unwrap();
        assert!(!killed.exists());
        assert!(lives.path().exists() && next.path().exists() && foreign.exists());
        let path = lives.path().to_owned();
        drop(lives);
        assert!(!path.exists());
    }
}
