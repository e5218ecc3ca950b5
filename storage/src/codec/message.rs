//! The bytes of a window node.

use std::sync::Arc;

use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};
use datafusion_proto::physical_plan::from_proto::parse_physical_window_expr;
use datafusion_proto::physical_plan::to_proto::serialize_physical_window_expr;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalWindowExprNode;
use prost::Message;

use super::window::{Details, WholeWindowExec, calls, restored};

#[derive(Clone, PartialEq, Message)]
struct Call {
    #[prost(message, optional, tag = "1")]
    expr: Option<PhysicalWindowExprNode>,
    #[prost(bool, tag = "2")]
    ignore_nulls: bool,
    #[prost(bool, tag = "3")]
    reversed: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Window {
    #[prost(message, repeated, tag = "1")]
    calls: Vec<Call>,
    #[prost(bool, tag = "2")]
    can_repartition: bool,
    /// One of the constants below.
    #[prost(uint32, tag = "3")]
    mode: u32,
    #[prost(uint64, repeated, tag = "4")]
    sorted_keys: Vec<u64>,
}

/// A `WindowAggExec`; the others are `BoundedWindowAggExec`s by what is known of their input.
const WHOLE: u32 = 1;
const LINEAR: u32 = 2;
const PARTLY_SORTED: u32 = 3;
const SORTED: u32 = 4;

pub(super) fn encode(
    node: &WholeWindowExec,
    buf: &mut Vec<u8>,
    codec: &dyn PhysicalExtensionCodec,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<()> {
    let (mode, sorted_keys, keys) = match node.inner().downcast_ref::<BoundedWindowAggExec>() {
        Some(bounded) => match &bounded.input_order_mode {
            InputOrderMode::Linear => (LINEAR, Vec::new(), bounded.partition_keys()),
            InputOrderMode::PartiallySorted(keys) => (PARTLY_SORTED, keys.clone(), bounded.partition_keys()),
            InputOrderMode::Sorted => (SORTED, Vec::new(), bounded.partition_keys()),
        },
        None => {
            let whole = node.inner().downcast_ref::<WindowAggExec>();
            let keys = whole.map(WindowAggExec::partition_keys);
            (WHOLE, Vec::new(), keys.unwrap_or_default())
        }
    };
    let encoded = calls(node.inner()).unwrap_or_default().iter().zip(node.details());
    let message = Window {
        calls: encoded
            .map(|(call, details)| {
                Ok(Call {
                    expr: Some(serialize_physical_window_expr(call, codec, converter)?),
                    ignore_nulls: details.ignore_nulls,
                    reversed: details.reversed,
                })
            })
            .collect::<Result<_>>()?,
        can_repartition: !keys.is_empty(),
        mode,
        sorted_keys: sorted_keys.into_iter().map(|key| key as u64).collect(),
    };
    buf.extend_from_slice(&message.encode_to_vec());
    Ok(())
}

pub(super) fn decode(
    bytes: &[u8],
    input: &Arc<dyn ExecutionPlan>,
    context: &TaskContext,
    codec: &dyn PhysicalExtensionCodec,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<Arc<dyn ExecutionPlan>> {
    let message =
        Window::decode(bytes).map_err(|error| internal_datafusion_err!("a window is garbled: {error}"))?;
    let context = PhysicalPlanDecodeContext::new(context, codec);
    let schema = input.schema();
    let calls = message
        .calls
        .iter()
        .map(|call| {
            let Some(expr) = &call.expr else {
                return internal_err!("a window has a call without an expression");
            };
            let decoded = parse_physical_window_expr(expr, &context, &schema, converter)?;
            let details = Details {
                ignore_nulls: call.ignore_nulls,
                reversed: call.reversed,
            };
            restored(&decoded, details, &schema)
        })
        .collect::<Result<Vec<_>>>()?;
    if calls.is_empty() {
        return internal_err!("a window has no call");
    }
    let keys = message.sorted_keys.iter().map(|key| *key as usize).collect();
    let mode = match message.mode {
        LINEAR => InputOrderMode::Linear,
        PARTLY_SORTED => InputOrderMode::PartiallySorted(keys),
        SORTED => InputOrderMode::Sorted,
        WHOLE => {
            return Ok(Arc::new(WindowAggExec::try_new(
                calls,
                Arc::clone(input),
                message.can_repartition,
            )?));
        }
        other => return internal_err!("a window of kind {other} is not known"),
    };
    Ok(Arc::new(BoundedWindowAggExec::try_new(
        calls,
        Arc::clone(input),
        mode,
        message.can_repartition,
    )?))
}
