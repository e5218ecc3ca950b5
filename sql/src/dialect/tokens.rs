//! Text to tokens, and what a `?` is.
//!
//! `?` is a parameter, numbered from the left, unless it stands between two operands: then it is the
//! JSON operator "has this key". `data ? 'key'` is the operator; `a = ?`, `VALUES (?, ?)` and
//! `LIMIT ?` are parameters. Where a keyword that begins an expression stands before it, it is a
//! parameter too.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};
use watershed_core::error::Result;

use super::error::{from_tokenizer, syntax};
use super::exclude;
use super::grammar::Grammar;
use super::limits;
use super::materialized;
use super::whole_table;

/// Tokens within all limits, parameters numbered, and how deep they nest.
pub(crate) fn tokenize(sql: &str) -> Result<(Vec<TokenWithSpan>, usize)> {
    limits::check_text(sql)?;
    let mut tokens = Tokenizer::new(&Grammar, sql)
        .tokenize_with_location()
        .map_err(from_tokenizer)?;
    let depth = limits::check_depth(&tokens)?;
    number_parameters(&mut tokens)?;
    exclude::take(&mut tokens);
    materialized::take(&mut tokens);
    whole_table::write_out(&mut tokens);
    Ok((tokens, depth))
}

fn number_parameters(tokens: &mut [TokenWithSpan]) -> Result<()> {
    let mut next = 0_usize;
    let mut numbered = false;
    for index in 0..tokens.len() {
        let Token::Placeholder(text) = &tokens[index].token else {
            if matches!(tokens[index].token, Token::SemiColon) {
                (next, numbered) = (0, false);
            }
            continue;
        };
        let start = tokens[index].span.start;
        if text != "?" {
            let valid = text
                .strip_prefix('$')
                .and_then(|digits| digits.parse::<u16>().ok())
                .is_some_and(|number| number > 0);
            if !valid {
                return Err(syntax(
                    format!("{text} is no parameter: they are $1 to $65535, or ?"),
                    start,
                ));
            }
            numbered = true;
        } else if let Some(operator) = of_many_keys(tokens, index) {
            tokens[index].token = operator;
            // The second sign is part of the operator.
            tokens[index + 1].token = Token::Whitespace(Whitespace::Space);
            continue;
        } else if is_operator(tokens, index) {
            tokens[index].token = Token::Question;
            continue;
        } else {
            next += 1;
            if next > usize::from(u16::MAX) {
                return Err(syntax("a statement has at most 65535 parameters", start));
            }
            tokens[index].token = Token::Placeholder(format!("${next}"));
        }
        if numbered && next > 0 {
            return Err(syntax("parameters are either all ? or all $n", start));
        }
    }
    Ok(())
}

/// `?|` or `?&`, where it stands behind an operand.
fn of_many_keys(tokens: &[TokenWithSpan], index: usize) -> Option<Token> {
    let operator = match tokens.get(index + 1)?.token {
        Token::Pipe => Token::QuestionPipe,
        Token::Ampersand => Token::QuestionAnd,
        _ => return None,
    };
    is_behind_operand(tokens, index).then_some(operator)
}

fn is_solid(token: &&TokenWithSpan) -> bool {
    !matches!(token.token, Token::Whitespace(_))
}

fn is_behind_operand(tokens: &[TokenWithSpan], index: usize) -> bool {
    let before = tokens[..index].iter().rev().find(is_solid);
    before.is_some_and(|token| match &token.token {
        Token::Word(word) => word.quote_style.is_some() || !expects_operand(word.keyword),
        Token::RParen | Token::RBracket | Token::SingleQuotedString(_) | Token::Placeholder(_) => true,
        _ => false,
    })
}

fn is_operator(tokens: &[TokenWithSpan], index: usize) -> bool {
    let operand_before = is_behind_operand(tokens, index);
    let after = tokens[index + 1..].iter().find(is_solid);
    let operand_after = after.is_some_and(|token| match &token.token {
        Token::SingleQuotedString(_) | Token::Placeholder(_) | Token::LParen => true,
        Token::Word(word) => {
            word.quote_style.is_some() || matches!(word.keyword, Keyword::NoKeyword | Keyword::CAST)
        }
        _ => false,
    });
    operand_before && operand_after
}

fn expects_operand(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::SELECT
            | Keyword::DISTINCT
            | Keyword::ALL
            | Keyword::ANY
            | Keyword::SOME
            | Keyword::FROM
            | Keyword::WHERE
            | Keyword::AND
            | Keyword::OR
            | Keyword::NOT
            | Keyword::IN
            | Keyword::IS
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::SIMILAR
            | Keyword::TO
            | Keyword::BETWEEN
            | Keyword::ESCAPE
            | Keyword::CASE
            | Keyword::WHEN
            | Keyword::THEN
            | Keyword::ELSE
            | Keyword::ON
            | Keyword::HAVING
            | Keyword::BY
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::FETCH
            | Keyword::FIRST
            | Keyword::NEXT
            | Keyword::VALUES
            | Keyword::SET
            | Keyword::INTERVAL
            | Keyword::ZONE
            | Keyword::ROWS
            | Keyword::RANGE
            | Keyword::GROUPS
            | Keyword::QUALIFY
            | Keyword::RETURNING
            | Keyword::FOR
            | Keyword::DIV
            | Keyword::XOR
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(sql: &str) -> String {
        let (tokens, _) = tokenize(sql).unwrap();
        tokens.iter().map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn question_marks() {
        fn check(sql: &str, expected: &str) {
            assert_eq!(rendered(sql), expected);
        }
        check("SELECT ?, ?", "SELECT $1, $2");
        check("VALUES (?,?), (?,?)", "VALUES ($1,$2), ($3,$4)");
        check("SELECT data ? 'a'", "SELECT data ? 'a'");
        check("SELECT data ? ?", "SELECT data ? $1");
        check("SELECT a ?| b, a ?& ?, ? | c", "SELECT a ?|  b, a ?&  $1, $2 | c");
        check(
            "SELECT (x->'a') ? 'b' AND y = ?",
            "SELECT (x->'a') ? 'b' AND y = $1",
        );
        check(
            "SELECT a WHERE b BETWEEN ? AND ? LIMIT ? OFFSET ?",
            "SELECT a WHERE b BETWEEN $1 AND $2 LIMIT $3 OFFSET $4",
        );
        check(
            "SELECT 'a?b', \"c?\", ? -- ?\n",
            "SELECT 'a?b', \"c?\", $1 -- ?\n",
        );
        check("SELECT ?; SELECT ?", "SELECT $1; SELECT $1");
        check("SELECT $2, $1", "SELECT $2, $1");
    }

    #[test]
    fn bad_parameters() {
        for sql in [
            "SELECT $0",
            "SELECT $x",
            "SELECT $1, ?",
            "SELECT ?, $1",
            "SELECT $70000",
        ] {
            let error = tokenize(sql).unwrap_err();
            assert_eq!(error.code().as_str(), "42601", "{sql}");
            assert!(error.position().is_some(), "{sql}");
        }
    }
}
