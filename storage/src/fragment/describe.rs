//! A fragment as text: two with the same text give the same rows over the same files.
//!
//! The text is ours and not a serialized plan, whose bytes may differ for equal plans. A node or an
//! expression that has no place here makes a fragment that is not reused.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use ring::digest::{Context, SHA256, digest as hash};

/// Layouts of states, and the text below, belong to one version of the engine.
const VERSION: &str = concat!("1/", env!("CARGO_PKG_VERSION"));

/// Aggregates whose state hangs on the order in which rows come.
const ORDERED: [&str; 5] = [
    "array_agg",
    "first_value",
    "last_value",
    "nth_value",
    "string_agg",
];

/// Names a fragment, or what it came to over something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FragmentDigest(pub(super) [u8; 32]);

impl FragmentDigest {
    pub(super) fn of(text: &str) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(hash(&SHA256, text.as_bytes()).as_ref());
        Self(digest)
    }

    /// The same with something added.
    pub(super) fn with(&self, text: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(text.as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}

/// The digest of a fragment without its files; none of one that must not be reused. `leaf` is its scan.
pub fn digest(plan: &Arc<dyn ExecutionPlan>, leaf: &Arc<dyn ExecutionPlan>) -> Option<FragmentDigest> {
    let mut text = describe(plan, leaf)?;
    for conjunct in conjuncts(leaf)? {
        write!(text, " where {}", expression(&conjunct)?).ok()?;
    }
    Some(FragmentDigest::of(&text))
}

/// The fragment as text, without its scan's files and conditions.
pub(super) fn describe(plan: &Arc<dyn ExecutionPlan>, leaf: &Arc<dyn ExecutionPlan>) -> Option<String> {
    let mut text = VERSION.to_owned();
    node(plan, leaf, &mut text)?;
    Some(text)
}

fn node(plan: &Arc<dyn ExecutionPlan>, leaf: &Arc<dyn ExecutionPlan>, text: &mut String) -> Option<()> {
    if plan.is::<super::FragmentCacheExec>() || plan.is::<CooperativeExec>() {
        let [child] = plan.children()[..] else { return None };
        return node(child, leaf, text);
    }
    if Arc::ptr_eq(plan, leaf) || plan.children().is_empty() {
        return scan(plan, text);
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        describe_aggregate(aggregate, text)?;
    } else if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        if filter.fetch().is_some() {
            return None;
        }
        let predicate = expression(filter.predicate())?;
        write!(text, "(filter {predicate} {:?}", filter.projection()).ok()?;
    } else if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        write!(text, "(project").ok()?;
        for projected in projection.expr() {
            write!(text, " {}", expression(&projected.expr)?).ok()?;
        }
    } else if let Some(sort) = plan.downcast_ref::<SortExec>() {
        write!(text, "(sort {:?}", sort.fetch()).ok()?;
        for key in sort.expr() {
            write!(text, " {} {:?}", expression(&key.expr)?, key.options).ok()?;
        }
    } else {
        return None;
    }
    let [child] = plan.children()[..] else { return None };
    node(child, leaf, text)?;
    text.push(')');
    Some(())
}

fn describe_aggregate(aggregate: &AggregateExec, text: &mut String) -> Option<()> {
    let groups = aggregate.group_expr();
    if !groups.is_single() && !groups.is_empty() || aggregate.limit_options().is_some() {
        return None;
    }
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

fn scan(leaf: &Arc<dyn ExecutionPlan>, text: &mut String) -> Option<()> {
    let config = file_scan(leaf)?;
    if config.limit.is_some() {
        return None;
    }
    let source = config.file_source();
    source.downcast_ref::<ParquetSource>()?;
    write!(text, "(scan {:?}", config.object_store_url).ok()?;
    for field in source.table_schema().table_schema().fields() {
        write!(text, " {:?} {:?}", field.name(), field.data_type()).ok()?;
    }
    if let Some(projection) = source.projection() {
        for projected in projection.as_ref() {
            write!(text, " read {}", expression(&projected.expr)?).ok()?;
        }
    }
    text.push(')');
    Some(())
}

/// The conditions of a scan, without those that become known only as others run: whoever made these
/// looks at the rows again.
pub(super) fn conjuncts(leaf: &Arc<dyn ExecutionPlan>) -> Option<Vec<Arc<dyn PhysicalExpr>>> {
    let source = file_scan(leaf)?.file_source();
    source.downcast_ref::<ParquetSource>()?;
    let Some(predicate) = source.filter() else {
        return Some(Vec::new());
    };
    let fixed = split_conjunction(&predicate)
        .into_iter()
        .filter(|conjunct| conjunct.downcast_ref::<DynamicFilterPhysicalExpr>().is_none())
        .cloned()
        .collect();
    Some(fixed)
}

pub(super) fn file_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    plan.downcast_ref::<DataSourceExec>()?
        .data_source()
        .downcast_ref::<FileScanConfig>()
}

/// An expression as text, columns by place. Every part of it shows in its `Debug` form.
pub(super) fn expression(expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
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
    let plain = Arc::clone(expr)
        .transform_up(|inner| {
            Ok(match inner.downcast_ref::<Column>() {
                Some(column) => {
                    let place: Arc<dyn PhysicalExpr> = Arc::new(Column::new("", column.index()));
                    Transformed::yes(place)
                }
                None => Transformed::no(inner),
            })
        })
        .data()
        .ok()?;
    Some(format!("{plain:?}"))
}
