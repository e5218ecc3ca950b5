//! Functional dependencies, which say that some columns of a plan are unique or determine others. DataFusion derives false
//! ones: of `GROUP BY id, kind` over a join, `id` alone is taken for unique if it was below the join, and UNNEST, windows
//! and recursive queries leave unique what they repeat. Rules that read them drop a DISTINCT, a column of GROUP BY or the
//! rows of a join. No issue is known upstream for 55.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{
    DFSchema, DFSchemaRef, Dependency, FunctionalDependence, FunctionalDependencies, Result,
};
use datafusion::logical_expr::utils::grouping_set_expr_count;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};
use datafusion::optimizer::OptimizerConfig;

use super::guards::{Guard, Rule};

/// Of the rules that read functional dependencies.
pub(super) const GUARD: Guard = Guard {
    rules: &[
        "eliminate_join",
        "replace_distinct_aggregate",
        "optimize_projections",
        // It drops keys of ORDER BY that depend on earlier ones.
        "eliminate_duplicated_expr",
    ],
    rewrite,
};

fn rewrite(rule: &Rule, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
    // Rules that see one node at a time read dependencies at these.
    let reads =
        rule.apply_order().is_none() || matches!(plan, LogicalPlan::Distinct(_) | LogicalPlan::Sort(_));
    match reads {
        true => rule.rewrite(with_true_dependencies(plan)?, config),
        false => rule.rewrite(plan, config),
    }
}

/// A relation of FROM without functional dependencies: DataFusion's planner adds columns that depend on the keys of GROUP BY to
/// the keys, whereas SQL has an error for them.
pub fn without_dependencies(plan: LogicalPlan) -> Result<LogicalPlan> {
    if plan.schema().functional_dependencies().is_empty() {
        return Ok(plan);
    }
    let schema = with(plan.schema(), FunctionalDependencies::empty())?;
    Ok(match plan {
        LogicalPlan::SubqueryAlias(mut alias) => {
            alias.schema = schema;
            LogicalPlan::SubqueryAlias(alias)
        }
        LogicalPlan::Projection(mut projection) => {
            projection.schema = schema;
            LogicalPlan::Projection(projection)
        }
        other => {
            let columns = schema.columns().into_iter().map(Expr::Column).collect();
            LogicalPlan::Projection(Projection::try_new_with_schema(columns, Arc::new(other), schema)?)
        }
    })
}

fn with_true_dependencies(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        any = any || derives_false(node);
        Ok(match any {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    if !any {
        return Ok(plan);
    }
    let mut changed = false;
    let plan = plan.transform_up_with_subqueries(|node| {
        // What is above has its dependencies of what is below.
        let node = match (&node, changed) {
            (LogicalPlan::Unnest(_), _) | (_, false) => node,
            _ => node.recompute_schema()?,
        };
        match derives_false(&node) {
            true => {
                changed = true;
                corrected(node).map(Transformed::yes)
            }
            false => Ok(Transformed::new_transformed(node, changed)),
        }
    })?;
    Ok(plan.data)
}

fn derives_false(node: &LogicalPlan) -> bool {
    let stated = node.schema().functional_dependencies();
    match node {
        LogicalPlan::Aggregate(aggregate) => *stated != of_groups(aggregate),
        LogicalPlan::Unnest(_) | LogicalPlan::RecursiveQuery(_) => !stated.is_empty(),
        // A value of a window depends on a column only if that is unique.
        LogicalPlan::Window(_) => stated.iter().any(|one| one.mode != Dependency::Single),
        _ => false,
    }
}

fn corrected(node: LogicalPlan) -> Result<LogicalPlan> {
    Ok(match node {
        LogicalPlan::Aggregate(mut aggregate) => {
            aggregate.schema = with(&aggregate.schema, of_groups(&aggregate))?;
            LogicalPlan::Aggregate(aggregate)
        }
        LogicalPlan::Unnest(mut unnest) => {
            unnest.schema = with(&unnest.schema, FunctionalDependencies::empty())?;
            LogicalPlan::Unnest(unnest)
        }
        LogicalPlan::RecursiveQuery(mut recursive) => {
            let first = Arc::unwrap_or_clone(recursive.static_term);
            recursive.static_term = Arc::new(without_dependencies(first)?);
            LogicalPlan::RecursiveQuery(recursive)
        }
        LogicalPlan::Window(mut window) => {
            let stated = window.schema.functional_dependencies().iter();
            let unique = stated.filter(|one| one.mode == Dependency::Single).cloned();
            let unique = FunctionalDependencies::new(unique.collect());
            window.schema = with(&window.schema, unique)?;
            LogicalPlan::Window(window)
        }
        other => other,
    })
}

/// All columns of GROUP BY together are unique.
fn of_groups(aggregate: &Aggregate) -> FunctionalDependencies {
    let fields = aggregate.schema.fields();
    let has_sets = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
    let keys = match grouping_set_expr_count(&aggregate.group_expr) {
        Ok(keys) if keys > 0 && !has_sets => keys,
        _ => return FunctionalDependencies::empty(),
    };
    let nullable = fields.iter().take(keys).any(|field| field.is_nullable());
    let unique = FunctionalDependence::new((0..keys).collect(), (0..fields.len()).collect(), nullable);
    FunctionalDependencies::new(vec![unique.with_mode(Dependency::Single)])
}

fn with(schema: &DFSchemaRef, dependencies: FunctionalDependencies) -> Result<DFSchemaRef> {
    let schema = DFSchema::clone(schema).with_functional_dependencies(dependencies)?;
    Ok(Arc::new(schema))
}
