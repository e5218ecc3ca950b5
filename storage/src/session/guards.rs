//! Rules of DataFusion's optimizer that are wrong for some plans, each behind a guard. The file of a guard says for which.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::{dependencies, distinct, empty_branches, joins, leaves, totals};

pub(super) type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// Rewrites a plan with a rule where that is right, and in another way where it is not.
type Rewrite = fn(&Rule, LogicalPlan, &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>>;

pub(super) struct Guard {
    /// The names of the rules.
    pub(super) rules: &'static [&'static str],
    pub(super) rewrite: Rewrite,
}

const GUARDS: [Guard; 6] = [
    dependencies::GUARD,
    distinct::GUARD,
    empty_branches::GUARD,
    joins::GUARD,
    leaves::GUARD,
    totals::GUARD,
];

/// The rules, those with a guard behind it.
pub(super) fn guarded(rules: &[Rule]) -> Vec<Rule> {
    let guard = |rule: &Rule| {
        let guards = GUARDS.iter().filter(|guard| guard.rules.contains(&rule.name()));
        guards.fold(Arc::clone(rule), |rule, guard| {
            Arc::new(Guarded {
                rule,
                rewrite: guard.rewrite,
            })
        })
    };
    rules.iter().map(guard).collect()
}

#[derive(Debug)]
struct Guarded {
    rule: Rule,
    rewrite: Rewrite,
}

impl OptimizerRule for Guarded {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        (self.rewrite)(&self.rule, plan, config)
    }
}

#[cfg(test)]
mod tests {
    use super::super::TEMPLATE;
    use super::*;

    #[test]
    fn guarded_rules_are_there() {
        let rules: Vec<&str> = TEMPLATE.optimizers().iter().map(|rule| rule.name()).collect();
        let guarded = GUARDS.iter().flat_map(|guard| guard.rules);
        for name in guarded.chain(&["distinct_windows"]) {
            assert!(rules.contains(name), "{name} of {rules:?}");
        }
    }
}
