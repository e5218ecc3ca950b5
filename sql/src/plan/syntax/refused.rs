//! What may stand in FROM elsewhere and not here, refused in the words of the statement.

use datafusion::common::DataFusionError;
use sqlparser::ast::TableFactor;
use watershed_core::error::Error;
use watershed_storage::error::into_datafusion;

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
