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
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::WindowUDF;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::from_proto::{
    parse_protobuf_file_scan_config, parse_table_schema_from_proto,
};
use datafusion_proto::physical_plan::to_proto::serialize_file_scan_config;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::FileScanExecConf;
use prost::Message;

pub use order::KnownOrderExec;
pub use travel::portable;
pub use window::{WholeWindowExec, is_window};

use crate::external::TextSource;
use crate::fragment::FragmentCacheExec;
use crate::guard::GuardExec;
use crate::session;
use crate::windows;
use crate::write::{ShardWriteExec, WriteTarget};

/// Stands before every node of ours, with the version of the encoding that follows.
const MAGIC: &[u8; 4] = b"WSH1";
const SHARD_WRITE: u8 = 1;
const FRAGMENT_CACHE: u8 = 2;
const WINDOW: u8 = 3;
const KNOWN_ORDER: u8 = 4;
const TEXT_SCAN: u8 = 5;
const GUARD: u8 = 6;

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
            (TEXT_SCAN, []) => text_scan(fields, ctx, proto_converter),
            (GUARD, [input]) => Ok(Arc::new(GuardExec::new(Arc::clone(input)))),
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
        if node.is::<GuardExec>() {
            buf.extend_from_slice(MAGIC);
            buf.push(GUARD);
            return Ok(());
        }
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
        if let Some((config, source)) = text_source(&node) {
            let scan = serialize_file_scan_config(config, self, proto_converter)?;
            buf.extend_from_slice(MAGIC);
            buf.push(TEXT_SCAN);
            let format = serde_json::to_vec(source.format()).map_err(|error| {
                datafusion::common::internal_datafusion_err!("a format has no JSON form: {error}")
            })?;
            let Ok(length) = u32::try_from(format.len()) else {
                return internal_err!("a format is too long");
            };
            buf.extend_from_slice(&length.to_be_bytes());
            buf.extend_from_slice(&format);
            buf.extend_from_slice(&scan.encode_to_vec());
            return Ok(());
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

    /// A window function that no session lists, as there is one for each aggregate and shape of call.
    fn try_decode_udwf(&self, name: &str, _: &[u8]) -> Result<Arc<WindowUDF>> {
        match windows::named(name, session::aggregate) {
            Some(function) => Ok(function),
            None => internal_err!("the window function {name} is not known"),
        }
    }
}

/// A scan of files of text, of a source that is ours.
fn text_source(node: &Arc<dyn ExecutionPlan>) -> Option<(&FileScanConfig, &TextSource)> {
    let scan = node.downcast_ref::<DataSourceExec>()?;
    let config = scan.data_source().downcast_ref::<FileScanConfig>()?;
    Some((config, config.file_source().downcast_ref::<TextSource>()?))
}

fn text_scan(
    fields: &[u8],
    ctx: &TaskContext,
    proto_converter: &dyn PhysicalProtoConverterExtension,
) -> Result<Arc<dyn ExecutionPlan>> {
    let Some((format, config)) = split(fields) else {
        return internal_err!("a scan is garbled");
    };
    let format = serde_json::from_slice(format)
        .map_err(|error| datafusion::common::internal_datafusion_err!("a format is garbled: {error}"))?;
    let config = FileScanExecConf::decode(config)
        .map_err(|error| datafusion::common::internal_datafusion_err!("a scan is garbled: {error}"))?;
    let source = TextSource::new(parse_table_schema_from_proto(&config)?, format);
    let ctx = PhysicalPlanDecodeContext::new(ctx, &WatershedCodec);
    let config = parse_protobuf_file_scan_config(&config, &ctx, proto_converter, Arc::new(source))?;
    Ok(DataSourceExec::from_data_source(config))
}

/// The length of the first part in four bytes, the first part, the second.
fn split(fields: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = fields.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests;
