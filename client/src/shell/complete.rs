//! What Tab offers: commands, keywords, settings, and the names of schemas, tables and columns.

use std::collections::BTreeSet;

use watershed_core::settings::SETTINGS;

use super::command::COMMANDS;
use super::keywords::{BEFORE_RELATION, BEFORE_SETTING, KEYWORDS};
use super::names::{Known, Relation};
use super::output::Format;
use super::split::{ends_quoted, pending};

/// More than this nobody reads.
const OFFERS_MAX: usize = 200;

/// What may stand from `start` to the cursor instead of what stands there now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) start: usize,
    pub(super) texts: Vec<String>,
}

/// The offers at `at` in `text`.
pub(super) fn offers(text: &str, at: usize, known: &Known) -> Offers {
    let before = &text[..at];
    if let Some(command) = before.trim_start().strip_prefix('\\') {
        return command_offers(before, command, known);
    }
    if ends_quoted(before) {
        return Offers {
            start: at,
            texts: Vec::new(),
        };
    }
    let word = last_word(before);
    let statement = pending(before);
    let previous = last_word(before[..at - word.len()].trim_end()).to_uppercase();
    let mut found = Found::new(word);
    if BEFORE_SETTING.contains(&previous.as_str()) && statement.split_whitespace().count() <= 2 {
        for setting in SETTINGS {
            found.offer_whole(setting.name);
        }
        return found.into_offers(at - word.len());
    }
    if let Some((qualifier, prefix)) = word.rsplit_once('.') {
        let mut found = Found::new(prefix);
        qualified(&mut found, qualifier, text, known);
        return found.into_offers(at - prefix.len());
    }
    if BEFORE_RELATION.contains(&previous.as_str()) {
        relations(&mut found, known);
        for keyword in ["IF", "EXISTS", "SELECT"] {
            found.offer_keyword(keyword);
        }
        return found.into_offers(at - word.len());
    }
    for mentioned in mentioned(text, known) {
        for column in &mentioned.relation.columns {
            found.offer_name(column);
        }
    }
    // Without a letter of it, everything would be offered.
    if !word.is_empty() {
        relations(&mut found, known);
        for keyword in KEYWORDS {
            found.offer_keyword(keyword);
        }
    }
    found.into_offers(at - word.len())
}

fn command_offers(before: &str, command: &str, known: &Known) -> Offers {
    let Some((name, argument)) = command.split_once(char::is_whitespace) else {
        let mut found = Found::new(command);
        for (name, ..) in COMMANDS {
            found.offer_whole(name);
        }
        return found.into_offers(before.len() - command.len());
    };
    let mut found = Found::new(argument.trim_start());
    let start = before.len() - found.prefix.len();
    match name {
        "d" => {
            if let Some((qualifier, prefix)) = argument.trim_start().rsplit_once('.') {
                found = Found::new(prefix);
                qualified(&mut found, qualifier, "", known);
                return found.into_offers(before.len() - prefix.len());
            }
            relations(&mut found, known);
        }
        "format" => {
            for (name, _) in Format::ALL {
                found.offer_whole(name);
            }
        }
        "timing" | "x" => {
            for choice in ["on", "off"] {
                found.offer_whole(choice);
            }
        }
        _ => {}
    }
    found.into_offers(start)
}

/// What follows `qualifier` and a dot: a schema's tables, or the columns of a table or an alias.
fn qualified(found: &mut Found<'_>, qualifier: &str, text: &str, known: &Known) {
    let qualifier = unquoted(qualifier.rsplit('.').next().unwrap_or(qualifier));
    for relation in &known.relations {
        if relation.schema == qualifier {
            found.offer_name(&relation.name);
        }
        if relation.name == qualifier {
            for column in &relation.columns {
                found.offer_name(column);
            }
        }
    }
    for mentioned in mentioned(text, known) {
        if mentioned.alias.as_deref() == Some(qualifier.as_str()) {
            for column in &mentioned.relation.columns {
                found.offer_name(column);
            }
        }
    }
}

fn relations(found: &mut Found<'_>, known: &Known) {
    for relation in &known.relations {
        if relation.schema != "information_schema" {
            found.offer_name(&relation.name);
        }
    }
    for schema in &known.schemas {
        found.offer_name(schema);
    }
}

struct Mentioned<'a> {
    relation: &'a Relation,
    alias: Option<String>,
}

/// The tables that the text names, wherever it does.
fn mentioned<'a>(text: &str, known: &'a Known) -> Vec<Mentioned<'a>> {
    let words: Vec<&str> = text
        .split(|character: char| character.is_whitespace())
        .flat_map(|word| word.split_inclusive([',', '(', ')', ';']))
        .collect();
    let mut mentioned = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let bare = word.trim_end_matches([',', '(', ')', ';']);
        let name = unquoted(bare.rsplit('.').next().unwrap_or(bare));
        let Some(relation) = known.relations.iter().find(|relation| relation.name == name) else {
            continue;
        };
        let mut next = words[index + 1..].iter().filter(|_| bare.len() == word.len());
        let alias = next
            .find(|word| !word.eq_ignore_ascii_case("as"))
            .map(|alias| alias.trim_end_matches([',', '(', ')', ';']))
            .filter(|alias| !KEYWORDS.contains(&alias.to_uppercase().as_str()))
            .map(unquoted);
        mentioned.push(Mentioned { relation, alias });
    }
    mentioned
}

