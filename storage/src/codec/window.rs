//! Window nodes that are encoded whole.
//!
//! DataFusion's encoding of a window drops IGNORE NULLS of window functions, and whether a function was
//! reversed to share the sort order of another one (`datafusion_physical_plan::windows::proto`). It also drops
//! what is known of the order of the input, by which the node finds the ends of its partitions. The node here
//! wraps one of DataFusion's, behaves as that one does, and is encoded with all of this. A FILTER is dropped as
//! well and cannot be read off the node: a window with one is not encoded.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_datafusion_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{ReversedUDWF, WindowUDF};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::window::{
    PlainAggregateWindowExpr, SlidingAggregateWindowExpr, StandardWindowExpr, StandardWindowFunctionExpr,
    WindowExpr,
};
use datafusion::physical_expr_common::sort_expr::OrderingRequirements;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::windows::{
    BoundedWindowAggExec, WindowAggExec, WindowUDFExpr, create_udwf_window_expr,
};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};

use super::order::KnownOrderExec;

/// What DataFusion's encoding of a window expression drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Details {
    pub(super) ignore_nulls: bool,
    pub(super) reversed: bool,
}

/// See the module.
#[derive(Debug)]
pub struct WholeWindowExec {
    inner: Arc<dyn ExecutionPlan>,
    details: Vec<Details>,
}

impl WholeWindowExec {
    /// Wraps a window node; none for other nodes. The error says what it is that cannot be encoded.
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Result<Self, String>> {
        Some(details_of(calls(plan)?).and_then(|details| {
            let inner = with_known_order(plan).map_err(|error| error.to_string())?;
            Ok(Self { inner, details })
        }))
    }

    pub(super) fn inner(&self) -> &Arc<dyn ExecutionPlan> {
        &self.inner
    }

    pub(super) fn details(&self) -> &[Details] {
        &self.details
    }
}

/// What the encoding of a window's calls drops, or which of them cannot be encoded.
pub(super) fn details_of(calls: &[Arc<dyn WindowExpr>]) -> Result<Vec<Details>, String> {
    calls
        .iter()
        .map(|call| details(call).ok_or_else(|| format!("{} cannot be sent to executors", call.name())))
        .collect()
}

/// The node with an input that shows the order by which the node finds the ends of its partitions.
fn with_known_order(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let [input] = plan.children()[..] else {
        return internal_err!("a window has one input");
    };
    let keys = match plan.downcast_ref::<WindowAggExec>() {
        Some(window) => window.partition_by_sort_keys()?,
        None => match plan.downcast_ref::<BoundedWindowAggExec>() {
            Some(window) => window.partition_by_sort_keys()?,
            None => Vec::new(),
        },
    };
    let order = calls(plan)
        .and_then(<[_]>::first)
        .map(|call| call.order_by().to_vec());
    let keys = keys.into_iter().chain(order.unwrap_or_default()).collect();
    let input = KnownOrderExec::on(input, keys);
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
    Arc::clone(plan).replace_children(vec![input], options)
}

/// The window expressions of a window node.
pub(super) fn calls(plan: &Arc<dyn ExecutionPlan>) -> Option<&[Arc<dyn WindowExpr>]> {
    match plan.downcast_ref::<WindowAggExec>() {
        Some(window) => Some(window.window_expr()),
        None => Some(plan.downcast_ref::<BoundedWindowAggExec>()?.window_expr()),
    }
}

/// Whether a node computes windows, be it one of DataFusion's or one of those here.
pub fn is_window(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<WholeWindowExec>() || calls(plan).is_some()
}

/// What the encoding of a call drops; none if that is more than a [`Details`] holds. Some of it lies in private
/// fields, which are the last ones of the `Debug` form.
fn details(call: &Arc<dyn WindowExpr>) -> Option<Details> {
    if let Some(standard) = call.as_any().downcast_ref::<StandardWindowExpr>() {
        let tail = Tail::of(function_of(standard)?)?;
        let both = [false, true];
        let all = both
            .iter()
            .flat_map(|reversed| both.iter().map(move |nulls| (*reversed, *nulls)));
        return all
            .map(|(reversed, ignore_nulls)| Details {
                ignore_nulls,
                reversed,
            })
            .find(|details| {
                let (reversed, nulls) = (details.reversed, details.ignore_nulls);
                tail.ends_with(&format!(", is_reversed: {reversed}, ignore_nulls: {nulls} }}"))
            });
    }
    let aggregate = aggregate_of(call)?;
    // SQL has no order within the call of a window, and it would not be encoded.
    let plain = aggregate.order_bys().is_empty() && Tail::of(call)?.ends_with(", filter: None }");
    plain.then(|| Details {
        ignore_nulls: aggregate.ignore_nulls(),
        reversed: aggregate.is_reversed(),
    })
}

fn function_of(standard: &StandardWindowExpr) -> Option<&WindowUDFExpr> {
    standard.get_standard_func_expr().as_any().downcast_ref()
}

