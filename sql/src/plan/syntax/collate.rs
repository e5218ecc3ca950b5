//! `x COLLATE "C"`: strings are compared byte by byte, which is the order of that collation.

use datafusion::common::DataFusionError;
use sqlparser::ast::{Expr, Value};
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use crate::dialect::folded;

/// Collations that order strings by their bytes, here and in PostgreSQL or DuckDB.
const BY_BYTES: [&str; 7] = [
    "c",
    "posix",
    "ucs_basic",
    "c.utf-8",
    "c.utf8",
    "default",
    "binary",
];

pub(super) fn rewrite(expr: &mut Expr) -> Result<(), DataFusionError> {
    let Expr::Collate {
        expr: value,
        collation,
    } = expr
    else {
        return Ok(());
    };
    let name = collation.0.last().and_then(|part| part.as_ident()).map(folded);
    let name = name.unwrap_or_default();
    if !BY_BYTES.contains(&name.to_lowercase().as_str()) {
        let error = Error::new(
            SqlState::UndefinedObject,
            format!("collation \"{name}\" does not exist"),
        );
        return Err(into_datafusion(error.with_hint(
            "Strings are compared byte by byte, as by COLLATE \"C\". Compare lower(x) to ignore case.",
        )));
    }
    let value = std::mem::replace(value.as_mut(), Expr::value(Value::Null));
    *expr = Expr::Nested(Box::new(value));
    Ok(())
}
