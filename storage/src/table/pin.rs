//! What the rows of a table are as of: a cached answer names it, and holds for nothing else.

use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;

use super::ShardedTable;
use crate::external::FilesTable;

/// A table at one version, or with one set of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// For people.
    pub table: String,
    /// Which table: never another one's, whatever becomes of the name.
    pub identity: String,
    /// Of a managed table, the version; of others' files, a digest of their paths, sizes and times.
    pub version: String,
    /// Where files lie that nobody pins: what is read later may be other files.
    location: Option<String>,
    /// Whether others keep the table, so that another version may have other columns.
    foreign: bool,
}

impl Pin {
    /// Of the provider of a plan's scan; none where rows are made when they are read.
    pub fn of(provider: &dyn TableProvider) -> Option<Self> {
        if let Some(table) = provider.downcast_ref::<ShardedTable>() {
            return Some(table.pin());
        }
        let files = provider.downcast_ref::<FilesTable>()?;
        let version = files.seen.clone()?;
        Some(Self {
            table: files.name.clone(),
            identity: files.declaration.clone(),
            version,
            location: Some(files.location.clone()),
            foreign: true,
        })
    }

    pub(super) fn managed(table: &str, identity: String, version: String) -> Self {
        Self {
            table: table.to_owned(),
            identity,
            version,
            location: None,
            foreign: false,
        }
    }

    /// Of a version of a Delta table that others keep.
    pub(super) fn foreign(table: &str, identity: String, version: String) -> Self {
        Self {
            foreign: true,
            ..Self::managed(table, identity, version)
        }
    }

    /// Whether other versions of the table may have other columns in the same places.
    pub fn may_change_columns(&self) -> bool {
        self.foreign
    }

    /// Whether what was read between the pinning and now is what was pinned. A version stays as it is;
    /// files in a folder are looked at again.
    pub async fn holds(&self, state: &SessionState) -> bool {
        match &self.location {
            None => true,
            Some(location) => FilesTable::look(location, state).await.as_deref() == Some(&*self.version),
        }
    }
}