fn aggregate_of(call: &Arc<dyn WindowExpr>) -> Option<&AggregateFunctionExpr> {
    match call.as_any().downcast_ref::<PlainAggregateWindowExpr>() {
        Some(plain) => Some(plain.get_aggregate_expr()),
        None => Some(
            call.as_any()
                .downcast_ref::<SlidingAggregateWindowExpr>()?
                .get_aggregate_expr(),
        ),
    }
}

/// The call of a window function as it is, but for its NULLs and its direction.
fn function_with(
    call: &WindowUDFExpr,
    schema: &Schema,
    ignore_nulls: bool,
    reversed: bool,
) -> Result<Arc<dyn StandardWindowFunctionExpr>> {
    let name = call.name().to_owned();
    let build = |function: &Arc<WindowUDF>| {
        create_udwf_window_expr(function, call.args(), schema, name.clone(), ignore_nulls)
    };
    if !reversed {
        return build(call.fun());
    }
    // The reverse of its reverse is the function itself, with the mark of a reversed one.
    match call.fun().reverse_expr() {
        ReversedUDWF::Reversed(forward) => build(&forward)?
            .reverse_expr()
            .ok_or_else(|| internal_datafusion_err!("the window function {name} cannot be reversed")),
        ReversedUDWF::Identical | ReversedUDWF::NotSupported => {
            internal_err!("the window function {name} cannot be reversed")
        }
    }
}

/// A call as it was before it was encoded, made of the call that was decoded.
pub(super) fn restored(
    decoded: &Arc<dyn WindowExpr>,
    details: Details,
    schema: &SchemaRef,
) -> Result<Arc<dyn WindowExpr>> {
    let (partition_by, order_by) = (decoded.partition_by(), decoded.order_by());
    let frame = Arc::clone(decoded.get_window_frame());
    if let Some(standard) = decoded.as_any().downcast_ref::<StandardWindowExpr>() {
        let function = function_of(standard)
            .ok_or_else(|| internal_datafusion_err!("a window function of another kind was decoded"))?;
        let function = function_with(function, schema, details.ignore_nulls, details.reversed)?;
        return Ok(Arc::new(StandardWindowExpr::new(
            function,
            partition_by,
            order_by,
            frame,
        )));
    }
    let Some(aggregate) = aggregate_of(decoded) else {
        return internal_err!("a window function of another kind was decoded");
    };
    let function = Arc::new(aggregate.fun().clone());
    let rebuilt = AggregateExprBuilder::new(function, aggregate.expressions())
        .schema(Arc::clone(schema))
        .alias(aggregate.name())
        .with_ignore_nulls(details.ignore_nulls)
        .with_distinct(aggregate.is_distinct())
        .with_reversed(details.reversed)
        .build()?;
    let (aggregate, filter) = (Arc::new(rebuilt), None);
    Ok(match frame.is_ever_expanding() {
        true => Arc::new(PlainAggregateWindowExpr::new(
            aggregate,
            partition_by,
            order_by,
            frame,
            filter,
        )),
        false => Arc::new(SlidingAggregateWindowExpr::new(
            aggregate,
            partition_by,
            order_by,
            frame,
            filter,
        )),
    })
}

/// The end of a text that may be very long: a CASE within a CASE shows some of its parts twice.
#[derive(Default)]
struct Tail {
    text: String,
    written: usize,
}

/// At least as long as any end that is looked for.
const TAIL_BYTES: usize = 128;
/// A call with a longer text is not encoded: writing it would take long.
const TEXT_BYTES_MAX: usize = 4 << 20;

impl Tail {
    fn of(value: &impl fmt::Debug) -> Option<String> {
        let mut tail = Self::default();
        write!(tail, "{value:?}").ok()?;
        Some(tail.text)
    }
}

impl fmt::Write for Tail {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.written += more.len();
        if self.written > TEXT_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.text.push_str(more);
        if self.text.len() > 2 * TAIL_BYTES {
            let start = self.text.len() - TAIL_BYTES;
            let start = (start..=self.text.len()).find(|at| self.text.is_char_boundary(*at));
            self.text.drain(..start.unwrap_or_default());
        }
        Ok(())
    }
}

impl DisplayAs for WholeWindowExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_as(kind, f)
    }
}

/// Everything but the name in Rust is that of the node inside. It is no delegate: DataFusion would encode the
/// node inside.
impl ExecutionPlan for WholeWindowExec {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.inner.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.inner.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.inner.maintains_input_order()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        self.inner.benefits_from_input_partitioning()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inner.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let inner = Arc::clone(&self.inner).replace_children(children, options)?;
        let details = self.details.clone();
        Ok(Arc::new(Self { inner, details }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.inner.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.inner.metrics()
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.inner.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.inner.statistics_from_inputs(inputs, arguments)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.inner.cardinality_effect()
    }
}
