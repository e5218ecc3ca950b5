//! Number literals: what has an exponent is a DOUBLE, as in standard SQL and in DuckDB, and all else is exact.
//!
//! DataFusion's planner reads literals as decimals, with exponents too, of which 1e300 has more digits than
//! any decimal.

use std::ops::ControlFlow;

use sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut,
};

/// The most digits of a decimal.
const MAX_DIGITS: usize = 38;

/// The one integer that is only there with its sign.
const LEAST: &str = "9223372036854775808";

/// Writes the literals below a node so that DataFusion's planner reads them as they are meant.
pub(super) fn rewrite(node: &mut impl VisitMut) {
    let walked = node.visit(&mut Numerals);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
}

struct Numerals;

impl VisitorMut for Numerals {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr: inner,
            } if numeral(inner) == Some(LEAST) => {
                let text = format!("-{LEAST}");
                *expr = Expr::Value(Value::Number(text, false).into());
            }
            Expr::Value(ValueWithSpan {
                value: Value::Number(text, _),
                ..
            }) => {
                if is_double(text) {
                    to_double(expr);
                } else if is_long(text) {
                    // With a point it is a decimal, and not an unsigned integer.
                    text.push('.');
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The text of a number literal, be it after a sign.
fn numeral(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::Number(text, _),
            ..
        }) => Some(text),
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } => numeral(expr),
        _ => None,
    }
}

/// Whether it has an exponent, or more digits than a decimal.
fn is_double(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.contains(['e', 'E']) || significant(text) > MAX_DIGITS && digits > MAX_DIGITS
}

/// Digits without the zeros before the number.
fn significant(text: &str) -> usize {
    let text = text.trim_start_matches('0');
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// Whether it is an integer beyond BIGINT.
fn is_long(text: &str) -> bool {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    !digits.contains('.') && digits.parse::<i64>().is_err()
}

fn to_double(expr: &mut Expr) {
    let Some(text) = numeral(expr) else { return };
    let text: String = text.chars().filter(|c| *c != '_').collect();
    *expr = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Value(Value::SingleQuotedString(text).into())),
        data_type: DataType::Double(ExactNumberInfo::None),
        array: false,
        format: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::parse_expression;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut expr = parse_expression(text).unwrap();
        rewrite(&mut expr);
        assert_eq!(expr.to_string(), expected);
    }

    #[test]
    fn exponents_make_doubles() {
        check("1e3", "CAST('1e3' AS DOUBLE)");
        check("-1.5E-10 + x", "-CAST('1.5E-10' AS DOUBLE) + x");
        check("1.5", "1.5");
        check("7", "7");
    }

    #[test]
    fn integers_beyond_bigint_are_decimals() {
        check("9223372036854775807", "9223372036854775807");
        check("9223372036854775808", "9223372036854775808.");
        check("-9223372036854775808", "-9223372036854775808");
        check("-9223372036854775809", "-9223372036854775809.");
        let long = "1".repeat(39);
        check(&long, &format!("CAST('{long}' AS DOUBLE)"));
        check(&format!("0.{long}"), &format!("CAST('0.{long}' AS DOUBLE)"));
    }
}
