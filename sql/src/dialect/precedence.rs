//! Which operators bind tighter than others: PostgreSQL's table.
//!
//! From tight to loose: `.`, `::`, a sign, `AT TIME ZONE`, `^`, `* / %`, `+ -`, all other operators
//! (`||`, `->`, `&`, `~`, `<<`, …), `BETWEEN IN LIKE`, comparisons, `IS`, `NOT`, `AND`, `OR`. Operators of
//! one level are read from left to right. sqlparser has a table of its own, and reads the operands of some
//! operators at a fixed level, so that those are read here.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
use sqlparser::dialect::Precedence;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

const OR: u8 = 5;
const XOR: u8 = 7;
const AND: u8 = 10;
const NOT: u8 = 15;
const IS: u8 = 20;
const COMPARISON: u8 = 25;
const BETWEEN: u8 = 30;
const OTHER: u8 = 35;
const PLUS: u8 = 40;
const TIMES: u8 = 45;
const POWER: u8 = 50;
const AT_TIME_ZONE: u8 = 55;
const SIGN: u8 = 60;
const CAST: u8 = 70;
const PERIOD: u8 = 100;

/// The level of each of sqlparser's classes of operators.
pub(super) fn value(class: Precedence) -> u8 {
    match class {
        Precedence::Period => PERIOD,
        Precedence::DoubleColon => CAST,
        Precedence::AtTz => AT_TIME_ZONE,
        Precedence::Caret => POWER,
        Precedence::MulDivModOp => TIMES,
        Precedence::PlusMinus => PLUS,
        Precedence::PgOther | Precedence::Ampersand | Precedence::Pipe | Precedence::Colon => OTHER,
        Precedence::Between | Precedence::Like => BETWEEN,
        Precedence::Eq => COMPARISON,
        Precedence::Is => IS,
        Precedence::UnaryNot => NOT,
        Precedence::And => AND,
        Precedence::Xor => XOR,
        Precedence::Or => OR,
    }
}

/// The level of the next operator, where sqlparser puts it into another class than PostgreSQL.
pub(super) fn next(parser: &Parser<'_>) -> Option<u8> {
    match &parser.peek_token_ref().token {
        Token::StringConcat
        | Token::Sharp
        | Token::ShiftLeft
        | Token::ShiftRight
        | Token::Overlap
        | Token::CaretAt
        | Token::Tilde
        | Token::TildeAsterisk
        | Token::ExclamationMarkTilde
        | Token::ExclamationMarkTildeAsterisk
        | Token::DoubleTilde
        | Token::DoubleTildeAsterisk
        | Token::ExclamationMarkDoubleTilde
        | Token::ExclamationMarkDoubleTildeAsterisk => Some(OTHER),
        // It separates keys from values and the bounds of slices, and is no operator.
        Token::Colon => Some(0),
        _ => None,
    }
}

/// Reads `-x`, `+x`, `~x` and `NOT x`, whose operands sqlparser reads at other levels.
pub(super) fn prefix(parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
    let (op, level) = match &parser.peek_token_ref().token {
        Token::Minus => (UnaryOperator::Minus, SIGN),
        Token::Plus => (UnaryOperator::Plus, SIGN),
        Token::Tilde => (UnaryOperator::BitwiseNot, OTHER),
        Token::Word(word) if word.keyword == Keyword::NOT => (UnaryOperator::Not, NOT),
        _ => return None,
    };
    parser.advance_token();
    Some(parser.parse_subexpr(level).map(|operand| match (op, operand) {
        (
            UnaryOperator::Not,
            Expr::Exists {
                subquery,
                negated: false,
            },
        ) => Expr::Exists {
            subquery,
            negated: true,
        },
        (op, operand) => Expr::UnaryOp {
            op,
            expr: Box::new(operand),
        },
    }))
}

/// Reads what follows a left operand, where sqlparser reads the right one at another level or takes the
/// operator for another: `IS [NOT] DISTINCT FROM`, `^` and `#`.
pub(super) fn infix(parser: &mut Parser<'_>, left: &Expr) -> Option<Result<Expr, ParserError>> {
    let (op, level) = match &parser.peek_token_ref().token {
        Token::Caret => (BinaryOperator::PGExp, POWER),
        Token::Sharp => (BinaryOperator::PGBitwiseXor, OTHER),
        Token::Word(word) if word.keyword == Keyword::IS => return distinct_from(parser, left),
        _ => return None,
    };
    parser.advance_token();
    Some(parser.parse_subexpr(level).map(|right| Expr::BinaryOp {
        left: Box::new(left.clone()),
        op,
        right: Box::new(right),
    }))
}

