//! Texts that stand for arrays in `VALUES`: `'["a", "b"]'` and `'{a,b}'`.

use sqlparser::ast::{Array, Expr, SetExpr, Value, ValueWithSpan};
use sqlparser::tokenizer::Span;
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::layout::ColumnType;

use crate::dialect::at;

/// Replaces texts that go into columns of arrays. DataFusion would make an array of one text of each.
pub(super) fn arrays(body: &mut SetExpr, targets: &[&ColumnType]) -> Result<()> {
    let SetExpr::Values(values) = body else {
        return Ok(());
    };
    for row in &mut values.rows {
        for (value, target) in row.content.iter_mut().zip(targets) {
            let ColumnType::Array(element) = target else {
                continue;
            };
            if let Expr::Value(ValueWithSpan {
                value: Value::SingleQuotedString(text),
                span,
            }) = value
            {
                let found = read(text, element).ok_or_else(|| at(invalid(text, target), span.start))?;
                *value = found;
            }
        }
    }
    Ok(())
}

fn invalid(text: &str, target: &ColumnType) -> Error {
    let shown: String = text.chars().take(60).collect();
    Error::new(
        SqlState::InvalidTextRepresentation,
        format!("{shown:?} is no {}", target.sql()),
    )
    .with_hint("Write ARRAY['a', 'b'], or a JSON array as a text.")
}

fn read(text: &str, element: &ColumnType) -> Option<Expr> {
    let trimmed = text.trim();
    if trimmed.starts_with('[') {
        let values: Vec<serde_json::Value> = serde_json::from_str(trimmed).ok()?;
        return from_json(values, element);
    }
    let inner = trimmed.strip_prefix('{')?.strip_suffix('}')?;
    if inner.trim().is_empty() {
        return Some(array(Vec::new()));
    }
    // What is quoted or nested is left to JSON.
    if inner.contains(['{', '"', '\\']) || matches!(element, ColumnType::Array(_)) {
        return None;
    }
    let items = inner.split(',').map(str::trim);
    Some(array(
        items
            .map(|item| match item {
                item if item.eq_ignore_ascii_case("null") => value(Value::Null),
                item => value(Value::SingleQuotedString(item.to_owned())),
            })
            .collect(),
    ))
}

fn from_json(values: Vec<serde_json::Value>, element: &ColumnType) -> Option<Expr> {
    let items = values
        .into_iter()
        .map(|item| match (item, element) {
            (serde_json::Value::Null, _) => Some(value(Value::Null)),
            (serde_json::Value::Array(items), ColumnType::Array(inner)) => from_json(items, inner),
            (serde_json::Value::String(text), _) => Some(value(Value::SingleQuotedString(text))),
            (
                other @ (serde_json::Value::Object(_) | serde_json::Value::Array(_)),
                ColumnType::Json | ColumnType::String,
            ) => Some(value(Value::SingleQuotedString(other.to_string()))),
            (serde_json::Value::Object(_) | serde_json::Value::Array(_), _) => None,
            (other, _) => Some(value(Value::SingleQuotedString(other.to_string()))),
        })
        .collect::<Option<Vec<_>>>()?;
    Some(array(items))
}

fn value(value: Value) -> Expr {
    Expr::Value(ValueWithSpan {
        value,
        span: Span::empty(),
    })
}

fn array(elem: Vec<Expr>) -> Expr {
    Expr::Array(Array { elem, named: true })
}
