//! What a statement is planned against.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use watershed_core::error::Result;
use watershed_core::settings::Settings;

use super::{Parameters, Scans};
use crate::authorize::{Access, Need, Noted};
use crate::catalog::{Catalog, Object, ObjectName};

/// Where the rows of objects come from. Versions of tables are pinned behind it: one statement sees
/// one version of each.
#[async_trait]
pub trait Tables: Send + Sync {
    /// The rows of a table, an external table or a live table. It is never asked for a view.
    async fn provider(&self, object: &Object) -> Result<Arc<dyn TableProvider>>;
}

/// What a statement is planned against.
#[derive(Clone)]
pub struct PlanContext<'a> {
    pub catalog: Arc<Catalog>,
    pub state: &'a SessionState,
    pub tables: &'a dyn Tables,
    pub current_schema: &'a str,
    pub settings: &'a Settings,
    /// Of whoever asks.
    pub access: &'a Access,
    /// Takes down what the statement itself needs. `None` within views.
    pub noted: Option<&'a Noted>,
    /// What the scans of its plan read.
    pub scans: &'a Scans,
    pub parameters: &'a Parameters,
}

impl PlanContext<'_> {
    /// The object that a name of the statement means. An error names no object that its reader may not know of.
    pub(super) fn resolve(&self, name: &ObjectName, schema: &str) -> Result<Object> {
        self.catalog
            .resolve_among(name, schema, |object| self.access.sees(object))
    }

    pub(super) fn note(&self, need: Need) {
        if let Some(noted) = self.noted {
            noted.note(need);
        }
    }
}
