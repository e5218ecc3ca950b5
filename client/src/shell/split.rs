//! Cuts text into statements and commands, as far as that needs no knowledge of SQL: quotes and
//! comments alone decide which semicolon ends a statement.

use watershed_core::{Error, Result, SqlState};

/// Text without an end would fill the memory; servers refuse statements far shorter than this.
const STATEMENT_BYTES_MAX: usize = 64 << 20;

/// A piece of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Statement(Statement),
    /// A line that starts with a backslash, without it.
    Command(String),
}

/// A statement without its semicolon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) text: String,
    /// The line of the source on which it starts, from 1.
    pub(super) line: u64,
}

/// Takes text line by line and gives statements.
#[derive(Debug)]
pub(super) struct Splitter {
    text: String,
    /// Up to where `text` was looked at.
    scanned: usize,
    /// Where the statement that was not ended yet starts, and its line.
    start: usize,
    start_line: u64,
    line: u64,
    within: Within,
    /// Whether there is more in it than space and comments.
    has_tokens: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Within {
    Plain,
    Text { backslash_escapes: bool },
    Name,
    LineComment,
    Comment { depth: u32 },
    Dollar { tag: String },
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            text: String::new(),
            scanned: 0,
            start: 0,
            start_line: 1,
            line: 1,
            within: Within::Plain,
            has_tokens: false,
        }
    }
}

impl Splitter {
    /// Adds whole lines: no token but quoted text and comments may continue in the next push.
    pub(super) fn push(&mut self, lines: &str) -> Result<()> {
        self.text.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        if self.text.len() + lines.len() > STATEMENT_BYTES_MAX {
            let limit = STATEMENT_BYTES_MAX >> 20;
            return Err(
                Error::new(SqlState::StatementTooComplex, "the statement is too long")
                    .with_detail(format!("the shell takes statements of up to {limit} MiB"))
                    .with_hint(
                        "Load large data from a file, with CREATE EXTERNAL TABLE and INSERT … SELECT.",
                    ),
            );
        }
        self.text.push_str(lines);
        Ok(())
    }

    /// The next piece that is complete.
    pub(super) fn next(&mut self) -> Option<Item> {
        while let Some(character) = self.text[self.scanned..].chars().next() {
            let at = self.scanned;
            if self.within == Within::Plain && !self.has_tokens && character == '\\' {
                return Some(self.command());
            }
            self.scanned += self.step(character);
            if character == '\n' {
                self.line += 1;
            }
            if character == ';' && self.within == Within::Plain {
                let ended = self.take(at);
                if ended.is_some() {
                    return ended;
                }
            }
        }
        None
    }

    /// The last statement, whose semicolon may be missing.
    pub(super) fn finish(&mut self) -> Option<Item> {
        let item = self.next();
        item.or_else(|| self.take(self.text.len()))
    }

    /// Whether nothing is left that waits for its end.
    pub(super) fn is_between_statements(&self) -> bool {
        !self.has_tokens && matches!(self.within, Within::Plain | Within::LineComment)
    }

