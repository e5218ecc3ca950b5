//! Constants that are so large that they cannot stand beside every row of a usual batch.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use watershed_core::{Error, Result, SqlState};
use watershed_storage::error::from_datafusion;

/// Constants of fewer bytes are not counted.
const LEAST: usize = 1 << 10;
/// The most bytes of all that are counted.
const MOST: usize = 256 << 20;
/// What the constants beside the rows of one batch may take.
const BATCH_BYTES: usize = 256 << 20;

/// The bytes of the large constants of a plan that is optimized, so that what can be computed is.
pub(super) fn bytes(plan: &LogicalPlan) -> Result<usize> {
    let mut bytes = 0_usize;
    plan.apply_with_subqueries(|node| {
        // What stands in rows does so once.
        if !matches!(node, LogicalPlan::Values(_)) {
            node.apply_expressions(|expr| {
                expr.apply(|expr| {
                    if let Expr::Literal(value, _) = expr {
                        bytes = bytes
                            .saturating_add(Some(value.size()).filter(|size| *size >= LEAST).unwrap_or(0));
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(from_datafusion)?;
    match bytes > MOST {
        true => Err(Error::new(
            SqlState::OutOfMemory,
            format!("the constants of the statement take {bytes} bytes"),
        )
        .with_hint(format!("All constants of a statement may have {MOST} bytes."))),
        false => Ok(bytes),
    }
}

/// How many rows may have such constants beside each of them; none if that is no limit.
pub(super) fn rows(bytes: usize) -> Option<usize> {
    let rows = BATCH_BYTES.checked_div(bytes)?;
    Some(rows.max(1))
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn constants_are_counted_where_they_stand_beside_rows() {
        let long = "x".repeat(100_000);
        for (sql, expected) in [
            ("SELECT 'short' FROM range(3)".to_owned(), 0),
            (format!("SELECT '{long}' FROM range(3)"), 100_000),
            (format!("SELECT * FROM (VALUES ('{long}'))"), 0),
            (
                format!("SELECT (SELECT max('{long}' || value) FROM range(2)) FROM range(3)"),
                100_000,
            ),
        ] {
            let plan = SessionContext::new()
                .sql(&sql)
                .await
                .unwrap()
                .into_unoptimized_plan();
            let bytes = bytes(&plan).unwrap();
            assert!((expected..expected + 1_000).contains(&bytes), "{bytes}");
        }
        assert_eq!(rows(0), None);
        assert_eq!(rows(1 << 20), Some(256));
        assert_eq!(rows(usize::MAX), Some(1));
    }
}
