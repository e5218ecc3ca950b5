//! How large a statement may be. Everything here is counted before anything recurses.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};
use watershed_core::error::{Error, Result, SqlState};

use super::error::at;

/// Levels of brackets, CASE, subqueries, joins and chained operators that may stand in each other.
pub const DEPTH_LIMIT: usize = 500;
/// Bytes of one text.
pub const TEXT_LIMIT: usize = 16 << 20;
/// Words, numbers, signs and spaces of one text.
pub const TOKEN_LIMIT: usize = 2_000_000;
/// `OR`s of one condition. They are balanced, so that many of them do not nest.
pub const OR_LIMIT: usize = 20_000;

/// Subqueries in expressions that may stand in each other. The optimizer visits each twice per level
/// around it, so that their number is what it doubles with.
pub const SUBQUERY_LIMIT: usize = 10;

fn too_many_subqueries() -> Error {
    Error::new(
        SqlState::StatementTooComplex,
        format!("subqueries in expressions are nested deeper than {SUBQUERY_LIMIT} levels"),
    )
    .with_hint("Give the inner ones names with WITH, or join them.")
}

pub(crate) fn too_deep() -> Error {
    Error::new(
        SqlState::StatementTooComplex,
        format!("the statement is nested deeper than {DEPTH_LIMIT} levels"),
    )
    .with_detail("Brackets, CASE, subqueries, joins and chained operators count.")
    .with_hint("Split it, or write a long condition as IN (…).")
}

pub(crate) fn too_tangled() -> Error {
    Error::new(
        SqlState::StatementTooComplex,
        "the statement can be read in too many ways to find the right one",
    )
    .with_detail("Calls with a syntax of their own, such as position(… IN …), are nested in each other.")
    .with_hint("Look for a mistake in the innermost of them, or nest them less deep.")
}

/// Refuses a text that would take too much memory to read.
pub(crate) fn check_text(sql: &str) -> Result<()> {
    if sql.len() > TEXT_LIMIT {
        return Err(Error::new(
            SqlState::StatementTooComplex,
            format!(
                "the statement has {} bytes, more than the limit of {TEXT_LIMIT}",
                sql.len()
            ),
        )
        .with_hint("Load data from files or by bulk ingest instead of literals."));
    }
    let tokens = count_tokens(sql);
    if tokens > TOKEN_LIMIT {
        return Err(Error::new(
            SqlState::StatementTooComplex,
            format!("the statement has about {tokens} words and signs, more than the limit of {TOKEN_LIMIT}"),
        )
        .with_hint("Load data from files or by bulk ingest instead of literals."));
    }
    Ok(())
}

/// About the number of tokens, never much too low. Texts within quotes are one.
fn count_tokens(sql: &str) -> usize {
    let mut count = 0;
    let mut quote = None;
    let mut in_word = false;
    for byte in sql.bytes() {
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if byte == b'\'' || byte == b'"' => {
                quote = Some(byte);
                in_word = false;
                count += 1;
            }
            None => {
                let word = byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
                if !(word && in_word) {
                    count += 1;
                }
                in_word = word;
            }
        }
    }
    count
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Bottom,
    Round,
    Square,
    Curly,
    Angle,
    Case,
}

/// What is open at one level. All but `ors` makes the tree deeper.
struct Level {
    bracket: Bracket,
    /// Operators since the last boundary: `1 + 1 + 1` nests as deep as it is long.
    chain: usize,
    ands: usize,
    ors: usize,
    /// `BETWEEN`s whose `AND` has not come yet.
    betweens: usize,
    /// Set operations, common table expressions and joins: each nests the plan.
    relations: usize,
    in_from: bool,
    in_with: bool,
    /// Whether what it holds is a value, not a relation.
    value: bool,
    /// Whether it is a subquery that is a value.
    subquery: bool,
    empty: bool,
}

impl Level {
    fn new(bracket: Bracket) -> Self {
        Self {
            bracket,
            chain: 0,
            ands: 0,
            ors: 0,
            betweens: 0,
            relations: 0,
            in_from: false,
            in_with: false,
            value: false,
            subquery: false,
            empty: true,
        }
    }

