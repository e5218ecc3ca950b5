//! Rows of which an order is known that a decoded plan does not show.
//!
//! An order may follow from predicates and joins far below. What is decoded in another process is a part of the
//! plan, and predicates of its scans tell it less than the planner knew.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_expr_common::sort_expr::OrderingRequirements;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use datafusion_proto::physical_plan::from_proto::parse_physical_sort_exprs;
use datafusion_proto::physical_plan::to_proto::serialize_physical_sort_exprs;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalSortExprNode;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Order {
    #[prost(message, repeated, tag = "1")]
    keys: Vec<PhysicalSortExprNode>,
    #[prost(bool, tag = "2")]
    merged: bool,
}

/// Gives the rows of its input as they are, and tells their order.
#[derive(Debug)]
pub struct KnownOrderExec {
    input: Arc<dyn ExecutionPlan>,
    order: LexOrdering,
    /// Whether the order is one over all partitions, which have to be merged.
    merged: bool,
    properties: Arc<PlanProperties>,
}

impl KnownOrderExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, order: LexOrdering) -> Self {
        let mut properties = PlanProperties::clone(input.properties());
        let mut known = properties.equivalence_properties().clone();
        known.add_ordering(order.clone());
        properties.set_eq_properties(known);
        Self {
            input,
            order,
            merged: false,
            properties: Arc::new(properties),
        }
    }

    /// The input in one partition, with its order as a requirement, so that whoever optimizes the plan once more leaves the
    /// order as it is.
    pub fn required(input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        match input.output_ordering() {
            Some(order) => Arc::new(Self {
                merged: true,
                ..Self::new(Arc::clone(input), order.clone())
            }),
            None => Arc::clone(input),
        }
    }

    /// The input with the longest beginning of an order that holds for its rows, unless it shows that itself.
    pub(super) fn on(
        input: &Arc<dyn ExecutionPlan>,
        mut keys: Vec<PhysicalSortExpr>,
    ) -> Arc<dyn ExecutionPlan> {
        while let Some(order) = LexOrdering::new(keys.clone()) {
            if shows(input, &order) {
                break;
            }
            let known = input.equivalence_properties();
            if known
                .ordering_satisfy(order.clone())
                .is_ok_and(|satisfied| satisfied)
            {
                return Arc::new(Self::new(Arc::clone(input), order));
            }
            keys.pop();
        }
        Arc::clone(input)
    }

    pub(super) fn encode(
        &self,
        buf: &mut Vec<u8>,
        codec: &dyn PhysicalExtensionCodec,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let keys = serialize_physical_sort_exprs(self.order.clone(), codec, converter)?;
        let merged = self.merged;
        buf.extend_from_slice(&Order { keys, merged }.encode_to_vec());
        Ok(())
    }

    pub(super) fn decode(
        bytes: &[u8],
        input: &Arc<dyn ExecutionPlan>,
        context: &TaskContext,
        codec: &dyn PhysicalExtensionCodec,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Self> {
        let message =
            Order::decode(bytes).map_err(|error| internal_datafusion_err!("an order is garbled: {error}"))?;
        let context = PhysicalPlanDecodeContext::new(context, codec);
        let keys = parse_physical_sort_exprs(&message.keys, &context, &input.schema(), converter)?;
        match LexOrdering::new(keys) {
            Some(order) => Ok(Self {
                merged: message.merged,
                ..Self::new(Arc::clone(input), order)
            }),
            None => internal_err!("an order has no keys"),
        }
    }
}

/// Whether a node sorts its rows so, wherever it is decoded.
fn shows(input: &Arc<dyn ExecutionPlan>, order: &LexOrdering) -> bool {
    let sorted = match input.downcast_ref::<SortExec>() {
        Some(sort) => Some(sort.expr()),
        None => input
            .downcast_ref::<SortPreservingMergeExec>()
            .map(SortPreservingMergeExec::expr),
    };
    sorted.is_some_and(|sorted| {
        sorted.len() >= order.len() && sorted.iter().zip(order.iter()).all(|(a, b)| a == b)
    })
}

impl DisplayAs for KnownOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownOrderExec: [{}]", self.order)
    }
}

impl ExecutionPlan for KnownOrderExec {
    fn name(&self) -> &str {
        "KnownOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![Some(OrderingRequirements::from(self.order.clone()))]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        match self.merged {
            true => vec![Distribution::SinglePartition],
            false => vec![Distribution::UnspecifiedDistribution],
        }
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self {
                merged: self.merged,
                ..Self::new(input, self.order.clone())
            })),
            _ => internal_err!("KnownOrderExec has one child"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
