//! Rules of the analyzer and of the optimizers that end with the statement: each checks for an interrupt before it
//! begins.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::analyzer::AnalyzerRule;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::{PhysicalOptimizerContext, PhysicalOptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use watershed_core::interrupt;

use crate::error::into_datafusion;

type Analyze = Arc<dyn AnalyzerRule + Send + Sync>;
type Optimize = Arc<dyn OptimizerRule + Send + Sync>;
type Physical = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The state with rules that check for interrupts.
pub(super) fn state(state: SessionState) -> SessionState {
    let analyze = state.analyzer().rules.iter().cloned();
    let analyze = analyze
        .map(|rule| Arc::new(Interruptible(rule)) as Analyze)
        .collect();
    let optimize = state.optimizers().iter().cloned();
    let optimize = optimize
        .map(|rule| Arc::new(Interruptible(rule)) as Optimize)
        .collect();
    let physical = state.physical_optimizers().iter().cloned();
    let physical = physical
        .map(|rule| Arc::new(Interruptible(rule)) as Physical)
        .collect();
    SessionStateBuilder::new_from_existing(state)
        .with_analyzer_rules(analyze)
        .with_optimizer_rules(optimize)
        .with_physical_optimizer_rules(physical)
        .build()
}

#[derive(Debug)]
struct Interruptible<R>(R);

impl AnalyzerRule for Interruptible<Analyze> {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        interrupt::check().map_err(into_datafusion)?;
        self.0.analyze(plan, config)
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}

impl OptimizerRule for Interruptible<Optimize> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        interrupt::check().map_err(into_datafusion)?;
        self.0.rewrite(plan, config)
    }
}

impl PhysicalOptimizerRule for Interruptible<Physical> {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        interrupt::check().map_err(into_datafusion)?;
        self.0.optimize(plan, config)
    }

    fn optimize_with_context(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        context: &dyn PhysicalOptimizerContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        interrupt::check().map_err(into_datafusion)?;
        self.0.optimize_with_context(plan, context)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}
