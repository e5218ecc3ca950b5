//! How plans are encoded for other processes: nodes of ours, and those of DataFusion's whose own encoding drops
//! something.
//!
//! `travel` makes a plan one that is encoded whole, and says of others why they are not.

mod describe;
mod message;
mod order;
mod travel;
mod window;

use std::sync::Arc;

use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

pub use order::KnownOrderExec;
pub use travel::portable;
pub use window::{WholeWindowExec, is_window};

use crate::fragment::FragmentCacheExec;
use crate::write::{ShardWriteExec, WriteTarget};

/// Stands before every node of ours, with the version of the encoding that follows.
const MAGIC: &[u8; 4] = b"WSH1";
const SHARD_WRITE: u8 = 1;
const FRAGMENT_CACHE: u8 = 2;
const WINDOW: u8 = 3;
const KNOWN_ORDER: u8 = 4;

/// Encodes and decodes our nodes; others are not its business.
#[derive(Debug, Default)]
pub struct WatershedCodec;

impl PhysicalExtensionCodec for WatershedCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        proto_converter: &dyn PhysicalProtoConverterExtension,
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
            (WINDOW, [input]) => message::decode(fields, input, ctx, self, proto_converter),
            (KNOWN_ORDER, [input]) => Ok(Arc::new(KnownOrderExec::decode(
                fields,
                input,
                ctx,
                self,
                proto_converter,
            )?)),
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
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(window) = node.downcast_ref::<WholeWindowExec>() {
            buf.extend_from_slice(MAGIC);
            buf.push(WINDOW);
            return message::encode(window, buf, self, proto_converter);
        }
        if let Some(ordered) = node.downcast_ref::<KnownOrderExec>() {
            buf.extend_from_slice(MAGIC);
            buf.push(KNOWN_ORDER);
            return ordered.encode(buf, self, proto_converter);
        }
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
mod tests;
