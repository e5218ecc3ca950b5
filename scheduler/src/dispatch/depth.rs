//! How deep a plan nests once it is encoded. Decoders of Protocol Buffers stop at a hundred levels, so
//! what nests deeper runs where it need not be encoded.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr};
use datafusion::physical_plan::ExecutionPlan;

/// A decoder's hundred, less what stands around a plan in its message.
const LEVELS_MAX: usize = 92;

/// Whether the plan can be sent to another process.
pub(super) fn travels(plan: &Arc<dyn ExecutionPlan>) -> bool {
    levels_of_plan(plan) <= LEVELS_MAX
}

/// A node is a message in a message.
fn levels_of_plan(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let mut deepest = 0;
    let walked = plan.apply_expressions(&mut |expr| {
        // An aggregate's arguments stand in a message of its own.
        deepest = deepest.max(2 + levels_of_expr(expr, None));
        Ok(TreeNodeRecursion::Continue)
    });
    if walked.is_err() {
        return usize::MAX / 2;
    }
    let below = plan
        .children()
        .into_iter()
        .map(levels_of_plan)
        .max()
        .unwrap_or_default();
    2 + deepest.max(below)
}

fn levels_of_expr(expr: &Arc<dyn PhysicalExpr>, chain: Option<Operator>) -> usize {
    let operator = expr.downcast_ref::<BinaryExpr>().map(|binary| *binary.op());
    let own = if operator.is_some() && operator == chain {
        // A chain of one operator is encoded flat.
        0
    } else if expr.is::<CaseExpr>() {
        3
    } else {
        2
    };
    own + expr
        .children()
        .into_iter()
        .map(|child| levels_of_expr(child, operator))
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Schema;
    use datafusion::physical_expr::expressions::{binary, lit, not};

    use super::*;

    #[test]
    fn nesting_counts_and_chains_do_not() {
        let mut nested = lit(true);
        let mut chained = lit(true);
        for _ in 0..50 {
            nested = not(nested).unwrap();
            chained = binary(chained, Operator::And, lit(true), &Schema::empty()).unwrap();
        }
        assert_eq!(levels_of_expr(&nested, None), 102);
        assert_eq!(levels_of_expr(&chained, None), 4);
    }
}
