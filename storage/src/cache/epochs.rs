//! What was invalidated, as numbers that are part of the keys of caches: after an invalidation keys are
//! others, and what was made before it, or is being made, is not found again.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

/// Folders with a number of their own. When there are more, all get a new one.
const MAX_FOLDERS: usize = 100;

/// The numbers. They only grow.
#[derive(Debug, Default)]
pub(crate) struct Epochs(RwLock<Numbers>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbers {
    newest: u64,
    everything: u64,
    folders: BTreeMap<String, u64>,
    heard: Option<u64>,
}

impl Epochs {
    pub(super) fn new(numbers: Numbers) -> Self {
        Self(RwLock::new(numbers))
    }

    pub(super) fn numbers(&self) -> Numbers {
        self.0.read().clone()
    }

    /// The number of the file of that path within its bucket.
    pub(crate) fn of(&self, path: &str) -> u64 {
        let numbers = self.0.read();
        let folders = numbers
            .folders
            .iter()
            .filter(|(folder, _)| path.contains(*folder));
        folders
            .map(|(_, number)| *number)
            .fold(numbers.everything, u64::max)
    }

    pub(super) fn heard(&self) -> Option<u64> {
        self.0.read().heard
    }

    pub(super) fn hear(&self, last: u64) {
        self.0.write().heard = Some(last);
    }

    pub(crate) fn forget(&self, folders: &[String], everything: bool) {
        let mut numbers = self.0.write();
        if folders.is_empty() && !everything {
            return;
        }
        numbers.newest += 1;
        let newest = numbers.newest;
        numbers
            .folders
            .extend(folders.iter().map(|folder| (folder.clone(), newest)));
        if everything || numbers.folders.len() > MAX_FOLDERS {
            numbers.everything = newest;
            numbers.folders.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_change_where_something_was_invalidated() {
        let epochs = Epochs::default();
        let (a, b) = ("root/tables/a/1.parquet", "root/tables/b/1.parquet");
        let now = || (epochs.of(a), epochs.of(b));
        assert_eq!(now(), (0, 0));
        epochs.forget(&[], false);
        assert_eq!(now(), (0, 0));
        epochs.forget(&["tables/a".to_owned()], false);
        assert_eq!(now(), (1, 0));
        epochs.forget(&["tables/b".to_owned()], false);
        assert_eq!(now(), (1, 2));
        epochs.forget(&[], true);
        assert_eq!(now(), (3, 3));
        epochs.forget(&["tables/a".to_owned()], false);
        assert_eq!(now(), (4, 3));
        // More folders than are kept: everything is another, and none is what it was.
        let many: Vec<String> = (0..MAX_FOLDERS).map(|n| format!("tables/many{n}")).collect();
        epochs.forget(&many, false);
        assert_eq!(now(), (5, 5));
    }
}
