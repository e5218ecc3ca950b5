//! Scans of managed tables: what need not be read is left out at planning.

mod deal;
mod filter;
mod pin;
mod prune;
mod report;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraint, Constraints, Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use watershed_core::id::TableId;
use watershed_core::store::StoreRoot;

use crate::delta::TableSnapshot;
use crate::layout::TableLayout;
use crate::session::bucket_url;

pub(crate) use deal::deal;
pub use pin::Pin;
pub(crate) use prune::{has_subquery, unqualified};
pub use report::{ScanLog, ScanReport};
pub use scan::{group_shards, shard_count};

/// A managed table at one version.
#[derive(Debug)]
pub struct ShardedTable {
    name: String,
    layout: Arc<TableLayout>,
    snapshot: Arc<TableSnapshot>,
    schema: SchemaRef,
    /// The bucket that the files' paths are relative to.
    bucket: url::Url,
    constraints: Option<Constraints>,
    /// Whether others keep the table.
    foreign: bool,
    log: ScanLog,
}

impl ShardedTable {
    pub fn new(
        name: String,
        layout: Arc<TableLayout>,
        snapshot: Arc<TableSnapshot>,
        root: &StoreRoot,
        log: ScanLog,
    ) -> Self {
        Self {
            foreign: false,
            ..Self::within(name, layout, snapshot, root.url(), log)
        }
    }

    /// A table that others keep, whose files lie in the bucket of `url`.
    pub(crate) fn within(
        name: String,
        layout: Arc<TableLayout>,
        snapshot: Arc<TableSnapshot>,
        url: &url::Url,
        log: ScanLog,
    ) -> Self {
        Self {
            name,
            schema: layout.arrow_schema(),
            layout,
            snapshot,
            bucket: bucket_url(url),
            constraints: None,
            foreign: true,
            log,
        }
    }

    /// The table's id; none of one that others keep.
    pub fn id(&self) -> Option<TableId> {
        (!self.foreign).then_some(self.layout.id)
    }

    /// The table and its version. One that others keep may be made anew in its place, with the same
    /// versions: its files tell.
    fn pin(&self) -> Pin {
        let version = self.snapshot.version.to_string();
        if !self.foreign {
            return Pin::managed(&self.name, self.layout.id.to_string(), version);
        }
        let files = self.snapshot.files.iter();
        let files = files.map(|file| (file.path.as_ref(), file.size, file.modified, None));
        let version = format!("{version}/{}", crate::external::digest(files));
        Pin::foreign(&self.name, format!("{}{}", self.bucket, self.name), version)
    }

    /// Tells the optimizer that the primary key is unique. Only for tables whose every way in keeps
    /// it so.
    #[must_use]
    pub fn with_trusted_key(mut self) -> Self {
        let key: Vec<_> = self
            .layout
            .primary_key
            .iter()
            .filter_map(|name| self.schema.index_of(name).ok())
            .collect();
        self.constraints = (!key.is_empty() && key.len() == self.layout.primary_key.len())
            .then(|| Constraints::new_unverified(vec![Constraint::PrimaryKey(key)]));
        self
    }
}

#[async_trait]
impl TableProvider for ShardedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.constraints.as_ref()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| {
                if prune::is_of_partitions(filter, &self.layout) {
                    TableProviderFilterPushDown::Exact
                } else if prune::has_subquery(filter) {
                    TableProviderFilterPushDown::Unsupported
                } else {
                    TableProviderFilterPushDown::Inexact
                }
            })
            .collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        None
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let pruned = prune::prune(state, &self.layout, &self.schema, &self.snapshot.files, filters)?;
        let shards: BTreeSet<_> = pruned.files.iter().filter_map(|file| file.shard).collect();
        self.log.push(ScanReport {
            table: self.name.clone(),
            version: Some(self.snapshot.version),
            first_file: pruned.files.first().map(|file| file.path.clone()),
            files_total: self.snapshot.files.len(),
            files_scanned: pruned.files.len(),
            bytes_scanned: pruned.files.iter().map(|file| file.size).sum(),
            rows_estimated: pruned.files.iter().map(|file| file.rows).sum(),
            shards_total: self.layout.sharding.as_ref().map(|sharding| sharding.shards),
            shards_scanned: shards.into_iter().collect(),
            pruned_by: pruned.by,
        });
        let store = ObjectStoreUrl::parse(&self.bucket)?;
        scan::plan(
            state,
            &store,
            &self.layout,
            &self.schema,
            &pruned.files,
            projection,
            limit,
        )
    }
}
