//! Paths into JSON, `$.a[0]."b c"`, as the steps that functions take.

use sqlparser::ast::{Expr, Value};

/// A value and the steps of the path that follows it. A text that begins with no `$` is one step.
pub(super) fn steps(args: Vec<Expr>) -> Option<Vec<Expr>> {
    let [value, path] = <[Expr; 2]>::try_from(args).ok()?;
    let Expr::Value(literal) = &path else {
        return Some(vec![value, path]);
    };
    let Value::SingleQuotedString(text) = &literal.value else {
        return Some(vec![value, path]);
    };
    let Some(text) = text.strip_prefix('$') else {
        return Some(vec![value, path]);
    };
    let mut steps = vec![value];
    steps.extend(read(text)?);
    // Functions take one step at least.
    (steps.len() > 1).then_some(steps)
}

fn read(mut rest: &str) -> Option<Vec<Expr>> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (inside, behind) = inner.split_once(']')?;
            steps.push(match inside.strip_prefix(['\'', '"']) {
                Some(quoted) => name(quoted.strip_suffix(['\'', '"'])?),
                None => index(inside)?,
            });
            rest = behind;
        } else {
            let inner = rest.strip_prefix('.')?;
            let (step, behind) = match inner.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len())),
            };
            if step.is_empty() || step == "*" {
                return None;
            }
            steps.push(name(step));
            rest = behind;
        }
    }
    Some(steps)
}

fn name(step: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(step.to_owned()).into())
}

fn index(step: &str) -> Option<Expr> {
    let index: u32 = step.parse().ok()?;
    Some(Expr::Value(Value::Number(index.to_string(), false).into()))
}
