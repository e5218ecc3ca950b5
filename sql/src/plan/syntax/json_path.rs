//! `json #> '{a,0}'` and `json #>> '{a,0}'`: a path as PostgreSQL writes one, as an array of its steps.

use sqlparser::ast::{Array, BinaryOperator, Expr, Value, ValueWithSpan};

/// Rewrites the path of a JSON operator; anything else stays.
pub(super) fn rewrite(expr: &mut Expr) {
    if let Expr::BinaryOp {
        op: BinaryOperator::HashArrow | BinaryOperator::HashLongArrow,
        right,
        ..
    } = expr
        && let Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(path),
            ..
        }) = right.as_ref()
        && let Some(steps) = steps(path)
    {
        **right = Expr::Array(Array {
            elem: steps
                .into_iter()
                .map(|step| Expr::value(Value::SingleQuotedString(step)))
                .collect(),
            named: true,
        });
    }
}

/// The elements of a text such as `{a,"b c",0}`. None if it is not of that form, or has none.
fn steps(path: &str) -> Option<Vec<String>> {
    let inner = path.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut steps = Vec::new();
    let mut rest = inner.trim_start();
    loop {
        let step;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut text = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                match chars.next()? {
                    (_, '\\') => text.push(chars.next()?.1),
                    (at, '"') => break at + 1,
                    (_, other) => text.push(other),
                }
            };
            step = text;
            rest = quoted.get(end..)?.trim_start();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            step = rest.get(..end)?.trim().to_owned();
            rest = rest.get(end..)?;
            if step.is_empty() {
                return None;
            }
        }
        steps.push(step);
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => return Some(steps),
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn paths() {
        assert_eq!(steps("{a, b,0}").unwrap(), ["a", "b", "0"]);
        assert_eq!(steps(r#"{"a,b" , "q\"", c d}"#).unwrap(), ["a,b", "q\"", "c d"]);
        for other in ["a", "{}", "{a", "{a,}", "{\"a}", "{\"a\"b}"] {
            assert_eq!(steps(other), None, "{other}");
        }
    }
}