/// The part of a name that the text ends with.
fn last_word(text: &str) -> &str {
    let start = text
        .char_indices()
        .rev()
        .take_while(|(_, character)| character.is_alphanumeric() || "_.\"".contains(*character))
        .last()
        .map_or(text.len(), |(start, _)| start);
    &text[start..]
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"') {
        Some(quoted) => quoted.trim_end_matches('"').replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}

fn quoted(name: &str) -> String {
    let is_plain = name
        .chars()
        .all(|character| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_');
    if is_plain && !name.starts_with(|first: char| first.is_ascii_digit()) && !name.is_empty() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// Collects what starts with a prefix, in order and once.
struct Found<'a> {
    prefix: &'a str,
    names: BTreeSet<String>,
    keywords: BTreeSet<String>,
}

impl<'a> Found<'a> {
    fn new(prefix: &'a str) -> Self {
        Self {
            prefix,
            names: BTreeSet::new(),
            keywords: BTreeSet::new(),
        }
    }

    fn offer_name(&mut self, name: &str) {
        let prefix = unquoted(self.prefix);
        if name.starts_with(&prefix) || name.to_lowercase().starts_with(&prefix) {
            self.names.insert(quoted(name));
        }
    }

    fn offer_whole(&mut self, text: &str) {
        if text.starts_with(&self.prefix.to_lowercase()) {
            self.names.insert(text.to_owned());
        }
    }

    /// In the case in which the word was begun.
    fn offer_keyword(&mut self, keyword: &str) {
        if keyword.starts_with(&self.prefix.to_uppercase()) {
            let is_lower = self.prefix.chars().any(char::is_lowercase);
            self.keywords.insert(if is_lower {
                keyword.to_lowercase()
            } else {
                keyword.to_owned()
            });
        }
    }

    fn into_offers(self, start: usize) -> Offers {
        let texts = self.names.into_iter().chain(self.keywords).take(OFFERS_MAX);
        Offers {
            start,
            texts: texts.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let columns = [
            ["information_schema", "tables", "table_name"],
            ["public", "cdn_logs", "user_id"],
            ["public", "cdn_logs", "bytes_sent"],
            ["public", "Odd Name", "x"],
            ["system", "queries", "query_id"],
        ];
        Known::of(
            vec!["public".into(), "system".into()],
            columns.map(|row| row.map(str::to_owned)).into(),
        )
    }

    /// `|` is the cursor.
    #[track_caller]
    fn check(marked: &str, expected: &[&str]) {
        let at = marked.find('|').unwrap();
        let text = marked.replace('|', "");
        assert_eq!(offers(&text, at, &known()).texts, expected, "{marked}");
    }

    #[test]
    fn keywords_keep_the_case() {
        check("SEL|", &["SELECT"]);
        check("sel|", &["select"]);
        check("SELECT 1 ORD|", &["ORDER"]);
        check("|", &[]);
    }

    #[test]
    fn relations_after_from() {
        check("SELECT * FROM cd|", &["cdn_logs"]);
        check("SELECT * FROM s|", &["system", "select"]);
        check("select 1; describe qu|", &["queries"]);
        check("SELECT * FROM system.|", &["queries"]);
        check("SELECT * FROM \"Od|", &["\"Odd Name\""]);
        check("SELECT * FROM o|", &["\"Odd Name\""]);
    }

    #[test]
    fn columns_of_what_is_mentioned() {
        check("SELECT | FROM cdn_logs", &["bytes_sent", "user_id"]);
        check(
            "SELECT u| FROM cdn_logs",
            &[
                "user_id",
                "unbounded",
                "union",
                "unnest",
                "update",
                "upper",
                "use",
                "using",
            ],
        );
        check("SELECT l.b| FROM public.cdn_logs AS l", &["bytes_sent"]);
        check("SELECT l.| FROM cdn_logs l WHERE", &["bytes_sent", "user_id"]);
        check("SELECT cdn_logs.u|", &["user_id"]);
        check("SELECT public.cdn_logs.u|", &["user_id"]);
    }

    #[test]
    fn settings() {
        check("SET watershed.ex|", &["watershed.execution"]);
        check("SHOW statement|", &["statement_timeout"]);
    }

    #[test]
    fn commands() {
        check("\\ti|", &["timing"]);
        check("\\d cd|", &["cdn_logs"]);
        check("\\d system.|", &["queries"]);
        check("\\format c|", &["csv"]);
    }

    #[test]
    fn nothing_inside_quotes() {
        check("SELECT 'SEL|", &[]);
        check("-- SEL|", &[]);
    }

    #[test]
    fn the_word_is_replaced_from_its_start() {
        assert_eq!(offers("SELECT größe, sel", 19, &known()).start, 16);
        assert_eq!(offers("FROM public.cd", 14, &known()).start, 12);
        assert_eq!(offers("\\ti", 3, &known()).start, 1);
    }
}
