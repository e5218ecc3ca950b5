//! A Rust file, and what of it is code: no comments, no texts, no tests.

use std::path::Path;

/// A file and the code in it.
pub struct Source {
    /// Within the repository, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// The same length in lines, comments and the insides of literals blank.
    pub code: String,
    /// `code` without what is compiled for tests only.
    pub product: String,
}

impl Source {
    pub fn read(root: &Path, file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        Self::new(path, text)
    }

    fn new(path: String, text: String) -> Self {
        let code = blank_literals(&text);
        let product = without_tests(&code);
        Self {
            path,
            text,
            code,
            product,
        }
    }

    /// The paths, without an ending, of modules in other files that are compiled for tests only.
    pub fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder,
            _ => self.path.trim_end_matches(".rs"),
        };
        self.code
            .split("#[cfg(test)]")
            .skip(1)
            .filter_map(|item| {
                let (declared, _) = item.split_once(';')?;
                let (_, name) = declared.split_once("mod ")?;
                (!name.contains('{')).then(|| format!("{folder}/{}", name.trim()))
            })
            .collect()
    }

    /// Whether this is the module at `path`, or below it.
    pub fn is_in(&self, path: &str) -> bool {
        self.path
            .strip_prefix(path)
            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// The crate's folder; empty for the root package.
    pub fn package(&self) -> &str {
        match self.path.split_once('/') {
            Some((folder, _)) if folder != "src" => folder,
            _ => "",
        }
    }

    /// The lines of product code that hold `word`, not as a part of a longer name.
    pub fn mentions(&self, word: &str) -> Vec<String> {
        self.product
            .lines()
            .enumerate()
            .filter(|(_, line)| holds_word(line, word))
            .map(|(number, _)| format!("{}:{}: {word}", self.path, number + 1))
            .collect()
    }
}

fn holds_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let starts_name = word.starts_with(is_name);
    let ends_name = word.ends_with(is_name);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_name);
        let after = line[at + word.len()..].chars().next().is_some_and(is_name);
        !(starts_name && before || ends_name && after)
    })
}

/// Replaces comments and the insides of literals by blanks, and keeps every line break.
fn blank_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let raw = raw_string_length(rest).filter(|_| !ends_in_name(&code));
        let (length, kept) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), 0)
        } else if rest.starts_with("/*") {
            (block_comment_length(rest), 0)
        } else if let Some(length) = raw {
            (length, 0)
        } else if first == '"' {
            (quoted_length(rest, '"'), 1)
        } else if first == '\'' && is_char_literal(rest) {
            (quoted_length(rest, '\''), 1)
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let (literal, after) = rest.split_at(length);
        code.push_str(&literal[..kept]);
        code.extend(literal[kept..literal.len() - kept].chars().filter(|c| *c == '\n'));
        code.push_str(&literal[literal.len() - kept..]);
        rest = after;
    }
    code
}

fn ends_in_name(code: &str) -> bool {
    code.chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn raw_string_length(rest: &str) -> Option<usize> {
    let start = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = start.len() - start.trim_start_matches('#').len();
    let inside = start[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end)? + end.len();
    Some(rest.len() - inside.len() + length)
}

fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn is_char_literal(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// Blanks every item behind `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut product = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, item) = rest.split_at(at);
        let (item, after) = item.split_at(item_length(item));
        product.push_str(before);
        product.extend(item.chars().filter(|c| *c == '\n'));
        rest = after;
    }
    product + rest
}

fn item_length(item: &str) -> usize {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    item.len()
}

#[test]
fn only_code_is_code() {
    let source = Source::new(
        "core/src/x.rs".to_owned(),
        r##"
        //! unwrap
        fn f<'a>(x: &'a str) -> char { /* unwrap /* twice */ */ g(r#"unwrap " unwrap"#, "\" unwrap", '"') }
        #[cfg(test)]
        mod tests { fn unwrap() {} }
        fn unwrap_or() { unwrap(); }
        "##
        .to_owned(),
    );
    assert_eq!(source.mentions("unwrap"), ["core/src/x.rs:6: unwrap"]);
    assert_eq!(source.text.lines().count(), source.product.lines().count());
    assert_eq!(source.package(), "core");
    let source = Source::new(
        "core/src/mod.rs".to_owned(),
        "#[cfg(test)] mod a;\n#[cfg(test)]\nmod b { fn f() {} }\n#[cfg(test)]\npub(crate) mod c;".to_owned(),
    );
    assert_eq!(source.test_modules(), ["core/src/a", "core/src/c"]);
}
