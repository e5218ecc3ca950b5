//! `like_escape(pattern, escape)` and `similar_to_escape(pattern, escape)`, as in PostgreSQL: a pattern of LIKE
//! with another escape character as one with a backslash, and a pattern of SIMILAR TO as a regular expression.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;
use watershed_core::error::{Error, SqlState};

use super::function::function;
use crate::error::into_datafusion;

pub(super) fn udfs() -> [ScalarUDF; 2] {
    [
        function(
            "like_escape",
            &[],
            "like_escape(pattern, escape)",
            texts,
            |args, _| convert(args, with_backslashes),
        ),
        function(
            "similar_to_escape",
            &[],
            "similar_to_escape(pattern, escape)",
            texts,
            |args, _| convert(args, regular_expression),
        ),
    ]
}

fn texts(given: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let is_text = |kind: &DataType| kind.is_string() || *kind == DataType::Null;
    match given {
        [_, _] if given.iter().all(is_text) => Some((vec![DataType::Utf8, DataType::Utf8], DataType::Utf8)),
        _ => None,
    }
}

fn convert(args: &[ArrayRef], one: fn(&str, Option<char>) -> Result<String, Error>) -> Result<ArrayRef> {
    let [patterns, escapes] = args else {
        return exec_err!("a pattern and an escape character are expected");
    };
    let (patterns, escapes) = (patterns.as_string::<i32>(), escapes.as_string::<i32>());
    let converted = patterns.iter().zip(escapes).map(|pair| match pair {
        (Some(pattern), Some(text)) => escape(text)
            .and_then(|escape| one(pattern, escape))
            .map(Some)
            .map_err(into_datafusion),
        _ => Ok(None),
    });
    Ok(Arc::new(converted.collect::<Result<StringArray>>()?))
}

/// The escape character; none where the text is empty.
fn escape(text: &str) -> Result<Option<char>, Error> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::new(
            SqlState::InvalidEscapeCharacter,
            format!("the escape text '{text}' has more than one character"),
        )
        .with_hint("ESCAPE takes one character, or '' for none.")),
    }
}

fn cut_short(pattern: &str) -> Error {
    Error::new(
        SqlState::InvalidEscapeSequence,
        format!("the pattern '{pattern}' ends with its escape character"),
    )
    .with_hint("Write the escape character twice for itself.")
}

/// The pattern with a backslash for its escape character, and before backslashes that are characters.
fn with_backslashes(pattern: &str, escape: Option<char>) -> Result<String, Error> {
    let mut written = String::with_capacity(pattern.len() + 2);
    let mut chars = pattern.chars();
    while let Some(ch) = chars.next() {
        let escaped = Some(ch) == escape;
        let ch = match escaped {
            true => chars.next().ok_or_else(|| cut_short(pattern))?,
            false => ch,
        };
        let special = matches!(ch, '%' | '_');
        if ch == '\\' || special && escaped {
            written.push('\\');
        }
        written.push(ch);
    }
    Ok(written)
}

/// A regular expression that matches the whole of those texts that are similar to the pattern.
fn regular_expression(pattern: &str, escape: Option<char>) -> Result<String, Error> {
    let mut written = String::with_capacity(pattern.len() + 8);
    // A dot stands for a line break too.
    written.push_str("^(?s:");
    let mut chars = pattern.chars();
    while let Some(ch) = chars.next() {
        if Some(ch) == escape {
            literal(chars.next().ok_or_else(|| cut_short(pattern))?, &mut written);
            continue;
        }
        match ch {
            '%' => written.push_str(".*"),
            '_' => written.push('.'),
            '(' => written.push_str("(?:"),
            ')' | '|' | '*' | '+' | '?' | '{' | '}' => written.push(ch),
            '[' => brackets(&mut chars, escape, pattern, &mut written)?,
            ch => literal(ch, &mut written),
        }
        // The bounds of a repetition are digits and a comma; nothing else is to be read in them.
        if ch == '{' {
            let rest = chars.as_str();
            let end = rest.find('}').ok_or_else(|| broken(pattern, "a { without }"))?;
            written.push_str(&rest[..=end]);
            chars = rest[end + 1..].chars();
        }
    }
    written.push_str(")$");
    match regex::Regex::new(&written) {
        Ok(_) => Ok(written),
        Err(regex::Error::CompiledTooBig(_)) => Err(broken(pattern, "it is too large")),
        Err(_) => Err(broken(pattern, "a bracket or a repetition is misplaced")),
    }
}

