//! What a statement is planned against.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use watershed_core::error::{Error, Position, Result};
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
    /// The object that a name of the statement means. One that its reader may not know of is as one that is not there, and no
    /// error names it. What a view reads is the view's affair.
    pub(super) fn resolve(&self, name: &ObjectName, schema: &str) -> Result<Object> {
        let sees = |object: &Object| self.access.sees(object);
        if self.noted.is_none() {
            return self.catalog.resolve_among(name, schema, sees);
        }
        self.check_schema(name.schema_or(schema), name.position)?;
        match self.catalog.find(name, schema).filter(|object| sees(object)) {
            Some(object) => Ok(object.clone()),
            None => {
                let error = self.catalog.unknown(name, name.schema_or(schema), sees);
                Err(self.or_hidden(error))
            }
        }
    }

    /// An error unless the schema is there, and may be known of.
    pub(super) fn check_schema(&self, schema: &str, position: Option<Position>) -> Result<()> {
        self.access.check_schema(&self.catalog, schema, position)
    }

    fn or_hidden(&self, error: Error) -> Error {
        self.access.or_hidden(error)
    }

    pub(super) fn note(&self, need: Need) {
        if let Some(noted) = self.noted {
            noted.note(need);
        }
    }
}
