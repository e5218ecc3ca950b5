//! Which executor does what in an exchange: everyone reads files, the shards of a table are read by their
//! owners, and partitions of other tables by the same executors each time, as these remember what they came
//! to.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DistributedExt, DistributedLeafExec,
    NetworkBoundaryExt, RouteTasksEvent, RouteTasksEventResponse, ScaleUpLeafNodeEvent,
    ScaleUpLeafNodeEventResponse, WorkerResolver,
};
use url::Url;
use watershed_core::id::NodeId;
use watershed_core::shard::Ring;
use watershed_storage::table::{group_shards, shard_count};

use crate::cluster::Members;
use crate::dispatch::gather::file_scan;

/// The executors of one try, in the order of tasks.
#[derive(Clone)]
pub(super) struct Routes {
    nodes: Vec<NodeId>,
    urls: Vec<Url>,
    ring: Ring,
}

impl Routes {
    pub(super) fn new(members: &Members) -> Result<Self> {
        let urls = members
            .executors
            .values()
            .map(|executor| {
                Url::parse(&executor.url).map_err(|error| DataFusionError::External(Box::new(error)))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            nodes: members.executors.keys().cloned().collect(),
            urls,
            ring: members.ring.clone(),
        })
    }

    pub(super) fn urls(&self) -> Vec<Url> {
        self.urls.clone()
    }

    /// Makes a session's plans follow these routes.
    pub(super) fn install(self, config: SessionConfig) -> SessionConfig {
        let (count, scale, route) = (self.urls.len(), self.clone(), self);
        config
            .with_distributed_desired_task_count_handler(move |event: DesiredTaskCountEvent| {
                // How much is read was weighed before, when this path was chosen.
                file_scan(event.plan).map(|scan| {
                    let tasks = if is_one_partition(scan) { 1 } else { count };
                    Ok(DesiredTaskCountEventResponse::desired(tasks))
                })
            })
            .with_distributed_scale_up_leaf_node_handler(move |event: ScaleUpLeafNodeEvent| {
                let scan = file_scan(event.plan)?;
                let shards = shard_count(scan).unwrap_or_default();
                // Fewer partitions than tasks are cut smaller, where there are several.
                let enough =
                    shards > 0 || is_one_partition(scan) || scan.file_groups.len() >= event.task_count;
                enough.then(|| scale.by_owner(event.plan, scan, shards, event.task_count))
            })
            .with_distributed_route_tasks_handler(move |event: RouteTasksEvent| {
                (event.task_count == route.urls.len() && reads_files(event.plan))
                    .then(|| Ok(RouteTasksEventResponse::new(route.urls.clone())))
            })
    }

    /// A scan for each task: of the shards which the task's executor owns, and of every so many-th partition
    /// that is no shard.
    fn by_owner(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        scan: &FileScanConfig,
        shards: u32,
        tasks: usize,
    ) -> Result<ScaleUpLeafNodeEventResponse> {
        let owners = self.ring.place(shards);
        let places: BTreeMap<&NodeId, usize> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(place, node)| (node, place))
            .collect();
        let mut groups: Vec<Vec<FileGroup>> = vec![Vec::new(); tasks.max(1)];
        for (index, (group, shard)) in scan.file_groups.iter().zip(group_shards(scan)).enumerate() {
            let owner = shard.and_then(|shard| owners.get(shard as usize));
            let place = owner
                .and_then(|owner| places.get(*owner).copied())
                .unwrap_or(index);
            groups[place % tasks.max(1)].push(group.clone());
        }
        // Tasks agree on the number of partitions: those with fewer shards have empty ones.
        let partitions = groups.iter().map(Vec::len).max().unwrap_or_default();
        let variants = groups.into_iter().map(|mut groups| {
            groups.resize(partitions, FileGroup::new(Vec::new()));
            let mut variant = scan.clone();
            variant.file_groups = groups;
            variant.output_partitioning = Some(Partitioning::UnknownPartitioning(partitions));
            let variant: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(variant);
            variant
        });
        let leaf = DistributedLeafExec::try_new(Arc::clone(plan), variants)?;
        Ok(ScaleUpLeafNodeEventResponse::new(Arc::new(leaf)))
    }
}

/// Whether a scan has one partition. Nodes that need all rows in one place, such as a limit or a window without
/// PARTITION BY, then stand right above it, so that its rows stay in one task.
fn is_one_partition(scan: &FileScanConfig) -> bool {
    scan.file_groups.len() == 1
}

/// Whether a stage itself, not one below it, reads files.
fn reads_files(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(leaf) = plan.downcast_ref::<DistributedLeafExec>() {
        return file_scan(leaf.original()).is_some();
    }
    !plan.is_network_boundary() && plan.children().into_iter().any(reads_files)
}

/// The executors of one try.
pub(super) struct Workers(pub(super) Vec<Url>);

impl WorkerResolver for Workers {
    fn get_urls(&self) -> Result<Vec<Url>> {
        Ok(self.0.clone())
    }
}

/// For plans that name their workers themselves.
pub(crate) struct NoWorkers;

impl WorkerResolver for NoWorkers {
    fn get_urls(&self) -> Result<Vec<Url>> {
        Ok(Vec::new())
    }
}
