//! Patterns of dates and times as PostgreSQL writes them: `YYYY-MM-DD HH24:MI:SS.US`, quoted text, `FM`
//! without padding, `TH` for ordinals. A pattern that has a `%` is one of `strftime` instead.

use super::field::{CASED, Field, UNCASED};

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// A text as it stands.
    Text(String),
    /// Blanks and signs between fields. Readers take any in their place.
    Separator(char),
    Field {
        field: Field,
        /// Without padding.
        fill: bool,
        ordinal: Option<Case>,
    },
}

/// How letters are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Case {
    Upper,
    Capitalized,
    Lower,
}

/// Whether a pattern is one of `strftime`.
pub(super) fn is_strftime(pattern: &str) -> bool {
    pattern.contains('%')
}

/// The pattern with six digits for `%f`, as in DuckDB and Python. Those of chrono are nine.
pub(super) fn with_micros(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut signs = pattern.chars();
    while let Some(sign) = signs.next() {
        written.push(sign);
        if sign == '%' {
            match signs.next() {
                Some('f') => written.push_str("6f"),
                Some(other) => written.push(other),
                None => {}
            }
        }
    }
    written
}

/// Reads a pattern. Whatever is no field stands for itself.
pub(super) fn parse(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quotation(quoted, &mut pieces);
            continue;
        }
        if let Some(escaped) = rest.strip_prefix("\\\"") {
            pieces.push(Piece::Text("\"".to_owned()));
            rest = escaped;
            continue;
        }
        let (fill, after) = modifiers(rest);
        match field(after) {
            Some((field, after)) => {
                let (ordinal, after) = suffix(after);
                pieces.push(Piece::Field { field, fill, ordinal });
                rest = after;
            }
            None if next.is_alphanumeric() => {
                pieces.push(Piece::Text(next.to_string()));
                rest = &rest[next.len_utf8()..];
            }
            None => {
                pieces.push(Piece::Separator(next));
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    pieces
}

/// A text in double quotes, of which the first is read already.
fn quotation<'p>(quoted: &'p str, pieces: &mut Vec<Piece>) -> &'p str {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((place, next)) = chars.next() {
        match next {
            '"' => {
                pieces.push(Piece::Text(text));
                return &quoted[place + 1..];
            }
            '\\' => text.extend(chars.next().map(|(_, next)| next)),
            next => text.push(next),
        }
    }
    pieces.push(Piece::Text(text));
    ""
}

fn modifiers(mut rest: &str) -> (bool, &str) {
    let mut fill = false;
    loop {
        let Some(modifier) = rest.get(..2) else {
            return (fill, rest);
        };
        match modifier {
            "FM" | "fm" => fill = true,
            // Months and days have their English names in every language.
            "TM" | "tm" | "FX" | "fx" => {}
            _ => return (fill, rest),
        }
        rest = &rest[2..];
    }
}

fn field(rest: &str) -> Option<(Field, &str)> {
    let cased = CASED
        .iter()
        .find_map(|(word, field)| rest.strip_prefix(word).map(|rest| (*field, rest)));
    let uncased = || {
        UNCASED.iter().find_map(|(word, field)| {
            let found = rest.get(..word.len())?;
            let field = match field {
                Field::ZoneName { .. } => Field::ZoneName {
                    upper: found.starts_with('T'),
                },
                field => *field,
            };
            found
                .eq_ignore_ascii_case(word)
                .then(|| (field, &rest[word.len()..]))
        })
    };
    cased.or_else(uncased)
}

fn suffix(rest: &str) -> (Option<Case>, &str) {
    if let Some(rest) = rest.strip_prefix("TH") {
        return (Some(Case::Upper), rest);
    }
    match rest.strip_prefix("th") {
        Some(rest) => (Some(Case::Lower), rest),
        None => (None, rest),
    }
}

/// A text in a case.
pub(super) fn written(text: &str, case: Case) -> String {
    match case {
        Case::Upper => text.to_uppercase(),
        Case::Capitalized => text.to_owned(),
        Case::Lower => text.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::Field::{Day, Hour24, IsoWeek, IsoYear, Minute, Month, MonthName, Year};
    use super::*;

    fn of(field: Field) -> Piece {
        Piece::Field {
            field,
            fill: false,
            ordinal: None,
        }
    }

    #[test]
    fn the_longest_word_is_taken() {
        assert_eq!(parse("YYYYMMDD"), [of(Year(4)), of(Month), of(Day)]);
        assert_eq!(
            parse("yyyy-mm-dd hh24:mi"),
            [
                of(Year(4)),
                Piece::Separator('-'),
                of(Month),
                Piece::Separator('-'),
                of(Day),
                Piece::Separator(' '),
                of(Hour24),
                Piece::Separator(':'),
                of(Minute),
            ]
        );
        assert_eq!(parse("Month"), [of(MonthName(Case::Capitalized))]);
        assert_eq!(
            parse("IYYY\"-W\"IW"),
            [of(IsoYear(4)), Piece::Text("-W".to_owned()), of(IsoWeek)]
        );
        assert_eq!(
            parse("FMDDth"),
            [Piece::Field {
                field: Day,
                fill: true,
                ordinal: Some(Case::Lower)
            }]
        );
        assert_eq!(
            parse("é\"a\\\"b"),
            [Piece::Text("é".to_owned()), Piece::Text("a\"b".to_owned())]
        );
    }

    #[test]
    fn every_text_is_a_pattern() {
        for text in ["", "\"", "\\", "FM", "TH", "äöü", "FMé", "\"\\"] {
            parse(text);
        }
    }
}
