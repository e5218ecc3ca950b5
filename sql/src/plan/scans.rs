//! What the scans of a plan read, and which privilege each of them needs.
//!
//! Privileges follow from the scans that a plan has in the end, and not from the names in its text alone: what a name
//! means is DataFusion's decision, and a scan that nobody has accounted for is an error. Each name gets a source of its
//! own, so that the source tells a scan of a table from one of the same table within a view.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::logical_expr::{LogicalPlan, TableScan, TableSource};
use parking_lot::Mutex;
use watershed_core::error::{Error, Result};
use watershed_storage::error::from_datafusion;

use super::size;
use crate::authorize::Need;
use crate::catalog::{Identity, Object, Privilege, Scope, TEMPORARY_SCHEMA, ViewDef};

/// The sources that a statement's names have become.
#[derive(Default)]
pub struct Scans {
    known: Mutex<HashMap<usize, Known>>,
    personal: AtomicBool,
    /// The nodes of the views that the statement's names have been expanded to.
    expanded: AtomicUsize,
    /// Whether the plan is never run.
    schema_only: bool,
}

#[derive(Clone)]
struct Known {
    /// As long as it lives, no other one has its address.
    _source: Arc<dyn TableSource>,
    /// None where everybody may read it.
    need: Option<Need>,
    object: Option<Read>,
}

/// An object that a plan reads.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) identity: Identity,
}

impl fmt::Debug for Scans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scans({})", self.known.lock().len())
    }
}

impl Scans {
    /// Those of a plan of which only the schema and the privileges are of interest. Tables about the catalog have no rows
    /// in it: to list the columns of views that read them would be to plan these views, and so on.
    pub(super) fn of_schema() -> Self {
        Self {
            schema_only: true,
            ..Self::default()
        }
    }

    pub(super) fn is_of_schema(&self) -> bool {
        self.schema_only
    }

    /// Rows that need no privilege: the statement's own, and those that show what their reader may see.
    pub(super) fn open_to_all(&self, source: &Arc<dyn TableSource>) {
        self.know(source, None, None);
    }

    /// Rows that need one.
    pub(super) fn guarded(&self, source: &Arc<dyn TableSource>, need: Need) {
        self.know(source, Some(need), None);
    }

    /// Rows of an object, which needs to be read with SELECT.
    pub(super) fn of_object(&self, source: &Arc<dyn TableSource>, object: &Object, need: Need) {
        if object.schema() == TEMPORARY_SCHEMA {
            self.depend_on_user();
        }
        let read = Read {
            schema: object.schema().to_owned(),
            name: object.name().to_owned(),
            identity: object.identity(),
        };
        self.know(source, Some(need), Some(read));
    }

    fn know(&self, source: &Arc<dyn TableSource>, need: Option<Need>, object: Option<Read>) {
        let known = Known {
            _source: Arc::clone(source),
            need,
            object,
        };
        self.known.lock().insert(address(source), known);
    }

    /// Counts the plan of a view. Two views that read the same two below them, and so on, are expanded once per path.
    pub(super) fn expand(&self, plan: &LogicalPlan) -> Result<()> {
        let nodes = size::check(plan).map_err(from_datafusion)?;
        let before = self.expanded.fetch_add(nodes, Ordering::Relaxed);
        match before.saturating_add(nodes) > size::VIEWS_LIMIT {
            true => Err(size::too_large()),
            false => Ok(()),
        }
    }

    /// Says that the rows depend on who the user is.
    pub(super) fn depend_on_user(&self) {
        self.personal.store(true, Ordering::Relaxed);
    }

    /// Whether the rows are of one user or session alone, though others may read the same objects.
    pub fn is_personal(&self) -> bool {
        self.personal.load(Ordering::Relaxed)
    }

    /// Says that the plan is that of a view: its scans need what reading the view needs, and no more.
    pub(super) fn within_view(&self, plan: &LogicalPlan, view: &ViewDef) -> Result<()> {
        let need = Need::Privilege(Privilege::Select, Scope::object(&view.schema, &view.name));
        let read = Read {
            schema: view.schema.clone(),
            name: view.name.clone(),
            identity: Identity::View(Arc::new(view.clone())),
        };
        each(plan, |scan| {
            if let Some(known) = self.known.lock().get_mut(&address(&scan.source)) {
                known.need = Some(need.clone());
                known.object = Some(read.clone());
            }
            Ok(())
        })
    }

    /// What reading a plan needs. A scan of a source that is not known here is refused.
    pub(crate) fn needs(&self, plan: &LogicalPlan) -> Result<Vec<Need>> {
        let mut needs: Vec<Need> = Vec::new();
        each(plan, |scan| {
            let need = match self.known.lock().get(&address(&scan.source)) {
                Some(known) => known.need.clone(),
                None if is_of_statement(&scan.source) => None,
                None => {
                    return Err(Error::internal(format!(
                        "the plan reads \"{}\", for which no privilege was checked",
                        scan.table_name
                    )));
                }
            };
            needs.extend(need.filter(|need| !needs.contains(need)));
            Ok(())
        })?;
        Ok(needs)
    }

    /// The objects that a plan reads by itself, not through a view.
    pub(super) fn objects(&self, plan: &LogicalPlan) -> Result<Vec<Read>> {
        let mut objects: Vec<Read> = Vec::new();
        each(plan, |scan| {
            let known = self.known.lock().get(&address(&scan.source)).cloned();
            objects.extend(
                known
                    .and_then(|known| known.object)
                    .filter(|read| !objects.contains(read)),
            );
            Ok(())
        })?;
        Ok(objects)
    }
}

fn address(source: &Arc<dyn TableSource>) -> usize {
    Arc::as_ptr(source).cast::<()>() as usize
}

/// Rows that are in the plan itself, as those of SHOW are. Tables of any kind come from names, and so are known.
fn is_of_statement(source: &Arc<dyn TableSource>) -> bool {
    source_as_provider(source).is_ok_and(|provider| provider.downcast_ref::<MemTable>().is_some())
}

fn each(plan: &LogicalPlan, mut visit: impl FnMut(&TableScan) -> Result<()>) -> Result<()> {
    let mut failed = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Err(error) = visit(scan)
        {
            failed = Some(error);
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(from_datafusion)?;
    failed.map_or(Ok(()), Err)
}
