//! What sqlparser is told about our SQL: PostgreSQL's identifiers, and whatever DataFusion plans.

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::ast::Expr;
use sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

use super::precedence;
use super::prefix;

/// The dialect of every statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grammar;

/// Operands that any text may begin, and those that it may begin for each of its tokens. Most begin once or
/// twice; where sqlparser tries `f(…)` in one way and, if that fails, in another, each level of `f(f(f(…` doubles
/// their number.
const MIN_OPERANDS: usize = 10_000;
const OPERANDS_PER_TOKEN: usize = 16;

thread_local! {
    /// Operands that the text that is read may still begin. A parser stays on its thread.
    static OPERANDS_LEFT: Cell<usize> = const { Cell::new(0) };
}

impl Grammar {
    /// For a text of so many tokens that is read now.
    pub(super) fn begin(tokens: usize) -> &'static Self {
        OPERANDS_LEFT.set(MIN_OPERANDS + OPERANDS_PER_TOKEN * tokens);
        &Self
    }

    /// Whether reading was given up, as the text was read again and again.
    pub(super) fn gave_up() -> bool {
        OPERANDS_LEFT.get() == 0
    }
}

impl Dialect for Grammar {
    /// Counts, and reads what begins in a way of its own.
    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        OPERANDS_LEFT.set(OPERANDS_LEFT.get().saturating_sub(1));
        if Self::gave_up() {
            return Some(Err(ParserError::RecursionLimitExceeded));
        }
        prefix::read(parser).or_else(|| precedence::prefix(parser))
    }

    fn supports_trailing_commas(&self) -> bool {
        true
    }

    fn supports_limit_comma(&self) -> bool {
        true
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        expr: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        precedence::infix(parser, expr)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        precedence::next(parser).map(Ok)
    }

    /// Those of sqlparser's own, and what PostgreSQL reserves as well: a mistake within them is one, and no
    /// reason to read all of it once more as the call of a function of that name.
    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        use Keyword::{CAST, EXISTS, INTERVAL, STRUCT, TRIM, TRY_CAST};
        matches!(keyword, CAST | EXISTS | INTERVAL | STRUCT | TRIM | TRY_CAST)
    }

    /// The parser asks for dialects by type in many places; DataFusion is made for the generic one.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"'
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('"')
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        precedence::value(prec)
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_within_after_array_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_group_by_with_modifier(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_dictionary_syntax(&self) -> bool {
        true
    }

    fn support_map_literal_syntax(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn allow_extract_single_quotes(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_values_as_table_factor(&self) -> bool {
        true
    }

    fn supports_from_first_select(&self) -> bool {
        true
    }

    fn supports_select_wildcard_except(&self) -> bool {
        true
    }

    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }

    fn supports_select_wildcard_replace(&self) -> bool {
        true
    }

    fn supports_order_by_all(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }

    fn supports_struct_literal(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    fn supports_interval_options(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        true
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        true
    }
}