    fn depth(&self) -> usize {
        1 + self.chain + self.ands + self.relations
    }

    fn boundary(&mut self) {
        self.chain = 0;
        self.ands = 0;
        self.ors = 0;
        self.betweens = 0;
    }
}

/// Nesting that any thread's stack holds.
const SHALLOW: usize = 16;
/// Enough for [`DEPTH_LIMIT`] levels of what takes most: a bracketed table, in a debug build.
const DEEP_STACK: usize = 64 << 20;

/// Runs what recurses over something so deep on a stack that holds it.
pub(crate) fn with_stack<T>(depth: usize, work: impl FnOnce() -> T) -> T {
    if depth <= SHALLOW {
        work()
    } else {
        stacker::grow(DEEP_STACK, work)
    }
}

/// Runs what recurses over something whose depth is not known, but within [`DEPTH_LIMIT`].
pub fn with_room<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(DEEP_STACK / 4, DEEP_STACK, work)
}

/// Refuses what would nest too deep, seen from its tokens alone. Gives how deep it nests at most.
pub(crate) fn check_depth(tokens: &[TokenWithSpan]) -> Result<usize> {
    let mut deepest = 0;
    let mut levels = vec![Level::new(Bracket::Bottom)];
    // The depth of all levels but the last.
    let mut below = 0;
    let mut subqueries = 0;
    let mut after_comma = false;
    let mut previous = Keyword::NoKeyword;
    for TokenWithSpan { token, span } in tokens {
        if matches!(token, Token::Whitespace(_)) {
            continue;
        }
        let keyword = match token {
            Token::Word(word) => word.keyword,
            _ => Keyword::NoKeyword,
        };
        if let Some(bracket) = opens(token, keyword, previous) {
            let mut level = Level::new(bracket);
            if let Some(top) = levels.last_mut() {
                below += top.depth();
                level.value = holds_value(top, previous, after_comma);
                top.empty = false;
            }
            levels.push(level);
        } else if let Some(brackets) = closes(token, keyword) {
            for _ in 0..brackets.1 {
                // An angle or END that closes nothing is an operator or a word.
                if levels.len() > 1 && levels.last().is_some_and(|top| top.bracket == brackets.0) {
                    subqueries -= levels.pop().map_or(0, |level| usize::from(level.subquery));
                    below -= levels.last().map_or(0, Level::depth);
                } else if let (Token::Gt | Token::ShiftRight, Some(top)) = (token, levels.last_mut()) {
                    top.chain += 1;
                }
            }
        } else if matches!(token, Token::SemiColon) {
            levels.clear();
            levels.push(Level::new(Bracket::Bottom));
            (below, subqueries) = (0, 0);
        } else if let Some(top) = levels.last_mut() {
            let begins = matches!(
                keyword,
                Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::FROM
            );
            if top.empty && top.value && begins {
                top.subquery = true;
                subqueries += 1;
                if subqueries > SUBQUERY_LIMIT {
                    return Err(at(too_many_subqueries(), span.start));
                }
            }
            top.empty = false;
            step(top, token, keyword);
            if top.ors > OR_LIMIT {
                return Err(at(
                    Error::new(
                        SqlState::StatementTooComplex,
                        format!("a condition has more than {OR_LIMIT} ORs"),
                    )
                    .with_hint("Write it as IN (…), or join a table of the values."),
                    span.start,
                ));
            }
        }
        deepest = deepest.max(below + levels.last().map_or(0, Level::depth));
        if deepest > DEPTH_LIMIT {
            return Err(at(too_deep(), span.start));
        }
        previous = keyword;
        after_comma = matches!(token, Token::Comma);
    }
    Ok(deepest)
}

