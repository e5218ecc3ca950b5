//! How our plan nodes travel between processes.

use std::sync::Arc;

use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use crate::fragment::FragmentCacheExec;
use crate::write::{ShardWriteExec, WriteTarget};

/// Stands before every node of ours, with the version of the encoding that follows.
const MAGIC: &[u8; 4] = b"WSH1";
const SHARD_WRITE: u8 = 1;
const FRAGMENT_CACHE: u8 = 2;

/// Encodes and decodes our nodes; others are not its business.
#[derive(Debug, Default)]
pub struct WatershedCodec;

impl PhysicalExtensionCodec for WatershedCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        _ctx: &TaskContext,
        _proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some((&kind, fields)) = buf.strip_prefix(MAGIC).and_then(<[u8]>::split_first) else {
            return internal_err!("a plan node is not one of ours");
        };
        match (kind, inputs) {
            (SHARD_WRITE, [input]) => {
                let target: WriteTarget = serde_json::from_slice(fields).map_err(|error| {
                    datafusion::common::internal_datafusion_err!("a write is garbled: {error}")
                })?;
                Ok(Arc::new(ShardWriteExec::new(Arc::clone(input), target)))
            }
            (FRAGMENT_CACHE, [input]) => {
                let proofs = (!fields.is_empty())
                    .then(|| serde_json::from_slice(fields))
                    .transpose()
                    .map_err(|error| {
                        datafusion::common::internal_datafusion_err!("proofs are garbled: {error}")
                    })?;
                let node = FragmentCacheExec::new(Arc::clone(input)).with_proofs(proofs.map(Arc::new));
                Ok(Arc::new(node))
            }
            (kind, inputs) => {
                internal_err!(
                    "a plan node of kind {kind} with {} inputs is not known",
                    inputs.len()
                )
            }
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        _proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(cache) = node.downcast_ref::<FragmentCacheExec>() {
            buf.extend_from_slice(MAGIC);
            buf.push(FRAGMENT_CACHE);
            return match cache.proofs() {
                Some(proofs) => serde_json::to_writer(buf, proofs).map_err(|error| {
                    datafusion::common::internal_datafusion_err!("proofs have no JSON form: {error}")
                }),
                None => Ok(()),
            };
        }
        let Some(write) = node.downcast_ref::<ShardWriteExec>() else {
            return internal_err!("the plan node {} does not travel between processes", node.name());
        };
        buf.extend_from_slice(MAGIC);
        buf.push(SHARD_WRITE);
        serde_json::to_writer(buf, write.target()).map_err(|error| {
            datafusion::common::internal_datafusion_err!("a write has no JSON form: {error}")
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::RecordBatch;
    use datafusion::physical_plan::collect;
    use datafusion_proto::bytes::{
        physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
    };

    use super::*;
    use crate::fixture::{Fixture, batch, events, texts};
    use crate::write::written_files;

    fn round_trip(fixture: &Fixture, plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let bytes = physical_plan_to_bytes_with_extension_codec(plan, &WatershedCodec).unwrap();
        let context = fixture.context.task_ctx();
        physical_plan_from_bytes_with_extension_codec(&bytes, &context, &WatershedCodec).unwrap()
    }

    async fn run(fixture: &Fixture, plan: Arc<dyn ExecutionPlan>) -> Vec<RecordBatch> {
        collect(plan, fixture.context.task_ctx()).await.unwrap()
    }

    #[tokio::test]
    async fn scans_and_writes_travel() {
        let fixture = Fixture::new();
        let layout = events();
        fixture.store.create(&layout).await.unwrap();
        fixture.insert(&layout, batch(0, 100, 0)).await;
        let (table, _) = fixture.table(&layout).await;
        let state = fixture.context.state();
        let scan = table
            .scan(&state, Some(&vec![2, 3, 0, 1]), &[], None)
            .await
            .unwrap();
        let arrived = round_trip(&fixture, Arc::clone(&scan));
        assert_eq!(arrived.schema(), scan.schema());
        assert_eq!(
            texts(&run(&fixture, arrived).await),
            texts(&run(&fixture, scan).await)
        );

        let scan = table.scan(&state, None, &[], None).await.unwrap();
        let target = WriteTarget::new(events(), &fixture.root).unwrap();
        let write = Arc::new(ShardWriteExec::new(scan, target.clone()));
        let arrived = round_trip(&fixture, write);
        assert_eq!(
            arrived.downcast_ref::<ShardWriteExec>().unwrap().target(),
            &target
        );
        let (files, rows) = written_files(&run(&fixture, arrived).await).unwrap();
        assert_eq!((files.len(), rows), (4, 100));
    }

    #[test]
    fn other_bytes_are_refused() {
        let fixture = Fixture::new();
        let context = fixture.context.task_ctx();
        let converter = datafusion_proto::physical_plan::DefaultPhysicalProtoConverter {};
        for bytes in [&b""[..], b"WSH1", b"WSH1\x01{}", b"WSH2\x01", b"other"] {
            assert!(
                WatershedCodec
                    .try_decode(bytes, &[], &context, &converter)
                    .is_err()
            );
        }
    }
}