    /// Looks at one character, or at the several of a token; how many bytes that is.
    fn step(&mut self, character: char) -> usize {
        let rest = &self.text[self.scanned..];
        let next = rest[character.len_utf8()..].chars().next();
        let mut length = character.len_utf8();
        match &mut self.within {
            Within::Plain => match (character, next) {
                ('-', Some('-')) => self.within = Within::LineComment,
                ('/', Some('*')) => {
                    self.within = Within::Comment { depth: 1 };
                    length = 2;
                }
                (';', _) => {}
                (character, _) if character.is_whitespace() => {}
                (character, _) => {
                    self.has_tokens = true;
                    match character {
                        '\'' => {
                            let backslash_escapes = ends_with_escape_prefix(&self.text[..self.scanned]);
                            self.within = Within::Text { backslash_escapes };
                        }
                        '"' => self.within = Within::Name,
                        '$' => {
                            if let Some(tag) = dollar_tag(&self.text[..self.scanned], rest) {
                                length = tag.len();
                                self.within = Within::Dollar { tag };
                            }
                        }
                        _ => {}
                    }
                }
            },
            // A doubled quote closes and opens again, which comes to the same.
            Within::Text { backslash_escapes } => match character {
                '\\' if *backslash_escapes => {
                    // A line break still has to be counted, so it is left for the next step.
                    length += next.filter(|next| *next != '\n').map_or(0, char::len_utf8);
                }
                '\'' => self.within = Within::Plain,
                _ => {}
            },
            Within::Name => {
                if character == '"' {
                    self.within = Within::Plain;
                }
            }
            Within::LineComment => {
                if character == '\n' {
                    self.within = Within::Plain;
                }
            }
            Within::Comment { depth } => match (character, next) {
                ('/', Some('*')) => {
                    *depth += 1;
                    length = 2;
                }
                ('*', Some('/')) => {
                    length = 2;
                    *depth -= 1;
                    if *depth == 0 {
                        self.within = Within::Plain;
                    }
                }
                _ => {}
            },
            Within::Dollar { tag } => {
                if rest.starts_with(tag.as_str()) {
                    length = tag.len();
                    self.within = Within::Plain;
                }
            }
        }
        length
    }

    /// Ends the statement before `end`. Space and comments alone are none.
    fn take(&mut self, end: usize) -> Option<Item> {
        let text = &self.text[self.start..end];
        let leading = text.len() - text.trim_start().len();
        let line = self.start_line + count_lines(&text[..leading]);
        let statement = self.has_tokens.then(|| Statement {
            text: text.trim().to_owned(),
            line,
        });
        self.restart(self.scanned);
        statement.map(Item::Statement)
    }

    fn command(&mut self) -> Item {
        let rest = &self.text[self.scanned..];
        let length = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let command = rest[..length].trim().trim_start_matches('\\').to_owned();
        self.line += count_lines(&rest[..length]);
        self.restart(self.scanned + length);
        Item::Command(command)
    }

    fn restart(&mut self, at: usize) {
        self.scanned = at;
        self.start = at;
        self.start_line = self.line;
        self.within = Within::Plain;
        self.has_tokens = false;
    }
}

/// Whether an editor should hand over this text, or let it go on in another line.
pub(super) fn is_complete(text: &str) -> bool {
    let mut splitter = Splitter::default();
    if splitter.push(text).is_err() {
        return true;
    }
    while splitter.next().is_some() {}
    splitter.is_between_statements()
}

/// The beginning of the statement in which a text ends.
pub(super) fn pending(text: &str) -> String {
    let mut splitter = Splitter::default();
    if splitter.push(text).is_ok() {
        while splitter.next().is_some() {}
    }
    splitter.text[splitter.start..].to_owned()
}

/// Whether a text ends in a quote or comment: there are no names to complete there.
pub(super) fn ends_quoted(text: &str) -> bool {
    let mut splitter = Splitter::default();
    if splitter.push(text).is_err() {
        return true;
    }
    while splitter.next().is_some() {}
    !matches!(splitter.within, Within::Plain | Within::Name)
}

fn ends_with_escape_prefix(before: &str) -> bool {
    let mut back = before.chars().rev();
    matches!(back.next(), Some('e' | 'E')) && !back.next().is_some_and(is_name_part)
}

/// `$$` or `$tag$` at the start of `rest`; `$1` is a parameter, and `a$b$` a name.
fn dollar_tag(before: &str, rest: &str) -> Option<String> {
    if before.chars().next_back().is_some_and(is_name_part) {
        return None;
    }
    let inside = &rest[1..];
    let end = inside.find('$')?;
    let tag = &inside[..end];
    let is_tag = tag.chars().all(is_name_part) && !tag.starts_with(|first: char| first.is_ascii_digit());
    is_tag.then(|| rest[..end + 2].to_owned())
}

