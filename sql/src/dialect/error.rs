//! Errors of sqlparser, told as ours: with a code, and the place pulled out of the text.

use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, TokenizerError};
use watershed_core::error::{Error, Position, SqlState};

use super::grammar::Grammar;

/// Stands between sqlparser's message and its place.
const PLACE: &str = " at Line: ";

pub(crate) fn position(location: Location) -> Option<Position> {
    // Line 0 is sqlparser's word for "nowhere".
    (location.line > 0).then_some(Position {
        line: location.line,
        column: location.column,
    })
}

/// An error at a place, if it is one.
pub(crate) fn at(error: Error, location: Location) -> Error {
    match position(location) {
        Some(position) => error.with_position(position),
        None => error,
    }
}

pub(crate) fn syntax(message: impl Into<String>, location: Location) -> Error {
    at(Error::new(SqlState::SyntaxError, message), location)
}

pub(crate) fn from_tokenizer(error: TokenizerError) -> Error {
    syntax(lower_first(&error.message), error.location)
}

pub(crate) fn from_parser(error: ParserError) -> Error {
    match error {
        _ if Grammar::gave_up() => super::limits::too_tangled(),
        ParserError::RecursionLimitExceeded => super::limits::too_deep(),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => from_text(&text),
    }
}

fn from_text(text: &str) -> Error {
    let (message, place) = match text.rfind(PLACE) {
        Some(start) => (&text[..start], read_place(&text[start + PLACE.len()..])),
        None => (text, None),
    };
    let message = match message
        .strip_prefix("Expected")
        .map(|rest| rest.trim_start_matches(':').trim_start())
        .and_then(|rest| rest.split_once(", found: "))
    {
        Some((expected, found)) => {
            let expected = expected.trim_end_matches(':');
            match found {
                "EOF" => format!("expected {expected}, but the statement ends"),
                found => format!("expected {expected}, found {found}"),
            }
        }
        None => lower_first(message),
    };
    let error = Error::new(SqlState::SyntaxError, message);
    match place {
        Some(position) => error.with_position(position),
        None => error,
    }
}

fn read_place(text: &str) -> Option<Position> {
    let (line, column) = text.split_once(", Column: ")?;
    Some(Position {
        line: line.trim().parse().ok()?,
        column: column.trim().parse().ok()?,
    })
}

fn lower_first(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
