//! What a plan is, node by node, in all that its rows depend on.

use std::fmt::{self, Write};
use std::sync::Arc;

use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr, IsNullExpr,
    LikeExpr, Literal, NegativeExpr, NotExpr, lit,
};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, ExecutionPlanProperties};

use super::window::{WholeWindowExec, calls, details_of};
use crate::fragment::FragmentCacheExec;
use crate::write::ShardWriteExec;

/// A text that grows longer is cut: no node of a useful plan has one.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// One node of a plan.
#[derive(Debug)]
pub(super) struct Described {
    name: String,
    text: String,
    proven: bool,
}

impl Described {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a node of this kind is known to arrive as it is, with all its expressions. Tests compare such
    /// nodes, too.
    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.text.len() < TEXT_BYTES_MAX && self.text == other.text
    }
}

/// The nodes of a plan in pre-order.
pub(super) fn describe(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<Described>> {
    let mut nodes = Vec::new();
    plan.apply(|node| {
        nodes.push(node_of(node)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(nodes)
}

fn node_of(plan: &Arc<dyn ExecutionPlan>) -> Result<Described> {
    let mut text = Bounded(String::new());
    let mut proven = is_proven(plan);
    // Writing to a text fails when it is too long, and that is then to be seen by its length.
    let written = write(plan, &mut text, &mut proven);
    if written.is_err() {
        text.0.push_str(&" ".repeat(TEXT_BYTES_MAX));
        proven = false;
    }
    Ok(Described {
        name: plan.name().to_owned(),
        text: text.0,
        proven,
    })
}

/// Node kinds whose encoding carries every field that their rows depend on.
fn is_proven(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
        let scan = source.data_source().downcast_ref::<FileScanConfig>();
        return scan.is_some_and(|scan| scan.file_source().downcast_ref::<ParquetSource>().is_some());
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return !aggregate.group_expr().has_grouping_set() && aggregate.limit_options().is_none();
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return join.filter().is_none() && !join.null_aware;
    }
    plan.is::<FilterExec>()
        || plan.is::<ProjectionExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<RepartitionExec>()
        || plan.is::<SortExec>()
        || plan.is::<SortPreservingMergeExec>()
        || plan.is::<FragmentCacheExec>()
        || plan.is::<ShardWriteExec>()
}

/// Expressions whose encoding carries every field.
fn is_plain(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.is::<Column>()
        || expr.is::<Literal>()
        || expr.is::<BinaryExpr>()
        || expr.is::<IsNullExpr>()
        || expr.is::<IsNotNullExpr>()
        || expr.is::<NotExpr>()
        || expr.is::<NegativeExpr>()
        || expr.is::<InListExpr>()
        || expr.is::<LikeExpr>()
        || expr.is::<CastExpr>()
        || expr.is::<DynamicFilterPhysicalExpr>()
}

fn write(plan: &Arc<dyn ExecutionPlan>, text: &mut Bounded, proven: &mut bool) -> fmt::Result {
    write!(
        text,
        "{}|{} partitions|fetch {:?}|",
        Shown(plan),
        plan.output_partitioning().partition_count(),
        plan.fetch()
    )?;
    for field in plan.schema().fields() {
        write!(text, "{:?} {:?},", field.name(), field.data_type())?;
    }
    let mut written = Ok(());
    let walked = plan.apply_expressions(&mut |expr| {
        expr.apply(|inner| {
            *proven &= is_plain(inner);
            Ok(TreeNodeRecursion::Continue)
        })?;
        written = written.and_then(|()| expression(text, expr));
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|_| fmt::Error)?;
    written?;
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return write_aggregate(text, aggregate, proven);
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        write!(
            text,
            "{:?} {:?} {:?} {} {:?}",
            join.join_type(),
            join.partition_mode(),
            join.null_equality(),
            join.null_aware,
            join.projection
        )?;
        for (left, right) in join.on() {
            expression(text, left)?;
            expression(text, right)?;
        }
        return write_filter(text, join.filter());
    }
    if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>() {
        write!(
            text,
            "{:?} {:?} {:?}",
            join.join_type(),
            join.null_equality(),
            join.sort_options()
        )?;
        return write_filter(text, join.filter().as_ref());
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        write!(text, "{:?} {:?}", join.join_type(), join.projection())?;
        return write_filter(text, join.filter());
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        write!(text, "{}", sort.preserve_partitioning())?;
        return write_keys(text, sort.expr());
    }
    if let Some(repartition) = plan.downcast_ref::<RepartitionExec>() {
        return write!(
            text,
            "{:?} {}",
            repartition.partitioning(),
            repartition.preserve_order()
        );
    }
    if let Some(source) = plan.downcast_ref::<DataSourceExec>() {
        return write_scan(text, source);
    }
    write_window(text, plan)
}

fn write_aggregate(text: &mut Bounded, aggregate: &AggregateExec, proven: &mut bool) -> fmt::Result {
    let groups = aggregate.group_expr();
    write!(
        text,
        "{:?} {:?} {:?} {}",
        aggregate.mode(),
        aggregate.limit_options(),
        groups.groups(),
        groups.has_grouping_set()
    )?;
    for (expr, name) in groups.expr().iter().chain(groups.null_expr()) {
        write!(text, "{name:?}")?;
        expression(text, expr)?;
    }
    for (call, filter) in aggregate.aggr_expr().iter().zip(aggregate.filter_expr()) {
        write!(
            text,
            "{} {:?} {} {} {}",
            call.fun().name(),
            call.name(),
            call.is_distinct(),
            call.ignore_nulls(),
            call.is_reversed()
        )?;
        *proven &= call.order_bys().is_empty();
        write_keys(text, call.order_bys())?;
        for argument in call.expressions() {
            expression(text, &argument)?;
        }
        if let Some(filter) = filter {
            text.write_str(" if ")?;
            expression(text, filter)?;
        }
    }
    Ok(())
}

fn write_filter(text: &mut Bounded, filter: Option<&JoinFilter>) -> fmt::Result {
    let Some(filter) = filter else { return Ok(()) };
    text.write_str(" if ")?;
    expression(text, filter.expression())?;
    for column in filter.column_indices() {
        write!(text, " {:?} {}", column.side, column.index)?;
    }
    for field in filter.schema().fields() {
        write!(text, " {:?} {:?}", field.name(), field.data_type())?;
    }
    Ok(())
}

fn write_keys(text: &mut Bounded, keys: &[PhysicalSortExpr]) -> fmt::Result {
    for key in keys {
        write!(text, " by {:?}", key.options)?;
        expression(text, &key.expr)?;
    }
    Ok(())
}

fn write_window(text: &mut Bounded, plan: &Arc<dyn ExecutionPlan>) -> fmt::Result {
    let window = match plan.downcast_ref::<WholeWindowExec>() {
        Some(whole) => whole.inner(),
        None => plan,
    };
    let calls = calls(window).unwrap_or_default();
    for call in calls {
        write!(text, "{:?} {:?}", call.name(), call.get_window_frame())?;
        call.partition_by()
            .iter()
            .try_for_each(|key| expression(text, key))?;
        write_keys(text, call.order_by())?;
    }
    write!(text, "{:?}", details_of(calls))
}

fn write_scan(text: &mut Bounded, source: &DataSourceExec) -> fmt::Result {
    let Some(scan) = source.data_source().downcast_ref::<FileScanConfig>() else {
        return Ok(());
    };
    let file_source = scan.file_source();
    write!(
        text,
        "{:?} {} {:?} {:?} {:?} {:?}",
        scan.object_store_url,
        file_source.file_type(),
        scan.limit,
        scan.file_compression_type,
        scan.output_ordering,
        scan.batch_size
    )?;
    for field in file_source.table_schema().table_schema().fields() {
        write!(text, " {:?} {:?}", field.name(), field.data_type())?;
    }
    if let Some(filter) = file_source.filter() {
        text.write_str(" where ")?;
        expression(text, &filter)?;
    }
    if let Some(projection) = file_source.projection() {
        for projected in projection.as_ref() {
            write!(text, " {:?}", projected.alias)?;
            expression(text, &projected.expr)?;
        }
    }
    for file in scan.file_groups.iter().flat_map(|group| group.files()) {
        write!(
            text,
            "\n{} {} {:?} {:?}",
            file.object_meta.location, file.object_meta.size, file.range, file.partition_values
        )?;
    }
    Ok(())
}

/// An expression with all its fields. What filters that change as a query runs have come to is no part of it, nor
/// are the tables that a CASE makes of its constants, which show them in any order.
fn expression(text: &mut Bounded, expr: &Arc<dyn PhysicalExpr>) -> fmt::Result {
    let steady = Arc::clone(expr)
        .transform_up(|inner| {
            let shown = if inner.is::<DynamicFilterPhysicalExpr>() {
                format!("dynamic filter of {} columns", inner.children().len())
            } else if let Some(case) = inner.downcast_ref::<CaseExpr>() {
                case_text(case, &inner.children())
                    .map_err(|_| internal_datafusion_err!("an expression is too long to be compared"))?
            } else {
                return Ok(Transformed::no(inner));
            };
            Ok(Transformed::yes(lit(shown)))
        })
        .data()
        .map_err(|_| fmt::Error)?;
    write!(text, " {steady:?}")
}

fn case_text(case: &CaseExpr, children: &[&Arc<dyn PhysicalExpr>]) -> Result<String, fmt::Error> {
    let (compares, ends) = (case.expr().is_some(), case.else_expr().is_some());
    let mut text = Bounded(format!("case {compares} {} {ends}", case.when_then_expr().len()));
    children.iter().try_for_each(|child| write!(text, " {child:?}"))?;
    Ok(text.0)
}

/// A node as it is shown.
struct Shown<'a>(&'a Arc<dyn ExecutionPlan>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Scans show all their files, which are described one by one.
        match self.0.is::<DataSourceExec>() {
            true => f.write_str(self.0.name()),
            false => self.0.fmt_as(DisplayFormatType::Verbose, f),
        }
    }
}

struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.0.len() + more.len() > TEXT_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(more);
        Ok(())
    }
}
