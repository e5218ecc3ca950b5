//! What may stand in FROM elsewhere and not here, refused in the words of the statement.

use datafusion::common::DataFusionError;
use sqlparser::ast::{JoinConstraint, JoinOperator, Spanned as _, TableFactor, TableWithJoins};
use watershed_core::error::Error;
use watershed_storage::error::into_datafusion;

use super::using::constraint;
use crate::dialect::syntax_error;

/// An error for an item of FROM that is not supported.
pub(super) fn check(factor: &TableFactor) -> Result<(), DataFusionError> {
    let (what, hint) = match factor {
        TableFactor::Pivot { .. } => (
            "PIVOT",
            "Write an aggregate with FILTER for each value: sum(x) FILTER (WHERE k = 1), with GROUP BY.",
        ),
        TableFactor::Unpivot { .. } => (
            "UNPIVOT",
            "Write a SELECT for each column and join them with UNION ALL, or use unnest(ARRAY[a, b]).",
        ),
        TableFactor::JsonTable { .. } => (
            "JSON_TABLE",
            "Read values with ->>, and arrays with json_get_array.",
        ),
        TableFactor::OpenJsonTable { .. } => (
            "OPENJSON",
            "Read values with ->>, and arrays with json_get_array.",
        ),
        TableFactor::XmlTable { .. } => ("XMLTABLE", "Bring the data in as JSON, CSV or Parquet."),
        TableFactor::MatchRecognize { .. } => (
            "MATCH_RECOGNIZE",
            "Compare rows with lag() and lead() in a subquery.",
        ),
        TableFactor::SemanticView { .. } => ("SEMANTIC_VIEW", "Use a view."),
        _ => return Ok(()),
    };
    Err(into_datafusion(
        Error::unsupported(format!("{what} is not supported")).with_hint(hint),
    ))
}

/// An error for a join without a condition, which DataFusion takes for one of all pairs: an alias such as in
/// `a positional JOIN b` would be all that is left of what was meant.
pub(super) fn check_joins(from: &TableWithJoins) -> Result<(), DataFusionError> {
    let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    for factor in factors {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            check_joins(table_with_joins)?;
        }
    }
    for join in &from.joins {
        let without = matches!(constraint(&join.join_operator), Some(JoinConstraint::None));
        if without && !matches!(join.join_operator, JoinOperator::CrossJoin(_)) {
            let error = syntax_error("a join has no condition", join.relation.span().start)
                .with_hint("Write ON or USING behind it, or CROSS JOIN for all pairs.");
            return Err(into_datafusion(error));
        }
    }
    Ok(())
}
