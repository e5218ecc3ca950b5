//! `json @> json`: whether one value holds another, by PostgreSQL's rules.

use serde_json::Value;

/// NULL where one of them is NULL or no JSON.
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
}
