//! A fragment as text: two with the same text give the same rows over the same files.
//!
//! The text is ours and not a serialized plan, whose bytes may differ for equal plans. A node or an
//! expression that has no place here makes a fragment that is not reused. The scan that a fragment runs
//! over stands in it without files and conditions, the sides that it is joined with stand in it whole.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetSource;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr, Literal};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use super::FragmentCacheExec;
use super::digest::FragmentDigest;
use super::scan::{conjuncts, dynamic_filters, file_scan, join_filters};
use crate::guard::GuardExec;
use crate::scalar::nested_key;

/// Layouts of states, and the text below, belong to one version of the engine.
const VERSION: &str = concat!("3/", env!("CARGO_PKG_VERSION"));

/// Expressions that are deeper, or whose text is longer, make fragments that are not reused.
const MAX_DEPTH: usize = 64;
const MAX_TEXT: usize = 64 << 10;

/// Aggregates whose state hangs on the order in which rows come.
const ORDERED: [&str; 5] = [
    "array_agg",
    "first_value",
    "last_value",
    "nth_value",
    "string_agg",
];

/// The digest of a fragment without its files; none of one that must not be reused. `leaf` is its scan.
pub fn digest(plan: &Arc<dyn ExecutionPlan>, leaf: &Arc<dyn ExecutionPlan>) -> Option<FragmentDigest> {
    let mut text = describe(plan)?;
    for conjunct in conjuncts(leaf)? {
        write!(text, " where {}", expression(&conjunct)?).ok()?;
    }
    Some(FragmentDigest::of(&text))
}

/// The fragment as text, without the files and the conditions of the scan that it runs over.
pub(super) fn describe(plan: &Arc<dyn ExecutionPlan>) -> Option<String> {
    let mut description = Description {
        text: VERSION.to_owned(),
        join_filters: join_filters(plan),
    };
    description.node(plan, Side::Probe)?;
    Some(description.text)
}

/// Which input of a join a node is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The one whose files are in parts.
    Probe,
    /// The one that is there as a whole.
    Build,
}

struct Description {
    text: String,
    join_filters: HashSet<u64>,
}

impl Description {
    fn node(&mut self, plan: &Arc<dyn ExecutionPlan>, side: Side) -> Option<()> {
        if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            return self.join(join, side);
        }
        if plan.children().is_empty() {
            return self.scan(plan, side);
        }
        let [child] = plan.children()[..] else { return None };
        if let Some(sort) = plan.downcast_ref::<SortExec>() {
            self.sort(sort, side)?;
        } else if plan.fetch().is_some() {
            return None;
        } else if is_transparent(plan) {
            return self.node(child, side);
        } else if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
            self.aggregate(aggregate)?;
        } else if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            let predicate = expression(filter.predicate())?;
            write!(self.text, "(filter {predicate} {:?}", filter.projection()).ok()?;
        } else if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            write!(self.text, "(project").ok()?;
            for projected in projection.expr() {
                write!(self.text, " {}", expression(&projected.expr)?).ok()?;
            }
        } else {
            return None;
        }
        self.node(child, side)?;
        self.text.push(')');
        Some(())
    }

    /// Rows of equal keys are in any order, so that the first of them differ from run to run: what is
    /// joined with others has to be the same.
    fn sort(&mut self, sort: &SortExec, side: Side) -> Option<()> {
        if side == Side::Build && sort.fetch().is_some() {
            return None;
        }
        write!(self.text, "(sort {:?}", sort.fetch()).ok()?;
        for key in sort.expr() {
            write!(self.text, " {} {:?}", expression(&key.expr)?, key.options).ok()?;
        }
        Some(())
    }

    fn aggregate(&mut self, aggregate: &AggregateExec) -> Option<()> {
        let groups = aggregate.group_expr();
        if groups.has_grouping_set() || aggregate.limit_options().is_some() {
            return None;
        }
        let text = &mut self.text;
        write!(text, "(aggregate {:?} by", aggregate.mode()).ok()?;
        for (expr, _) in groups.expr() {
            write!(text, " {}", expression(expr)?).ok()?;
        }
        for (call, filter) in aggregate.aggr_expr().iter().zip(aggregate.filter_expr()) {
            let name = call.fun().name();
            if ORDERED.contains(&name) || !call.order_bys().is_empty() {
                return None;
            }
            write!(text, " of {name} {} {}", call.is_distinct(), call.ignore_nulls()).ok()?;
            for argument in call.expressions() {
                write!(text, " {}", expression(&argument)?).ok()?;
            }
            if let Some(filter) = filter {
                write!(text, " if {}", expression(filter)?).ok()?;
            }
        }
        for field in aggregate.schema().fields() {
            write!(text, " {:?}", field.data_type()).ok()?;
        }
        Some(())
    }

    fn join(&mut self, join: &HashJoinExec, side: Side) -> Option<()> {
        if join.fetch().is_some() || side == Side::Probe && !is_by_probe_row(join) {
            return None;
        }
        write!(
            self.text,
            "(join {:?} {:?} {} {:?} {:?}",
            join.join_type(),
            join.partition_mode(),
            join.null_aware,
            join.null_equality(),
            join.projection
        )
        .ok()?;
        for (left, right) in join.on() {
            write!(self.text, " on {} {}", expression(left)?, expression(right)?).ok()?;
        }
        if let Some(filter) = join.filter() {
            write!(self.text, " if {}", expression(filter.expression())?).ok()?;
            for column in filter.column_indices() {
                write!(self.text, " {:?} {}", column.side, column.index).ok()?;
            }
        }
        self.node(join.left(), Side::Build)?;
        self.node(join.right(), side)?;
        self.text.push(')');
        Some(())
    }

    fn scan(&mut self, leaf: &Arc<dyn ExecutionPlan>, side: Side) -> Option<()> {
        let config = file_scan(leaf)?;
        if config.limit.is_some() {
            return None;
        }
        let source = config.file_source();
        source.downcast_ref::<ParquetSource>()?;
        let text = &mut self.text;
        write!(text, "(scan {:?}", config.object_store_url).ok()?;
        for field in source.table_schema().table_schema().fields() {
            write!(text, " {:?} {:?}", field.name(), field.data_type()).ok()?;
        }
        if let Some(projection) = source.projection() {
            for projected in projection.as_ref() {
                write!(text, " read {}", expression(&projected.expr)?).ok()?;
            }
        }
        if side == Side::Build {
            for conjunct in conjuncts(leaf)? {
                write!(text, " where {}", expression(&conjunct)?).ok()?;
            }
            // Joins of the fragment may leave out rows that meet none of theirs; what others leave out
            // hangs on how far they are.
            if !dynamic_filters(leaf).all(|filter| self.join_filters.contains(&filter)) {
                return None;
            }
            for file in config.file_groups.iter().flat_map(|group| group.files()) {
                self.text.push_str(&file_text(file));
            }
        }
        self.text.push(')');
        Some(())
    }
}

