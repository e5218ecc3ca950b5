//! `json @> json` and `json_contains`: whether one value holds another.

use datafusion::common::Result;
use serde_json::Value;
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

/// By PostgreSQL's rules; NULL where one of them is NULL or no JSON.
pub(super) fn holds(json: Option<&str>, part: Option<&str>) -> Option<bool> {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (json, part) = (read(json?)?, read(part?)?);
    Some(match (&json, &part) {
        // A list holds what is no list, too, though only at the top.
        (Value::Array(items), part) if !part.is_array() && !part.is_object() => {
            items.iter().any(|item| equal(item, part))
        }
        _ => within(&json, &part),
    })
}

/// `json_contains(json, part)`, by DuckDB's rules: whether a value, or any value within it, holds another. NULL where the
/// first is NULL or no JSON, or the second is NULL.
pub(super) fn contains(json: Option<&str>, part: Option<&str>) -> Result<Option<bool>> {
    let (Some(json), Some(part)) = (json, part) else {
        return Ok(None);
    };
    let part: Value = serde_json::from_str(part).map_err(|error| {
        let error = Error::new(
            SqlState::InvalidTextRepresentation,
            format!("{part:?} is no JSON"),
        )
        .with_detail(error.to_string())
        .with_hint("A text is a value of JSON with its quotes; for a key, write json ? 'key'.");
        into_datafusion(error)
    })?;
    let json: Option<Value> = serde_json::from_str(json).ok();
    Ok(json.map(|json| anywhere(&json, &part)))
}

fn anywhere(json: &Value, part: &Value) -> bool {
    within(json, part)
        || match json {
            Value::Array(items) => items.iter().any(|item| anywhere(item, part)),
            Value::Object(all) => all.values().any(|value| anywhere(value, part)),
            _ => false,
        }
}

/// Values nest no deeper than serde_json reads them, 128 levels.
fn within(json: &Value, part: &Value) -> bool {
    match (json, part) {
        (Value::Object(all), Value::Object(some)) => some
            .iter()
            .all(|(key, part)| all.get(key).is_some_and(|value| within(value, part))),
        (Value::Array(all), Value::Array(some)) => some
            .iter()
            .all(|part| all.iter().any(|value| within(value, part))),
        _ => equal(json, part),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.as_f64() == b.as_f64() && a.is_f64() != b.is_f64())
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containment() {
        for (json, part, expected) in [
            (
                r#"{"a": 1, "b": {"c": [1, 2]}}"#,
                r#"{"b": {"c": [2]}}"#,
                Some(true),
            ),
            (r#"{"a": 1}"#, r#"{"a": 2}"#, Some(false)),
            ("[1, [1, 3]]", "[[3]]", Some(true)),
            ("[1, 2]", "2", Some(true)),
            ("[[1]]", "1", Some(false)),
            ("1", "[1]", Some(false)),
            ("1", "1.0", Some(true)),
            ("[1]", "[]", Some(true)),
            ("{", "{}", None),
        ] {
            assert_eq!(holds(Some(json), Some(part)), expected, "{json} @> {part}");
        }
        assert_eq!(holds(None, Some("1")), None);
    }

    #[test]
    fn containment_anywhere() {
        for (json, part, expected) in [
            (r#"{"a": 1, "b": [1, 2]}"#, "2", Some(true)),
            (r#"{"a": {"b": {"c": 1, "d": 2}}}"#, r#"{"d": 2}"#, Some(true)),
            ("[[1, 3], 2]", "[3]", Some(true)),
            (r#"{"a": 1}"#, r#""a""#, Some(false)),
            ("{", "1", None),
        ] {
            assert_eq!(
                contains(Some(json), Some(part)).unwrap(),
                expected,
                "{json}, {part}"
            );
        }
        assert!(contains(Some("{}"), Some("a")).is_err());
    }
}
