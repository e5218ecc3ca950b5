//! Plans that reach another process as they are.

use std::sync::Arc;

use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion_proto::physical_plan::{
    DeduplicatingProtoConverter, PhysicalPlanNodeExt, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalPlanNode;

use super::WatershedCodec;
use super::describe::{Described, describe};
use super::window::WholeWindowExec;

type Plan = Arc<dyn ExecutionPlan>;

/// The plan as one that another process gets as it is, or why there is none.
///
/// Whatever DataFusion's encoding is not known to keep is encoded and decoded here first, and compared.
pub fn portable(plan: &Plan, context: &TaskContext) -> Result<Result<Plan, String>> {
    let mut refused = None;
    let whole = Arc::clone(plan)
        .transform_up(|node| {
            Ok(match WholeWindowExec::of(&node) {
                // The projection of such a scan is not encoded (`datafusion-proto` 55).
                None if node.is::<LazyMemoryExec>() && node.schema().fields().is_empty() => {
                    refused
                        .get_or_insert_with(|| "a series without columns is made in one process".to_owned());
                    Transformed::no(node)
                }
                None => Transformed::no(node),
                Some(Ok(whole)) => Transformed::yes(Arc::new(whole)),
                Some(Err(why)) => {
                    refused.get_or_insert(why);
                    Transformed::no(node)
                }
            })
        })
        .data()?;
    Ok(match refused {
        Some(why) => Err(why),
        None => changed(&whole, context)?.map_or(Ok(whole), Err),
    })
}

/// What another process would get of a plan otherwise than it is.
pub(super) fn changed(plan: &Plan, context: &TaskContext) -> Result<Option<String>> {
    let sent = describe(plan)?;
    if sent.iter().all(Described::is_proven) {
        return Ok(None);
    }
    let small = with_few_files(plan)?;
    let sent = describe(&small)?;
    let arrived = match round_trip(small, context) {
        Ok(arrived) => describe(&arrived)?,
        Err(error) => return Ok(Some(format!("the plan cannot be encoded: {error}"))),
    };
    let differs = sent
        .iter()
        .zip(&arrived)
        .find(|(sent, arrived)| !sent.is_same_as(arrived));
    Ok(match differs {
        Some((sent, arrived)) => {
            tracing::debug!(sent = %sent.text(), arrived = %arrived.text(), "a plan would change on its way");
            Some(format!("{} cannot be sent to executors as it is", sent.name()))
        }
        None if sent.len() != arrived.len() => {
            Some("the plan cannot be sent to executors as it is".to_owned())
        }
        None => None,
    })
}

/// A plan encoded and decoded, as on its way to an executor.
pub(super) fn round_trip(plan: Plan, context: &TaskContext) -> Result<Plan> {
    let converter = DeduplicatingProtoConverter {};
    let node: PhysicalPlanNode = converter.execution_plan_to_proto(&plan, &WatershedCodec)?;
    node.try_into_physical_plan_with_converter(context, &WatershedCodec, &converter)
}

/// The plan with a single file in each file group: there may be thousands of files, which are all encoded alike.
fn with_few_files(plan: &Plan) -> Result<Plan> {
    Arc::clone(plan)
        .transform_up(|node| {
            let scan = node
                .downcast_ref::<DataSourceExec>()
                .and_then(|source| source.data_source().downcast_ref::<FileScanConfig>());
            let Some(scan) = scan else {
                return Ok(Transformed::no(node));
            };
            let mut scan = scan.clone();
            for group in &mut scan.file_groups {
                *group = FileGroup::new(group.files().iter().take(1).cloned().collect());
            }
            Ok(Transformed::yes(DataSourceExec::from_data_source(scan)))
        })
        .data()
}