fn broken(pattern: &str, why: &str) -> Error {
    Error::new(
        SqlState::InvalidRegularExpression,
        format!("'{pattern}' is not a pattern of SIMILAR TO: {why}"),
    )
    .with_hint("Write \\ before a character that stands for itself.")
}

fn literal(ch: char, written: &mut String) {
    if ch.is_ascii_punctuation() {
        written.push('\\');
    }
    written.push(ch);
}

/// The rest of `[…]`, whose characters are literal but for ranges, `^` at the beginning and classes such as
/// `[:alpha:]`.
fn brackets(
    chars: &mut std::str::Chars<'_>,
    escape: Option<char>,
    pattern: &str,
    written: &mut String,
) -> Result<(), Error> {
    let open = || broken(pattern, "a [ without ]");
    written.push('[');
    if let Some(rest) = chars.as_str().strip_prefix('^') {
        written.push('^');
        *chars = rest.chars();
    }
    let mut first = true;
    loop {
        let ch = chars.next().ok_or_else(open)?;
        if Some(ch) == escape {
            literal(chars.next().ok_or_else(|| cut_short(pattern))?, written);
        } else if ch == ']' && !first {
            written.push(']');
            return Ok(());
        } else if ch == '[' && chars.as_str().starts_with(':') {
            let rest = chars.as_str();
            let end = rest.find(":]").ok_or_else(open)?;
            written.push('[');
            written.push_str(&rest[..end + 2]);
            *chars = rest[end + 2..].chars();
        } else if ch == '-' && !first && !chars.as_str().starts_with(']') {
            written.push('-');
        } else {
            literal(ch, written);
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_like() {
        let check = |pattern: &str, escape: Option<char>, expected: &str| {
            assert_eq!(with_backslashes(pattern, escape).unwrap(), expected, "{pattern}");
        };
        check("a$_c", Some('$'), "a\\_c");
        check("a_c", Some('$'), "a_c");
        check("$$$%%", Some('$'), "$\\%%");
        check("a\\b", Some('$'), "a\\\\b");
        check("$\\", Some('$'), "\\\\");
        check("a\\_", None, "a\\\\_");
        check("%%a", Some('%'), "\\%a");
        assert_eq!(
            with_backslashes("a$", Some('$')).unwrap_err().code().as_str(),
            "22025"
        );
    }

    #[test]
    fn patterns_of_similar_to() {
        let check = |text: &str, pattern: &str, expected: bool| {
            let written = regular_expression(pattern, Some('\\')).unwrap();
            let found = regex::Regex::new(&written).unwrap().is_match(text);
            assert_eq!(found, expected, "'{text}' and '{pattern}', {written}");
        };
        check("abc", "abc", true);
        check("abc", "b", false);
        check("abc", "%(b|d)%", true);
        check("abc", "(b|c)%", false);
        check("a\nc", "a_c", true);
        check("abc\n", "abc", false);
        check("a|bc", "a|bc", false);
        check("a", "a|bc", true);
        check("xa", "a|bc", false);
        check("a.c", "a.c", true);
        check("abc", "a.c", false);
        check("a^$", "a^$", true);
        check("a%", "a\\%", true);
        check("ab", "a\\%", false);
        check("aaa", "a{2,3}", true);
        check("a", "a{2,3}", false);
        check("Abc", "[a-z ]+", false);
        check("abc d", "[a-z ]+", true);
        check("b", "[^a]", true);
        check("a", "[^a]", false);
        check("]", "[]a]", true);
        check("-", "[a-]", true);
        check("&", "[a&&b]", true);
        check("_", "[%_]", true);
        check("x", "[%_]", false);
        check("7", "[[:digit:]x]", true);
        check("\\", "[\\\\]", true);
        check("ä", "_", true);
        for pattern in ["(a", "[a", "a)", "*a", "a{x}", "a{2", "[z-a]"] {
            let error = regular_expression(pattern, Some('\\')).unwrap_err();
            assert_eq!(error.code().as_str(), "2201B", "{pattern}");
        }
        assert_eq!(
            regular_expression("a\\", Some('\\')).unwrap_err().code().as_str(),
            "22025"
        );
        assert_eq!(escape("ab").unwrap_err().code().as_str(), "22019");
        assert_eq!(escape("").unwrap(), None);
    }
}
