//! A query's optimized plan before it is known when it is asked, and of which versions its tables are: a text
//! that comes again is neither planned nor optimized again.
//!
//! Clocks stay in it as calls, which a last pass over it folds. What is optimized by their values alone is
//! missed: that a condition is true of no row is seen, that two of them are the same is not.

use std::sync::Arc;

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
        let moment = Moment { state, now };
        let (simplify, empty) = (SimplifyExpressions::new(), PropagateEmptyRelation::new());
        let plan = self.plan.clone();
        // Rules by hand: the optimizer would go over the plan until nothing changes.
        let plan = plan.transform_up_with_subqueries(|node| simplify.rewrite(node, &moment))?;
        let plan = plan.data.transform_up_with_subqueries(|node| {
            let node = EliminateFilter::new().rewrite(node, &moment)?.data;
            empty.rewrite(without_true(node), &moment)
        });
        plan.data()
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

/// A scan without conditions that are true.
fn without_true(node: LogicalPlan) -> LogicalPlan {
    match node {
        LogicalPlan::TableScan(mut scan) => {
            scan.filters.retain(|filter| *filter != lit(true));
            LogicalPlan::TableScan(scan)
        }
        other => other,
    }
}

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

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch, TimestampMicrosecondArray};
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::logical_expr::execution_props::ExecutionProps;
    use datafusion::physical_plan::collect;
    use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
    use datafusion::prelude::SessionContext;

    use super::*;

    /// Five events, an hour apart, the last of them now.
    fn state() -> SessionState {
        let now = DateTime::parse_from_rfc3339("2026-01-01T12:34:56Z")
            .unwrap()
            .to_utc();
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("at", utc, false),
            Field::new("n", DataType::Int64, false),
        ]);
        let hours = (0..5).map(|hours| (now - TimeDelta::hours(hours)).timestamp_micros());
        let at = TimestampMicrosecondArray::from_iter_values(hours).with_timezone("UTC");
        let columns = vec![
            Arc::new(at) as _,
            Arc::new(Int64Array::from_iter_values(0..5)) as _,
        ];
        let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        let context = SessionContext::new();
        context.register_table("t", Arc::new(table)).unwrap();
        let props = ExecutionProps::new().with_query_execution_start_time(now);
        SessionStateBuilder::new_from_existing(context.state())
            .with_execution_props(props)
            .build()
    }

    async fn typed(state: &SessionState, sql: &str) -> LogicalPlan {
        let plan = state.create_logical_plan(sql).await.unwrap();
        let options = state.config().options();
        state
            .analyzer()
            .execute_and_check(plan, options, |_, _| {})
            .unwrap()
    }

    async fn rows(state: &SessionState, plan: &LogicalPlan) -> String {
        let planner = DefaultPhysicalPlanner::default();
        let plan = planner.create_physical_plan(plan, state).await.unwrap();
        let rows = collect(plan, state.task_ctx()).await.unwrap();
        pretty_format_batches(&rows).unwrap().to_string()
    }

    #[tokio::test]
    async fn clocks_that_are_folded_late_give_the_same_rows() {
        let state = state();
        let queries = [
            "SELECT count(*), max(n) FROM t WHERE at > now() - INTERVAL '2 hours'",
            "SELECT n FROM t WHERE at > now() - INTERVAL '3 hours' AND at < now() - INTERVAL '1 hour' ORDER BY n",
            "SELECT now() AS asked, n FROM t WHERE now() > TIMESTAMP '2020-01-01' ORDER BY n",
            "SELECT n FROM t WHERE now() < TIMESTAMP '2020-01-01'",
            "SELECT count(*) FROM t WHERE now() < TIMESTAMP '2020-01-01'",
            "SELECT date_trunc('hour', now()) AS hour, count(*) FROM t GROUP BY 1",
            "SELECT date_trunc('hour', now()) AS hour, count(*) FROM t WHERE n > 9 GROUP BY 1",
            "SELECT n % 2, date_trunc('hour', now()) AS hour, count(*) FROM t GROUP BY 1, 2 ORDER BY 1",
            "SELECT a.n FROM t a JOIN t b ON a.n = b.n AND a.at > now() - INTERVAL '2 hours' ORDER BY 1",
            "SELECT a.n FROM t a LEFT JOIN t b ON a.n = b.n AND b.at > now() WHERE b.n IS NULL ORDER BY 1",
            "SELECT n, CASE WHEN at < now() THEN 'before' ELSE 'now' END FROM t ORDER BY n",
            "SELECT n FROM t WHERE at >= now() UNION ALL SELECT -n FROM t WHERE at < CURRENT_DATE ORDER BY 1",
            "SELECT n FROM t WHERE at IN (SELECT max(at) FROM t WHERE at < now()) AND CURRENT_DATE < now()",
            "SELECT DISTINCT n > 2, now() - INTERVAL '1 hour' FROM t ORDER BY 1",
            "SELECT n FROM t ORDER BY at - now() LIMIT 2",
        ];
        for sql in queries {
            let plan = typed(&state, sql).await;
            let expected = state.optimize(&plan).unwrap();
            let generic = Generic::of(&plan, &state).unwrap().unwrap();
            assert!(generic.clocked, "{sql}");
            let found = generic.at(&state, TimeDelta::zero()).unwrap();
            assert_eq!(found.schema(), expected.schema(), "{sql}");
            assert_eq!(
                rows(&state, &found).await,
                rows(&state, &expected).await,
                "{sql}\n{}",
                found.display_indent()
            );
        }
    }

    #[tokio::test]
    async fn conditions_on_clocks_are_conditions_on_columns() {
        let state = state();
        for (sql, condition) in [
            (
                "SELECT n FROM t WHERE at > now() - INTERVAL '1 hour' AND n < 3 AND at < now() - INTERVAL '1 minute'",
                "t.at > TimestampMicrosecond(1767267296000000, Some(\"UTC\"))",
            ),
            ("SELECT n FROM t WHERE now() > TIMESTAMP '2020-01-01'", ""),
        ] {
            let plan = typed(&state, sql).await;
            let generic = Generic::of(&plan, &state).unwrap().unwrap();
            let shown = generic
                .at(&state, TimeDelta::zero())
                .unwrap()
                .display_indent()
                .to_string();
            assert!(shown.contains(condition), "{shown}");
            assert!(
                !shown.contains("now()") && !shown.contains("Boolean(true)"),
                "{shown}"
            );
        }
    }
}
