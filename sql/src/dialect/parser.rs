//! The statements' parser: it reads the first word and hands over. Queries and expressions are
//! sqlparser's, everything else is ours.

use sqlparser::ast::{Expr, Ident, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser as Inner, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use watershed_core::error::{Error, Result, SqlState};

use super::ast::{Parsed, Statement};
use super::error::{at, from_parser, position, syntax};
use super::grammar::Grammar;
use super::tokens::tokenize;
use super::types::folded;
use super::words::refused;
use super::{balance, limits, standard};
use crate::catalog::{CATALOG_NAME, ObjectName};

/// sqlparser counts several levels for one of ours; the tokens were counted before, so that this only
/// guards against what that count does not see.
const RECURSION_LIMIT: usize = limits::DEPTH_LIMIT * 8;

/// Reads a text of statements with `;` between them.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    // Editors write it before the first character of a file.
    let sql = sql.strip_prefix('\u{feff}').unwrap_or(sql);
    let (tokens, depth) = tokenize(sql)?;
    limits::with_stack(depth, || statements(sql, tokens))
}

fn statements(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Vec<Parsed>> {
    let lines = Lines::new(sql);
    let mut parser = Parser::new(tokens);
    let mut statements = Vec::new();
    loop {
        while parser.inner.consume_token(&Token::SemiColon) {}
        if parser.inner.peek_token_ref().token == Token::EOF {
            return Ok(statements);
        }
        let start = parser.here();
        let statement = parser
            .statement(&lines)
            .map_err(|error| placed(error, lines.end()))?;
        let end = parser.inner.get_current_token().span.end;
        match &parser.inner.peek_token_ref().token {
            Token::SemiColon | Token::EOF => {}
            _ => return Err(placed(parser.expected("the end of the statement"), lines.end())),
        }
        statements.push(Parsed {
            statement,
            text: lines.slice(start, end).to_owned(),
        });
    }
}

/// A mistake of syntax that has no place is what is missing at the end.
fn placed(error: Error, end: Location) -> Error {
    if error.code() == SqlState::SyntaxError && error.position().is_none() {
        at(error, end)
    } else {
        error
    }
}

/// Reads one query and nothing else: the text of a view.
pub(crate) fn parse_query(sql: &str) -> Result<Box<Query>> {
    let (tokens, depth) = tokenize(sql)?;
    limits::with_stack(depth, || {
        let mut parser = Parser::new(tokens);
        let query = parser.query()?;
        parser.end("the end of the query")?;
        Ok(query)
    })
}

/// Reads one expression and nothing else: that of a generated column.
pub(crate) fn parse_expression(sql: &str) -> Result<Expr> {
    let (tokens, depth) = tokenize(sql)?;
    limits::with_stack(depth, || {
        let mut parser = Parser::new(tokens);
        let expr = parser.inner.parse_expr().map_err(from_parser)?;
        parser.end("the end of the expression")?;
        Ok(expr)
    })
}

/// sqlparser's parser, with errors and names that are ours.
pub(super) struct Parser {
    pub(super) inner: Inner<'static>,
}

impl Parser {
    pub(super) fn new(tokens: Vec<TokenWithSpan>) -> Self {
        Self {
            inner: Inner::new(Grammar::begin(tokens.len()))
                .with_recursion_limit(RECURSION_LIMIT)
                .with_tokens_with_locations(tokens),
        }
    }

    pub(super) fn statement(&mut self, lines: &Lines<'_>) -> Result<Statement> {
        let token = self.inner.peek_token();
        let word = match &token.token {
            Token::LParen => return self.query_statement(),
            Token::Word(word) if word.quote_style.is_none() => word,
            _ => return Err(self.expected("a statement")),
        };
        match word.keyword {
            Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::FROM | Keyword::TABLE => {
                self.query_statement()
            }
            Keyword::INSERT => self.insert(),
            Keyword::DELETE => self.delete(),
            Keyword::UPDATE => self.update(),
            Keyword::CREATE => self.create(lines),
            Keyword::DROP => self.drop_object(),
            Keyword::ALTER => self.alter(),
            Keyword::EXPLAIN => self.explain(lines),
            Keyword::SHOW => self.show(),
            Keyword::DESCRIBE | Keyword::DESC => self.describe(),
            Keyword::SET => self.set(),
            Keyword::RESET => self.reset(),
            Keyword::USE => self.use_schema(),
            Keyword::KILL => self.kill(lines),
            Keyword::PREPARE => self.prepare(lines),
            Keyword::EXECUTE => self.execute(),
            Keyword::DEALLOCATE => self.deallocate(),
            Keyword::GRANT => self.grant(),
            Keyword::REVOKE => self.revoke(),
            _ if word.value.eq_ignore_ascii_case("summarize") => self.summarize(),
            _ => Err(refused(&word.value, token.span.start)),
        }
    }

    fn query_statement(&mut self) -> Result<Statement> {
        let query = self.query()?;
        Ok(Statement::Query(Box::new(sqlparser::ast::Statement::Query(
            query,
        ))))
    }

    /// A query, its conditions balanced.
    pub(super) fn query(&mut self) -> Result<Box<Query>> {
        let mut query = self.inner.parse_query().map_err(from_parser)?;
        standard::rewrite(&mut query)?;
        balance::balance(&mut *query);
        super::sources::rewrite(&mut *query)?;
        super::query::check(&query)?;
        Ok(query)
    }

    pub(super) fn here(&self) -> Location {
        self.inner.peek_token_ref().span.start
    }

    pub(super) fn expected(&self, what: &str) -> Error {
        let token = self.inner.peek_token_ref();
        let found = match &token.token {
            Token::EOF => "but the statement ends".to_owned(),
            other => format!("found {other}"),
        };
        syntax(format!("expected {what}, {found}"), token.span.start)
    }

    pub(super) fn end(&mut self, what: &str) -> Result<()> {
        match self.inner.peek_token_ref().token {
            Token::EOF => Ok(()),
            _ => Err(self.expected(what)),
        }
    }

    pub(super) fn keyword(&mut self, keyword: Keyword) -> bool {
        self.inner.parse_keyword(keyword)
    }

    pub(super) fn keywords(&mut self, keywords: &[Keyword]) -> bool {
        self.inner.parse_keywords(keywords)
    }

    pub(super) fn expect_keyword(&mut self, keyword: Keyword) -> Result<()> {
        self.inner.expect_keyword_is(keyword).map_err(from_parser)
    }

    /// A word that sqlparser does not list as a keyword.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = matches!(
            &self.inner.peek_token_ref().token,
            Token::Word(next) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word)
        );
        if found {
            self.inner.advance_token();
        }
        found
    }

    pub(super) fn token(&mut self, token: &Token) -> bool {
        self.inner.consume_token(token)
    }

    pub(super) fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.token(token) {
            return Ok(());
        }
        Err(self.expected(&token.to_string()))
    }

    pub(super) fn if_exists(&mut self) -> bool {
        self.keywords(&[Keyword::IF, Keyword::EXISTS])
    }

    pub(super) fn if_not_exists(&mut self) -> bool {
        self.keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS])
    }

    fn ident(&mut self, what: &str) -> Result<Ident> {
        let token = self.inner.peek_token();
        match token.token {
            Token::Word(word) => {
                self.inner.advance_token();
                Ok(word.into_ident(token.span))
            }
            _ => Err(self.expected(what)),
        }
    }

    /// A name, folded.
    pub(super) fn name(&mut self, what: &str) -> Result<String> {
        self.ident(what).map(|ident| folded(&ident))
    }

    /// `name`, `schema.name` or `watershed.schema.name`.
    pub(super) fn object_name(&mut self, what: &str) -> Result<ObjectName> {
        let start = self.here();
        let mut parts = vec![self.name(what)?];
        while self.token(&Token::Period) {
            parts.push(self.name(what)?);
        }
        object_name(parts, start)
    }

    /// `(item, item, …)` with at least one item. A comma may stand behind the last.
    pub(super) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_token(&Token::LParen)?;
        let mut items = vec![item(self)?];
        while self.token(&Token::Comma) && self.inner.peek_token_ref().token != Token::RParen {
            items.push(item(self)?);
        }
        self.expect_token(&Token::RParen)?;
        Ok(items)
    }

    pub(super) fn string(&mut self, what: &str) -> Result<String> {
        let token = self.inner.peek_token();
        match token.token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => {
                self.inner.advance_token();
                Ok(text)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Runs one of sqlparser's productions.
    pub(super) fn inner<T>(
        &mut self,
        production: impl FnOnce(&mut Inner<'static>) -> Result<T, ParserError>,
    ) -> Result<T> {
        production(&mut self.inner).map_err(from_parser)
    }
}

/// The object that parts of a name, folded, stand for.
pub(crate) fn object_name(parts: Vec<String>, start: Location) -> Result<ObjectName> {
    let place = position(start);
    let mut parts = parts.into_iter().rev();
    let name = parts.next().unwrap_or_default();
    let schema = parts.next();
    match parts.next() {
        Some(catalog) if catalog != CATALOG_NAME => {
            return Err(at(
                Error::new(
                    SqlState::InvalidCatalogName,
                    format!("catalog \"{catalog}\" does not exist"),
                )
                .with_hint(format!(
                    "The only catalog is \"{CATALOG_NAME}\"; names need none."
                )),
                start,
            ));
        }
        Some(_) | None => {}
    }
    if parts.next().is_some() {
        return Err(syntax("a name has at most three parts", start));
    }
    Ok(ObjectName {
        schema,
        name,
        position: place,
    })
}

/// A text by lines and characters, as tokens give their places.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The place behind the last character.
    fn end(&self) -> Location {
        let trimmed = self.text.trim_end();
        let start = trimmed.rfind('\n').map_or(0, |at| at + 1);
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Location::new(
            number(trimmed.matches('\n').count() + 1),
            number(trimmed[start..].chars().count() + 1),
        )
    }

    fn offset(&self, location: Location) -> usize {
        let number = |value: u64| usize::try_from(value.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.starts.get(number(location.line)) else {
            return self.text.len();
        };
        self.text[*start..]
            .char_indices()
            .nth(number(location.column))
            .map_or(self.text.len(), |(at, _)| start + at)
    }

    pub(super) fn slice(&self, start: Location, end: Location) -> &'a str {
        self.exact(start, end).trim()
    }

    /// The same, with the white space at both ends.
    pub(super) fn exact(&self, start: Location, end: Location) -> &'a str {
        let (start, end) = (self.offset(start), self.offset(end));
        self.text.get(start..end.max(start)).unwrap_or_default()
    }
}
