//! `SIMILAR TO` and the ESCAPE characters of LIKE, written as what DataFusion evaluates: a match of a regular
//! expression, and a pattern whose escape character is the backslash. DataFusion takes a pattern of `SIMILAR
//! TO` for a regular expression that may match any part of a text.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Ident, Value, ValueWithSpan, VisitMut, VisitorMut};

use super::syntax::call;

/// The escape character where none is named.
const ESCAPE: &str = "\\";

/// Rewrites the patterns below a node.
pub(super) fn rewrite(node: &mut impl VisitMut) {
    let walked = node.visit(&mut Patterns);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
}

struct Patterns;

impl VisitorMut for Patterns {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Like {
                pattern, escape_char, ..
            }
            | Expr::ILike {
                pattern, escape_char, ..
            } => {
                if let Some(escape) = escape_char.take() {
                    convert("like_escape", pattern, escape);
                }
            }
            Expr::SimilarTo {
                negated,
                expr: text,
                pattern,
                escape_char,
            } => {
                let escape = escape_char
                    .take()
                    .unwrap_or_else(|| Value::SingleQuotedString(ESCAPE.to_owned()).into());
                convert("similar_to_escape", pattern, escape);
                let op = match negated {
                    true => BinaryOperator::PGRegexNotMatch,
                    false => BinaryOperator::PGRegexMatch,
                };
                *expr = Expr::Nested(Box::new(Expr::BinaryOp {
                    left: taken(text),
                    op,
                    right: taken(pattern),
                }));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn taken(expr: &mut Box<Expr>) -> Box<Expr> {
    std::mem::replace(expr, Box::new(Expr::Identifier(Ident::new(""))))
}

/// Puts the call of a function over a pattern and its escape character in the place of the pattern.
fn convert(function: &str, pattern: &mut Box<Expr>, escape: ValueWithSpan) {
    let args = vec![*taken(pattern), Expr::Value(escape)];
    **pattern = call(function, args);
}