fn distinct_from(parser: &mut Parser<'_>, left: &Expr) -> Option<Result<Expr, ParserError>> {
    let not = parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]);
    if !not && !parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
        return None;
    }
    Some(parser.parse_subexpr(IS).map(|right| {
        let (left, right) = (Box::new(left.clone()), Box::new(right));
        match not {
            true => Expr::IsNotDistinctFrom(left, right),
            false => Expr::IsDistinctFrom(left, right),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::parse_expression;

    /// Operators between two operands, tightest level first.
    const LEVELS: &[&[&str]] = &[
        &["AT TIME ZONE"],
        &["^"],
        &["*", "/", "%"],
        &["+", "-"],
        &[
            "||", "->", "->>", "&", "|", "#", "<<", ">>", "~", "!~", "~*", "@>",
        ],
        &["LIKE", "NOT LIKE", "ILIKE"],
        &["=", "<>", "<", "<=", ">", ">="],
        &["IS DISTINCT FROM", "IS NOT DISTINCT FROM"],
        &["AND"],
        &["OR"],
    ];
    /// Levels whose operators do not follow each other in PostgreSQL.
    const ALONE: [usize; 3] = [5, 6, 7];

    fn same(written: &str, meant: &str) {
        let read = |sql: &str| {
            let expr = parse_expression(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            without_brackets(expr)
        };
        assert_eq!(read(written), read(meant), "{written} is not {meant}");
    }

    /// Without brackets and without places in the text: as operators are nested.
    fn without_brackets(mut expr: Expr) -> String {
        struct Brackets;
        impl sqlparser::ast::VisitorMut for Brackets {
            type Break = ();
            fn post_visit_expr(&mut self, expr: &mut Expr) -> std::ops::ControlFlow<()> {
                while let Expr::Nested(inner) = expr {
                    *expr = (**inner).clone();
                }
                if let Expr::Value(value) = expr {
                    *expr = Expr::Value(value.value.clone().into());
                }
                if let Expr::Identifier(ident) = expr {
                    *expr = Expr::Identifier(ident.value.as_str().into());
                }
                std::ops::ControlFlow::Continue(())
            }
        }
        let walked = sqlparser::ast::VisitMut::visit(&mut expr, &mut Brackets);
        assert!(walked.is_continue());
        format!("{expr:?}")
    }

    #[test]
    fn every_pair_of_operators() {
        for (i, first_level) in LEVELS.iter().enumerate() {
            for (j, second_level) in LEVELS.iter().enumerate() {
                if i == j && ALONE.contains(&i) {
                    continue;
                }
                for first in *first_level {
                    for second in *second_level {
                        let written = format!("a {first} b {second} c");
                        let meant = match i <= j {
                            true => format!("(a {first} b) {second} c"),
                            false => format!("a {first} (b {second} c)"),
                        };
                        same(&written, &meant);
                    }
                }
            }
        }
    }

    #[test]
    fn operators_before_and_behind_an_operand() {
        for (level, operators) in LEVELS.iter().enumerate() {
            for op in *operators {
                same(&format!("-a {op} b"), &format!("(-a) {op} b"));
                same(&format!("a {op} -b"), &format!("a {op} (-b)"));
                same(&format!("a {op} b::int"), &format!("a {op} (b::int)"));
                same(&format!("a::int {op} b"), &format!("(a::int) {op} b"));
                // NOT, IS NULL and the like stand between comparisons and AND.
                let loose = level > 7;
                let meant = match loose {
                    true => format!("(NOT a) {op} b"),
                    false => format!("NOT (a {op} b)"),
                };
                same(&format!("NOT a {op} b"), &meant);
                let meant = match level > 6 {
                    true => format!("a {op} (b IS NULL)"),
                    false => format!("(a {op} b) IS NULL"),
                };
                if level != 7 {
                    same(&format!("a {op} b IS NULL"), &meant);
                }
                let meant = match level > 4 {
                    true => format!("(~a) {op} b"),
                    false => format!("~(a {op} b)"),
                };
                if level != 4 {
                    same(&format!("~a {op} b"), &meant);
                }
                for (test, tight) in [("IN (c, d)", 5), ("BETWEEN c AND d", 5), ("NOT IN (c)", 5)] {
                    if level == tight {
                        continue;
                    }
                    let meant = match level > tight {
                        true => format!("a {op} (b {test})"),
                        false => format!("(a {op} b) {test}"),
                    };
                    same(&format!("a {op} b {test}"), &meant);
                }
                if level < 5 {
                    same(
                        &format!("x BETWEEN a {op} b AND c {op} d"),
                        &format!("x BETWEEN (a {op} b) AND (c {op} d)"),
                    );
                }
                if level > 5 {
                    same(
                        &format!("x BETWEEN a AND b {op} c"),
                        &format!("(x BETWEEN a AND b) {op} c"),
                    );
                    same(&format!("x IN (a) {op} c"), &format!("(x IN (a)) {op} c"));
                }
            }
        }
        same("-a::int", "-(a::int)");
        same("- - a", "-(-a)");
        same("-a ^ -b", "(-a) ^ (-b)");
        same("NOT NOT a = b", "NOT (NOT (a = b))");
        // Places within the subquery differ, so that its form is looked at.
        let found = parse_expression("NOT EXISTS (SELECT 1) IS NULL").unwrap();
        assert!(
            matches!(
                found,
                Expr::UnaryOp {
                    op: UnaryOperator::Not,
                    ..
                }
            ),
            "{found}"
        );
        same("NOT a BETWEEN b AND c OR d", "(NOT (a BETWEEN b AND c)) OR d");
        same("a IS NOT NULL = b OR c", "((a IS NOT NULL) = b) OR c");
        same("a AND b IS NOT TRUE", "a AND (b IS NOT TRUE)");
        same("'kind ' || 5 % 3", "'kind ' || (5 % 3)");
    }
}