/// Whether a bracket that opens now holds a value: elsewhere it holds a relation, or a query.
fn holds_value(around: &Level, previous: Keyword, after_comma: bool) -> bool {
    if around.empty && around.bracket == Bracket::Round {
        // Brackets around brackets.
        return around.value;
    }
    let relation = around.empty
        || (after_comma && around.in_from)
        || matches!(
            previous,
            Keyword::FROM
                | Keyword::JOIN
                | Keyword::LATERAL
                | Keyword::AS
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::EXPLAIN
                | Keyword::ANALYZE
                | Keyword::VERBOSE
                | Keyword::INTO
        );
    !relation
}

fn opens(token: &Token, keyword: Keyword, previous: Keyword) -> Option<Bracket> {
    match token {
        Token::LParen => Some(Bracket::Round),
        Token::LBracket => Some(Bracket::Square),
        Token::LBrace => Some(Bracket::Curly),
        // Types: ARRAY<…>, STRUCT<…>, MAP<…>.
        Token::Lt if matches!(previous, Keyword::ARRAY | Keyword::STRUCT | Keyword::MAP) => {
            Some(Bracket::Angle)
        }
        _ if keyword == Keyword::CASE => Some(Bracket::Case),
        _ => None,
    }
}

fn closes(token: &Token, keyword: Keyword) -> Option<(Bracket, usize)> {
    match token {
        Token::RParen => Some((Bracket::Round, 1)),
        Token::RBracket => Some((Bracket::Square, 1)),
        Token::RBrace => Some((Bracket::Curly, 1)),
        Token::Gt => Some((Bracket::Angle, 1)),
        Token::ShiftRight => Some((Bracket::Angle, 2)),
        _ if keyword == Keyword::END => Some((Bracket::Case, 1)),
        _ => None,
    }
}

fn step(level: &mut Level, token: &Token, keyword: Keyword) {
    match keyword {
        Keyword::AND if level.betweens > 0 => level.betweens -= 1,
        Keyword::AND => {
            level.ands += 1;
            level.chain = 0;
        }
        Keyword::OR => {
            level.ors += 1;
            level.ands = 0;
            level.chain = 0;
        }
        Keyword::BETWEEN => {
            level.chain += 1;
            level.betweens += 1;
        }
        Keyword::SELECT | Keyword::VALUES => {
            level.boundary();
            level.in_with = false;
            level.in_from = false;
        }
        Keyword::FROM => {
            level.boundary();
            level.in_from = true;
        }
        Keyword::WITH => {
            level.boundary();
            level.in_with = true;
        }
        Keyword::JOIN | Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => {
            level.boundary();
            level.relations += 1;
        }
        Keyword::WHERE
        | Keyword::GROUP
        | Keyword::HAVING
        | Keyword::ORDER
        | Keyword::LIMIT
        | Keyword::WINDOW
        | Keyword::QUALIFY => {
            level.boundary();
            level.in_from = false;
        }
        Keyword::BY | Keyword::ON | Keyword::WHEN | Keyword::THEN | Keyword::ELSE | Keyword::SET => {
            level.boundary();
        }
        Keyword::NOT
        | Keyword::IS
        | Keyword::IN
        | Keyword::LIKE
        | Keyword::ILIKE
        | Keyword::RLIKE
        | Keyword::REGEXP
        | Keyword::SIMILAR
        | Keyword::COLLATE
        | Keyword::AT
        | Keyword::DIV
        | Keyword::XOR
        | Keyword::INTERVAL
        | Keyword::OVERLAPS
        | Keyword::OPERATOR
        | Keyword::MEMBER
        | Keyword::EXISTS
        | Keyword::PRIOR
        | Keyword::ANY
        | Keyword::ALL
        | Keyword::SOME
        | Keyword::EXPLAIN
        | Keyword::NOTNULL => level.chain += 1,
        _ => match token {
            Token::Comma => {
                level.boundary();
                if level.in_from || level.in_with {
                    level.relations += 1;
                }
            }
            Token::Word(_)
            | Token::Number(_, _)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::EOF => {}
            // Whatever else there is may be an operator.
            _ => level.chain += 1,
        },
    }
}
