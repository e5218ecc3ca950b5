//! Objects of one session: they end with it, and no record tells of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::layout::TableLayout;

use super::model::{Catalog, TEMPORARY_SCHEMA};
use super::object::{Object, ObjectName};
use super::op::{Decision, Op};
use super::record::Change;

/// More objects than this a session does not get.
const OBJECTS_MAX: usize = 1_000;

/// A session's own tables and views, by name.
#[derive(Debug, Clone, Default)]
pub struct Temporary {
    objects: BTreeMap<String, Object>,
}

impl Temporary {
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The catalog as the session sees it.
    pub fn over(&self, catalog: Arc<Catalog>) -> Arc<Catalog> {
        if self.objects.is_empty() {
            return catalog;
        }
        Arc::new(catalog.with_temporary(self.objects.clone()))
    }

    /// Does what an operation asks of the session's own objects, and gives what the client is told
    /// besides. `None` if the operation is about other objects. It is checked before anything changes.
    pub fn apply(&mut self, op: &Op, catalog: Arc<Catalog>) -> Result<Option<Applied>> {
        let catalog = catalog.without_temporary().with_temporary(self.objects.clone());
        if !op.is_temporary(&catalog) {
            return Ok(None);
        }
        let (changes, notice) = match op.decide(&catalog)? {
            Decision::Nothing { notice } => (Vec::new(), Some(notice)),
            Decision::Change { changes, notice } => (changes, notice),
        };
        let mut objects = self.objects.clone();
        for change in changes {
            match change {
                Change::TableCreated(def) | Change::TableAltered(def) => {
                    objects.insert(def.name.clone(), Object::Table(Arc::new(def)));
                }
                Change::ViewCreated(def) => {
                    objects.insert(def.name.clone(), Object::View(Arc::new(def)));
                }
                Change::ObjectDropped { name, .. } => {
                    objects.remove(&name);
                }
                other => {
                    return Err(Error::internal(format!(
                        "nothing a session has of its own: {other:?}"
                    )));
                }
            }
        }
        if objects.len() > OBJECTS_MAX {
            return Err(Error::new(
                SqlState::InsufficientResources,
                format!("a session has at most {OBJECTS_MAX} temporary objects"),
            )
            .with_hint("Drop some of them."));
        }
        let before = std::mem::replace(&mut self.objects, objects);
        let kept: Vec<_> = tables(&self.objects).map(|layout| layout.id).collect();
        let unused = tables(&before).filter(|layout| !kept.contains(&layout.id));
        Ok(Some(Applied {
            notice,
            unused: unused.cloned().collect(),
        }))
    }

    /// The layouts of the session's tables.
    pub fn tables(&self) -> impl Iterator<Item = &TableLayout> {
        tables(&self.objects)
    }
}

/// What came of an operation.
#[derive(Debug)]
pub struct Applied {
    pub notice: Option<String>,
    /// Tables whose rows nobody reaches any more.
    pub unused: Vec<TableLayout>,
}

fn tables(objects: &BTreeMap<String, Object>) -> impl Iterator<Item = &TableLayout> {
    objects.values().filter_map(|object| match object {
        Object::Table(def) => Some(&*def.layout),
        Object::External(_) | Object::View(_) | Object::Live(_) => None,
    })
}

impl Op {
    /// Whether it is about a session's own objects, those of `catalog`.
    fn is_temporary(&self, catalog: &Catalog) -> bool {
        let named = |name: &ObjectName, schema: &str| match catalog.find(name, schema) {
            Some(object) => object.schema() == TEMPORARY_SCHEMA,
            None => name.schema_or(schema) == TEMPORARY_SCHEMA,
        };
        match self {
            Self::CreateTable { schema, .. } => schema == TEMPORARY_SCHEMA,
            Self::CreateView { def, .. } => def.schema == TEMPORARY_SCHEMA,
            Self::DropTable { schema, name, .. }
            | Self::DropView { schema, name, .. }
            | Self::AlterTable { schema, name, .. } => named(name, schema),
            Self::CreateExternal { .. }
            | Self::CreateSchema { .. }
            | Self::DropSchema { .. }
            | Self::Principal(_)
            | Self::Cache(_) => false,
        }
    }
}