/// Whether what a join gives is, for each row of its probe side, the same whatever other rows there are.
fn is_by_probe_row(join: &HashJoinExec) -> bool {
    *join.partition_mode() == PartitionMode::CollectLeft
        && !join.null_aware
        && matches!(
            join.join_type(),
            JoinType::Inner
                | JoinType::Right
                | JoinType::RightSemi
                | JoinType::RightAnti
                | JoinType::RightMark
        )
}

/// Whether a node gives the rows that it takes, be it in other partitions.
fn is_transparent(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<FragmentCacheExec>()
        || plan.is::<GuardExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<RepartitionExec>()
}

/// A file, or a part of one, as text. Another text is another content.
pub(super) fn file_text(file: &PartitionedFile) -> String {
    let meta = &file.object_meta;
    let mut text = format!(
        "\n{:?} {} {} {:?} {:?}",
        meta.location.as_ref(),
        meta.size,
        meta.last_modified.timestamp_micros(),
        meta.e_tag,
        file.partition_values
    );
    if let Some(range) = &file.range {
        text.push_str(&format!(" {}..{}", range.start, range.end));
    }
    text
}

/// An expression as text, columns by place. Every part of it shows in its `Debug` form, but for values within lists and
/// structures; some show twice: the form of a CASE in a CASE in a CASE grows beyond all bounds.
pub(super) fn expression(expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    if !is_shallow(expr, MAX_DEPTH) {
        return None;
    }
    let mut steady = true;
    expr.apply(|inner| {
        steady &= !inner.is_volatile_node()
            && inner.downcast_ref::<DynamicFilterPhysicalExpr>().is_none()
            && inner.downcast_ref::<ScalarSubqueryExpr>().is_none();
        Ok(TreeNodeRecursion::Continue)
    })
    .ok()?;
    if !steady {
        return None;
    }
    let mut known = true;
    let plain = Arc::clone(expr)
        .transform_up(|inner| {
            let place = inner
                .downcast_ref::<Column>()
                .map(|column| Arc::new(Column::new("", column.index())) as Arc<dyn PhysicalExpr>);
            let nested = inner
                .downcast_ref::<Literal>()
                .map(Literal::value)
                .filter(|value| value.data_type().is_nested());
            Ok(match (place, nested) {
                (Some(place), _) => Transformed::yes(place),
                (None, Some(value)) => {
                    let key = nested_key(value)?;
                    known &= key.is_some();
                    Transformed::yes(Arc::new(Literal::new(ScalarValue::Binary(key))))
                }
                (None, None) => Transformed::no(inner),
            })
        })
        .data()
        .ok()?;
    if !known {
        return None;
    }
    let mut text = Bounded(String::new());
    write!(text, "{plain:?}").ok()?;
    Some(text.0)
}

fn is_shallow(expr: &Arc<dyn PhysicalExpr>, depth: usize) -> bool {
    let mut children = expr.children().into_iter();
    depth > 0 && children.all(|child| is_shallow(child, depth - 1))
}

/// A text that refuses to grow too long.
struct Bounded(String);

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        if self.0.len() + more.len() > MAX_TEXT {
            return Err(std::fmt::Error);
        }
        self.0.push_str(more);
        Ok(())
    }
}
