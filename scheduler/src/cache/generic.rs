//! A query's optimized plan before it is known when it is asked, and of which versions its tables are: a text
//! that comes again is neither planned nor optimized again.
//!
//! Clocks stay in it as calls, which a last pass over it folds. What is optimized by their values alone is
//! missed: that a condition is true of no row is seen, that two of them are the same is not.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, TimeDelta, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::alias::AliasGenerator;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{Expr, LogicalPlan, TableSource, Volatility, lit};
use datafusion::optimizer::common_subexpr_eliminate::CommonSubexprEliminate;
use datafusion::optimizer::eliminate_filter::EliminateFilter;
use datafusion::optimizer::propagate_empty_relation::PropagateEmptyRelation;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerConfig, OptimizerRule};
use watershed_core::id::TableId;
use watershed_storage::table::ShardedTable;

use super::fingerprint::Bypass;

/// The plan, of tables at some version as long as they are those it was planned with.
#[derive(Debug, Clone)]
pub(crate) struct Generic {
    plan: LogicalPlan,
    /// Whether it asks a clock.
    pub(super) clocked: bool,
    /// Whether parts of it are values that other queries give.
    has_subqueries: bool,
}

/// A plan that holds for all versions of its tables.
#[derive(Debug)]
pub(crate) struct Template(Generic);

impl Generic {
    /// Of a plan that is bound and allowed; none of one that is another every time.
    pub(crate) fn of(plan: &LogicalPlan, state: &SessionState) -> Result<std::result::Result<Self, Bypass>> {
        let functions = functions(plan)?;
        if let Some(name) = functions.volatile {
            return Ok(Err(format!("{name}() gives another value every time")));
        }
        let (clocked, rules) = (functions.stable, state.optimizers());
        let plan = match clocked {
            false => state.optimize(plan)?,
            true => {
                let options = state.config().options();
                let plan = state
                    .analyzer()
                    .execute_and_check(plan.clone(), options, |_, _| {})?;
                // What is computed once for several conditions is no part of any of them, and conditions on
                // clocks have to stay conditions on columns.
                let common = CommonSubexprEliminate::new();
                let others = rules.iter().filter(|rule| rule.name() != common.name());
                let optimizer = Optimizer::with_rules(others.cloned().collect());
                optimizer.optimize(plan, &Moment { state, now: None }, |_, _| {})?
            }
        };
        Ok(Ok(Self {
            plan,
            clocked,
            has_subqueries: functions.subqueries,
        }))
    }

    /// The plan as it is asked some time after the session's statement began.
    pub(crate) fn at(&self, state: &SessionState, later: TimeDelta) -> Result<LogicalPlan> {
        if !self.clocked {
            return Ok(self.plan.clone());
        }
        let began = state.execution_props().query_execution_start_time;
        let now = began.and_then(|began| began.checked_add_signed(later));
        if now.is_none() {
            return internal_err!("a statement began at no time");
        }
        let plan = FOLD.optimize(self.plan.clone(), &Moment { state, now }, |_, _| {})?;
        plan.transform_down(|node| match node {
            LogicalPlan::TableScan(mut scan) if scan.filters.contains(&lit(true)) => {
                scan.filters.retain(|filter| *filter != lit(true));
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            other => Ok(Transformed::no(other)),
        })
        .data()
    }

    /// It without the versions of its tables, unless it reads anything but managed tables, or hangs on what other
    /// queries give.
    pub(crate) fn template(&self) -> Result<Option<Template>> {
        let mut fits = !self.has_subqueries;
        let plan = self.plan.clone().transform_down_with_subqueries(|node| {
            let LogicalPlan::TableScan(mut scan) = node else {
                return Ok(Transformed::no(node));
            };
            let provider = source_as_provider(&scan.source)?;
            match provider.downcast_ref::<ShardedTable>().and_then(ShardedTable::id) {
                Some(table) => {
                    let schema = provider.schema();
                    scan.source = Arc::new(Place { table, schema });
                }
                None => fits = false,
            }
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        })?;
        let plan = plan.data;
        Ok(fits.then_some(Template(Self { plan, ..*self })))
    }
}

impl Template {
    /// The plan with tables in it. None if one of them is not what it was.
    pub(crate) fn with(
        &self,
        provider: impl Fn(TableId) -> Option<Arc<dyn TableProvider>>,
    ) -> Result<Option<Generic>> {
        let mut fits = true;
        let plan = self.0.plan.clone().transform_down_with_subqueries(|node| {
            let LogicalPlan::TableScan(mut scan) = node else {
                return Ok(Transformed::no(node));
            };
            let place = (scan.source.as_ref() as &dyn std::any::Any).downcast_ref::<Place>();
            let found = place
                .and_then(|place| provider(place.table).filter(|provider| provider.schema() == place.schema));
            match found {
                Some(provider) => scan.source = provider_as_source(provider),
                None => fits = false,
            }
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        })?;
        let plan = plan.data;
        Ok(fits.then_some(Generic { plan, ..self.0 }))
    }
}

/// Where a table stands in a template.
#[derive(Debug)]
struct Place {
    table: TableId,
    schema: SchemaRef,
}

impl TableSource for Place {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// What clocks make of a plan when they are folded.
static FOLD: LazyLock<Optimizer> = LazyLock::new(|| {
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(EliminateFilter::new()),
        Arc::new(PropagateEmptyRelation::new()),
    ];
    Optimizer::with_rules(rules)
});

/// A session at some time, or at none.
struct Moment<'a> {
    state: &'a SessionState,
    now: Option<DateTime<Utc>>,
}

impl OptimizerConfig for Moment<'_> {
    fn query_execution_start_time(&self) -> Option<DateTime<Utc>> {
        self.now
    }

    fn alias_generator(&self) -> &Arc<AliasGenerator> {
        self.state.alias_generator()
    }

    fn options(&self) -> Arc<ConfigOptions> {
        self.state.options()
    }

    fn function_registry(&self) -> Option<&dyn FunctionRegistry> {
        Some(self.state)
    }
}

#[derive(Default)]
struct Functions {
    volatile: Option<String>,
    stable: bool,
    subqueries: bool,
}

/// The functions of a plan that are not the same for ever.
fn functions(plan: &LogicalPlan) -> Result<Functions> {
    let mut found = Functions::default();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let (name, volatility) = match expr {
                    Expr::ScalarFunction(call) => (call.func.name(), call.func.signature().volatility),
                    Expr::AggregateFunction(call) => (call.func.name(), call.func.signature().volatility),
                    other => {
                        found.subqueries |= matches!(other, Expr::ScalarSubquery(_));
                        if other.is_volatile_node() {
                            found.volatile = Some(other.schema_name().to_string());
                        }
                        return Ok(TreeNodeRecursion::Continue);
                    }
                };
                match volatility {
                    Volatility::Volatile => found.volatile = Some(name.to_owned()),
                    Volatility::Stable => found.stable = true,
                    Volatility::Immutable => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}
