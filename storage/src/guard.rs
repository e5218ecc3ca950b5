//! The barrier between a view and a reader who may not read what the view reads.
//!
//! An expression of the reader that can fail tells about the row on which it fails: `CAST(note AS INT)` shows a note,
//! `1 / (salary - 100)` whether there is such a salary. Optimizers merge the reader's predicates with the view's, and so
//! evaluate them on rows that the view leaves out. Above a [`Guard`] everything is the reader's, below it the view's: only
//! predicates that cannot fail pass, as with `security_barrier` and leakproof functions of PostgreSQL.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, Result, TableReference, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Extension, Filter, LogicalPlan, LogicalPlanBuilder, Operator, UserDefinedLogicalNode,
    UserDefinedLogicalNodeCore,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

/// Hands on the rows of a view.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Guard {
    input: LogicalPlan,
    view: String,
}

impl Guard {
    /// A view's plan behind a barrier. Its columns are those of the view and not of what it reads.
    pub fn plan(view: TableReference, plan: LogicalPlan) -> Result<LogicalPlan> {
        let input = LogicalPlanBuilder::from(plan).alias(view.clone())?.build()?;
        Ok(Self::before(view.to_string(), input))
    }

    fn before(view: String, input: LogicalPlan) -> LogicalPlan {
        let node = Arc::new(Self { input, view });
        LogicalPlan::Extension(Extension { node })
    }

    /// Whether a node is a barrier.
    pub fn is(plan: &LogicalPlan) -> bool {
        Self::of(plan).is_some()
    }

    fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// The plan as its reader may see it: of a view its name alone. None for a plan without a barrier.
    pub fn shown(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        let shown = plan.clone().transform_down_with_subqueries(|node| {
            let Some(guard) = Self::of(&node) else {
                return Ok(Transformed::no(node));
            };
            let hidden = LogicalPlan::Extension(Extension {
                node: Arc::new(HiddenView {
                    view: guard.view.clone(),
                    schema: Arc::clone(guard.input.schema()),
                }),
            });
            Ok(Transformed::new(hidden, true, TreeNodeRecursion::Jump))
        })?;
        Ok(shown.transformed.then_some(shown.data))
    }
}

impl PartialOrd for Guard {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.view.cmp(&other.view) {
            Ordering::Equal => self.input.partial_cmp(&other.input),
            different => Some(different),
        }
    }
}

// No predicate over a column passes: `prevent_predicate_push_down_columns` names all of them unless it is written.
impl UserDefinedLogicalNodeCore for Guard {
    fn name(&self) -> &str {
        "Guard"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guard: {}", self.view)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (inputs.pop(), inputs.is_empty() && exprs.is_empty()) {
            (Some(input), true) => Ok(Self {
                input,
                view: self.view.clone(),
            }),
            _ => internal_err!("a guard has one input and no expressions"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

/// A view in an explanation for somebody who may not see what it reads. It is never run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct HiddenView {
    view: String,
    schema: DFSchemaRef,
}

impl PartialOrd for HiddenView {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.view == other.view).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for HiddenView {
    fn name(&self) -> &str {
        "View"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View: {}", self.view)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}

/// Moves the predicates that cannot fail below barriers, so that views prune as ever.
#[derive(Debug)]
pub(crate) struct LeakproofPredicates;

impl OptimizerRule for LeakproofPredicates {
    fn name(&self) -> &str {
        "leakproof_predicates"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let Some(guard) = Guard::of(&filter.input) else {
            return Ok(Transformed::no(plan));
        };
        let parts = split_conjunction_owned(filter.predicate.clone());
        let (harmless, others): (Vec<Expr>, Vec<Expr>) = parts.into_iter().partition(is_leakproof);
        let Some(harmless) = conjunction(harmless) else {
            return Ok(Transformed::no(plan));
        };
        let below = Filter::try_new(harmless, Arc::new(guard.input.clone()))?;
        let guarded = Guard::before(guard.view.clone(), LogicalPlan::Filter(below));
        Ok(Transformed::yes(match conjunction(others) {
            Some(others) => LogicalPlan::Filter(Filter::try_new(others, Arc::new(guarded))?),
            None => guarded,
        }))
    }
}

/// Functions that give a value for every value, put into plans by rules.
const LEAKPROOF: [&str; 1] = ["canonical_float"];

/// Whether an expression gives a value for every row: none fails, and none is evaluated for its effect.
fn is_leakproof(expr: &Expr) -> bool {
    let may_fail = |part: &Expr| {
        !match part {
            Expr::Column(_)
            | Expr::Literal(..)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Between(_)
            | Expr::TryCast(_) => true,
            Expr::InList(InList { list, .. }) => list.iter().all(|item| matches!(item, Expr::Literal(..))),
            Expr::BinaryExpr(BinaryExpr { op, .. }) => matches!(
                op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
                    | Operator::And
                    | Operator::Or
            ),
            // A pattern with an escape at its end fails where there is a row.
            Expr::Like(like) => {
                like.escape_char.is_none()
                    && matches!(like.pattern.as_ref(), Expr::Literal(pattern, _) if !pattern.to_string().contains('\\'))
            }
            Expr::ScalarFunction(call) => LEAKPROOF.contains(&call.name()),
            _ => false,
        }
    };
    !expr.exists(|part| Ok(may_fail(part))).unwrap_or(true)
}

/// Plans [`Guard`] as [`GuardExec`].
#[derive(Debug)]
pub struct GuardPlanner;

#[async_trait]
impl ExtensionPlanner for GuardPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        Ok(match (node.as_any().is::<Guard>(), inputs) {
            (true, [input]) => Some(Arc::new(GuardExec::new(Arc::clone(input)))),
            _ => None,
        })
    }
}

/// Hands on the rows of its input. No predicate, no projection and no limit passes it, and it tells no statistics.
#[derive(Debug)]
pub struct GuardExec {
    input: Arc<dyn ExecutionPlan>,
}

impl GuardExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input }
    }
}

impl DisplayAs for GuardExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuardExec")
    }
}

impl ExecutionPlan for GuardExec {
    fn name(&self) -> &str {
        "GuardExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
            (Some(input), true) => Ok(Arc::new(Self::new(input))),
            _ => internal_err!("GuardExec has one child"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
