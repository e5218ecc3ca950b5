//! What must not be seen: passwords as values, and passwords within a statement's text.

use std::borrow::Cow;
use std::fmt;

use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::grammar::Grammar;
use super::parser::Lines;

/// Stands where a secret stood.
const HIDDEN: &str = "'***'";

/// Words that a secret may follow.
const TRIGGERS: [&str; 2] = ["password", "identified"];

/// First words of statements whose texts hold no passwords, whatever words are in them.
const HARMLESS: [&str; 12] = [
    "DESC", "DESCRIBE", "DROP", "EXPLAIN", "FROM", "INSERT", "SELECT", "SHOW", "TABLE", "USE", "VALUES",
    "WITH",
];

/// Second words after `CREATE` and `ALTER` of such statements.
const OBJECTS: [&str; 6] = ["EXTERNAL", "MATERIALIZED", "OR", "SCHEMA", "TABLE", "VIEW"];

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A text of statements as it may be shown and logged: what stands after `PASSWORD`, and every text in
/// a statement about users, is hidden. It need not be right, or whole.
pub fn redacted(sql: &str) -> Cow<'_, str> {
    let Some(first) = first_trigger(sql) else {
        return Cow::Borrowed(sql);
    };
    let start = sql.trim_start();
    let begins = &start[..start
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(start.len())];
    if HARMLESS.iter().any(|word| word.eq_ignore_ascii_case(begins)) && !sql.contains(';') {
        return Cow::Borrowed(sql);
    }
    let Ok(tokens) = Tokenizer::new(&Grammar, sql).tokenize_with_location() else {
        // What cannot be read may hold anything.
        return Cow::Owned(format!("{} …", &sql[..first]));
    };
    let lines = Lines::new(sql);
    let mut shown = String::with_capacity(sql.len());
    for statement in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        show(statement, &lines, &mut shown);
    }
    Cow::Owned(shown)
}

/// Where the first word ends that a secret may follow, in a text that may hold one.
fn first_trigger(sql: &str) -> Option<usize> {
    let bytes = sql.as_bytes();
    let find = |word: &str| {
        bytes
            .windows(word.len())
            .position(|window| window.eq_ignore_ascii_case(word.as_bytes()))
            .map(|start| start + word.len())
    };
    TRIGGERS.into_iter().chain(["user"]).filter_map(find).min()
}

fn show(statement: &[TokenWithSpan], lines: &Lines<'_>, shown: &mut String) {
    let mut words = statement.iter().filter_map(word);
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is = |word: &str, known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(word));
    let harmless = is(first, &HARMLESS) || is(first, &["ALTER", "CREATE"]) && is(second, &OBJECTS);
    let about_users = is(second, &["USER", "ROLE"]);
    let mut rest = statement.iter().peekable();
    while let Some(token) = rest.next() {
        if about_users && !harmless && is_text(&token.token) {
            shown.push_str(HIDDEN);
            continue;
        }
        shown.push_str(lines.exact(token.span.start, token.span.end));
        if harmless || !word(token).is_some_and(|word| is(word, &TRIGGERS)) {
            continue;
        }
        // `PASSWORD [FOR name] [= | TO | BY] secret`: all that follows is hidden but for the frame.
        let mut named = false;
        while let Some(next) = rest.next_if(|next| {
            let frame = named
                || matches!(next.token, Token::Whitespace(_) | Token::Eq)
                || word(next).is_some_and(|word| is(word, &["FOR", "TO", "BY", "WITH"]));
            frame && next.token != Token::SemiColon
        }) {
            if !matches!(next.token, Token::Whitespace(_)) {
                named = word(next).is_some_and(|word| is(word, &["FOR"]));
            }
            shown.push_str(lines.exact(next.span.start, next.span.end));
        }
        let mut hidden = false;
        while rest.next_if(|next| next.token != Token::SemiColon).is_some() {
            hidden = true;
        }
        if hidden {
            shown.push_str(HIDDEN);
        }
    }
}

fn word(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

/// Whether it is a text however it is quoted, a name in double quotes included: some mistake one for
/// the other.
fn is_text(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_some(),
        Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::DollarQuotedString(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden() {
        fn check(sql: &str, expected: &str) {
            assert_eq!(redacted(sql), expected, "{sql}");
        }
        check(
            "CREATE USER ada PASSWORD 'hunter22'",
            "CREATE USER ada PASSWORD '***'",
        );
        check(
            "alter user ada with password = $$hunter22$$ ; SELECT 'x'",
            "alter user ada with password = '***'; SELECT 'x'",
        );
        check("SET PASSWORD = 'hunter22'", "SET PASSWORD = '***'");
        check(
            "SET PASSWORD FOR ada TO 'hunter22'",
            "SET PASSWORD FOR ada TO '***'",
        );
        check(
            "/* new */ CREATE USER \"Ada\" PASSWORD hunter22",
            "/* new */ CREATE USER '***' PASSWORD '***'",
        );
        check(
            "CREATE USER ada IDENTIFIED BY 'hunter22'",
            "CREATE USER ada IDENTIFIED BY '***'",
        );
        check("CREATE USER ada 'hunter22'", "CREATE USER ada '***'");
        check(
            "CRAETE USER ada PASSWORD 'hunter22' x",
            "CRAETE USER ada PASSWORD '***'",
        );
        check("ALTER USER ada PASSWORD 'hunt", "ALTER USER …");
        check("EXECUTE 'x' PASSWORD 'hunter22'", "EXECUTE 'x' PASSWORD '***'");
        for harmless in [
            "SELECT password FROM t WHERE name = 'x'",
            "INSERT INTO t (password) VALUES ('x')",
            "CREATE TABLE t (password STRING) WITH (shard_key = 'password')",
            "CREATE OR REPLACE VIEW v AS SELECT 'identified' AS user",
            "SELECT 'ä' AS \"ö\", current_user",
            "DROP USER ada",
            "SELECT 1",
        ] {
            check(harmless, harmless);
        }
        assert_eq!(format!("{:?}", Secret::new("hunter22")), "Secret(…)");
    }
}
