//! One codec for all nodes of a staged plan: ours and Ballista's. Ballista's bytes carry no mark of
//! their own, so each node is marked here.

use std::sync::Arc;

use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec};
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use watershed_storage::codec::WatershedCodec;

const OURS: &[u8; 4] = b"WSS1";
const BALLISTAS: &[u8; 4] = b"WSB1";

/// Encodes and decodes the nodes that DataFusion does not know.
#[derive(Debug, Default)]
pub struct StagedCodec {
    ours: WatershedCodec,
    ballistas: BallistaPhysicalExtensionCodec,
}

/// The codec that Ballista's schedulers and executors are given.
pub fn codec() -> BallistaCodec {
    BallistaCodec::new(
        Arc::new(BallistaLogicalExtensionCodec::default()),
        Arc::new(StagedCodec::default()),
    )
}

impl PhysicalExtensionCodec for StagedCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match buf.split_first_chunk() {
            Some((OURS, node)) => self.ours.try_decode(node, inputs, ctx, proto_converter),
            Some((BALLISTAS, node)) => self.ballistas.try_decode(node, inputs, ctx, proto_converter),
            _ => internal_err!("a node of a staged plan carries no known mark"),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let mut encoded = Vec::new();
        let mark = match self
            .ours
            .try_encode(Arc::clone(&node), &mut encoded, proto_converter)
        {
            Ok(()) => OURS,
            // Not one of ours, then: Ballista's codec says so if it is not one of its own either.
            Err(_) => {
                encoded.clear();
                self.ballistas.try_encode(node, &mut encoded, proto_converter)?;
                BALLISTAS
            }
        };
        buf.extend_from_slice(mark);
        buf.extend_from_slice(&encoded);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::execution_plans::UnresolvedShuffleExec;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::Partitioning;
    use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
    use datafusion_proto::physical_plan::AsExecutionPlan;
    use datafusion_proto::protobuf::PhysicalPlanNode;

    use super::*;

    fn check(plan: Arc<dyn ExecutionPlan>) {
        let codec = StagedCodec::default();
        let node = PhysicalPlanNode::try_from_physical_plan(Arc::clone(&plan), &codec).unwrap();
        let back = node
            .try_into_physical_plan(&TaskContext::default(), &codec)
            .unwrap();
        let draw = |plan: &Arc<dyn ExecutionPlan>| {
            datafusion::physical_plan::displayable(plan.as_ref())
                .indent(true)
                .to_string()
        };
        assert_eq!(draw(&back), draw(&plan));
    }

    #[test]
    fn ballistas_nodes_and_datafusions_travel() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        check(Arc::new(PlaceholderRowExec::new(Arc::clone(&schema))));
        check(Arc::new(UnresolvedShuffleExec::new(
            3,
            schema,
            Partitioning::UnknownPartitioning(4),
        )));
    }

    #[test]
    fn bytes_without_a_mark_are_refused() {
        let converter = datafusion_proto::physical_plan::DefaultPhysicalProtoConverter {};
        let decoded =
            StagedCodec::default().try_decode(b"WSH1\x01", &[], &TaskContext::default(), &converter);
        assert!(decoded.is_err());
    }
}
