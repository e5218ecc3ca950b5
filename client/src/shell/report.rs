//! Errors, as people read them.

use watershed_core::error::Position;
use watershed_core::{Error, SqlState};

use super::split::Statement;
use super::style::{Style, printable, width};

/// How much of a long line is shown around a position.
const EXCERPT_CHARS: usize = 100;

/// The error with the line it is about. `source` is the file the statement comes from.
pub(super) fn render(
    error: &Error,
    statement: Option<&Statement>,
    source: Option<&str>,
    style: Style,
) -> String {
    let place = match (source, statement) {
        (Some(source), Some(statement)) => {
            let line = statement.line + error.position().map_or(0, |position| position.line.max(1) - 1);
            format!("{source}:{line}: ")
        }
        (Some(source), None) => format!("{source}: "),
        (None, _) => String::new(),
    };
    let mut text = format!(
        "{place}{} {}\n",
        style.error(&format!("ERROR {}:", error.code())),
        printable(error.message())
    );
    if let (Some(statement), Some(position)) = (statement, error.position()) {
        text.push_str(&excerpt(statement, position, style));
    }
    if let Some(detail) = error.detail() {
        text.push_str(&format!("{} {}\n", style.strong("DETAIL:"), printable(detail)));
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("{} {}\n", style.strong("HINT:"), printable(hint)));
    }
    if error.code() == SqlState::InternalError && error.hint().is_none() {
        text.push_str(&format!(
            "{} This is a bug: please report it with the statement.\n",
            style.strong("HINT:")
        ));
    }
    text
}

/// The line, and a caret under the position.
fn excerpt(statement: &Statement, position: Position, style: Style) -> String {
    let index = |number: u64| usize::try_from(number.max(1) - 1).unwrap_or(usize::MAX);
    let Some(line) = statement.text.lines().nth(index(position.line)) else {
        return String::new();
    };
    let characters: Vec<char> = line
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    let at = index(position.column).min(characters.len());
    // A long line is shown from a bit before the position.
    let start = if characters.len() > EXCERPT_CHARS {
        at.saturating_sub(EXCERPT_CHARS / 2)
            .min(characters.len() - EXCERPT_CHARS)
    } else {
        0
    };
    let end = characters.len().min(start + EXCERPT_CHARS);
    let lead = if start > 0 { "…" } else { "" };
    let tail = if end < characters.len() { "…" } else { "" };
    let before: String = characters[start..at].iter().collect();
    let shown: String = characters[start..end].iter().collect();
    let label = format!("LINE {}: {lead}", statement.line + position.line.max(1) - 1);
    let indent = " ".repeat(width(&label) + width(&before));
    format!("{label}{shown}{tail}\n{indent}{}\n", style.error("^"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(line: u64, text: &str) -> Statement {
        Statement {
            text: text.to_owned(),
            line,
        }
    }

    fn undefined(line: u64, column: u64) -> Error {
        Error::new(SqlState::UndefinedColumn, "column \"x\" does not exist")
            .with_position(Position { line, column })
    }

    #[track_caller]
    fn check(error: &Error, statement: Option<&Statement>, source: Option<&str>, expected: &str) {
        assert_eq!(render(error, statement, source, Style::PLAIN), expected);
    }

    #[test]
    fn a_caret_stands_under_the_position() {
        let error = undefined(1, 8)
            .with_detail("the table has columns \"a\" and \"b\"")
            .with_hint("Did you mean \"a\"?");
        check(
            &error,
            Some(&statement(1, "SELECT x FROM t")),
            None,
            "ERROR 42703: column \"x\" does not exist\n\
             LINE 1: SELECT x FROM t\n\
             \u{20}              ^\n\
             DETAIL: the table has columns \"a\" and \"b\"\n\
             HINT: Did you mean \"a\"?\n",
        );
    }

    #[test]
    fn lines_are_those_of_the_file() {
        check(
            &undefined(2, 3),
            Some(&statement(10, "SELECT\n\t\"日本\" + x\nFROM t")),
            Some("load.sql"),
            "load.sql:11: ERROR 42703: column \"x\" does not exist\n\
             LINE 11:  \"日本\" + x\n\
             \u{20}          ^\n",
        );
        let wide = undefined(1, 11);
        let text = render(&wide, Some(&statement(1, "SELECT '日',x")), None, Style::PLAIN);
        assert!(
            text.ends_with("\nLINE 1: SELECT '日',x\n                   ^\n"),
            "{text}"
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_position() {
        let long = format!("SELECT {}x{}", "a, ".repeat(200), ", b".repeat(200));
        let text = render(&undefined(1, 608), Some(&statement(1, &long)), None, Style::PLAIN);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("LINE 1: …") && lines[1].ends_with('…'),
            "{text}"
        );
        let caret = lines[2].find('^').unwrap();
        assert_eq!(lines[1].chars().nth(caret), Some('x'), "{text}");
    }

    #[test]
    fn positions_beyond_the_text_are_harmless() {
        for (line, column) in [(9, 1), (1, 900), (0, 0)] {
            let text = render(
                &undefined(line, column),
                Some(&statement(1, "SELECT x")),
                None,
                Style::PLAIN,
            );
            assert!(text.starts_with("ERROR 42703: column"), "{text}");
        }
    }

    #[test]
    fn no_position_no_line() {
        let error = Error::new(SqlState::QueryCanceled, "cancelled\x1b[2J");
        check(
            &error,
            Some(&statement(1, "SELECT 1")),
            None,
            "ERROR 57014: cancelled\\x1b[2J\n",
        );
    }
}