fn is_name_part(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn count_lines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<Item> {
        let mut splitter = Splitter::default();
        let mut items = Vec::new();
        for line in text.split_inclusive('\n') {
            splitter.push(line).unwrap();
            while let Some(item) = splitter.next() {
                items.push(item);
            }
        }
        items.extend(splitter.finish());
        items
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let items = split(text);
        let shown: Vec<String> = items
            .iter()
            .map(|item| match item {
                Item::Statement(statement) => format!("{}:{}", statement.line, statement.text),
                Item::Command(command) => format!("\\{command}"),
            })
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn statements() {
        check("", &[]);
        check(" ;; \n;", &[]);
        check("SELECT 1", &["1:SELECT 1"]);
        check("SELECT 1; SELECT 2;", &["1:SELECT 1", "1:SELECT 2"]);
        check("SELECT\n1;\n\n SELECT 2\n", &["1:SELECT\n1", "4:SELECT 2"]);
    }

    #[test]
    fn quotes() {
        check("SELECT ';';", &["1:SELECT ';'"]);
        check("SELECT 'it''s;'; x", &["1:SELECT 'it''s;'", "1:x"]);
        check("SELECT \"a;b\"; x", &["1:SELECT \"a;b\"", "1:x"]);
        check("SELECT 'a\n;b'; x", &["1:SELECT 'a\n;b'", "2:x"]);
        check(r"SELECT '\'; x", &[r"1:SELECT '\'", "1:x"]);
        check(r"SELECT E'\';'; x", &[r"1:SELECT E'\';'", "1:x"]);
        check(r"SELECT like'\'; x", &[r"1:SELECT like'\'", "1:x"]);
        check("SELECT $$;'$$; x", &["1:SELECT $$;'$$", "1:x"]);
        check("SELECT $a$;$b$;$a$; x", &["1:SELECT $a$;$b$;$a$", "1:x"]);
        check("SELECT $1; SELECT $2", &["1:SELECT $1", "1:SELECT $2"]);
        check("SELECT 'größe;'; x", &["1:SELECT 'größe;'", "1:x"]);
    }

    #[test]
    fn comments() {
        check("-- a; b\nSELECT 1; -- c;\n", &["1:-- a; b\nSELECT 1"]);
        check("SELECT /* ; ' */ 1; x", &["1:SELECT /* ; ' */ 1", "1:x"]);
        check(
            "/* a /* b; */ c; */ SELECT 1",
            &["1:/* a /* b; */ c; */ SELECT 1"],
        );
        check("SELECT 1 -- it's\n; x", &["1:SELECT 1 -- it's", "2:x"]);
        check("SELECT '--'; x", &["1:SELECT '--'", "1:x"]);
        check("-- nothing\n/* at all */\n", &[]);
        check(
            "SELECT 1 - -1; SELECT 4/2*1",
            &["1:SELECT 1 - -1", "1:SELECT 4/2*1"],
        );
    }

    #[test]
    fn commands() {
        check("\\d\nSELECT 1;\n", &["\\d", "2:SELECT 1"]);
        check(
            "SELECT 1; \\timing on\nSELECT 2",
            &["1:SELECT 1", "\\timing on", "2:SELECT 2"],
        );
        check("SELECT 1 \\d\n;", &["1:SELECT 1 \\d"]);
        check("\\i a b.sql", &["\\i a b.sql"]);
    }

    #[test]
    fn the_editor_knows_when_to_go_on() {
        for text in ["", "SELECT 1;", "\\d", "SELECT 1; -- done", "-- only this"] {
            assert!(is_complete(text), "{text}");
        }
        for text in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "/* ;", "SELECT \"a;"] {
            assert!(!is_complete(text), "{text}");
        }
        assert!(ends_quoted("SELECT 'a") && ends_quoted("SELECT -- a"));
        assert!(!ends_quoted("SELECT 'a', \"b"));
    }

    #[test]
    fn statements_are_bounded() {
        let mut splitter = Splitter::default();
        splitter.push("SELECT '").unwrap();
        let megabyte = "x".repeat(1 << 20);
        let failed = (0..100).find_map(|_| splitter.push(&megabyte).err()).unwrap();
        assert_eq!(failed.code(), SqlState::StatementTooComplex);
    }
}
