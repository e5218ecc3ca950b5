//! `TABLE name` as a query, which is `SELECT * FROM name`. sqlparser reads three tokens behind the word, whatever they
//! are.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::exclude::is_word;

/// Writes such queries out, where one can stand: at the beginning, behind a set operation, and behind the AS of CREATE.
pub(super) fn write_out(tokens: &mut Vec<TokenWithSpan>) {
    if !tokens.iter().any(|token| is_word(&token.token, "TABLE")) {
        return;
    }
    let mut written = Vec::with_capacity(tokens.len());
    let mut first: Option<Token> = None;
    let mut before: [Option<Token>; 2] = [None, None];
    for token in tokens.drain(..) {
        if matches!(token.token, Token::Whitespace(_)) {
            written.push(token);
            continue;
        }
        let is = |token: &Option<Token>, words: &[&str]| {
            token
                .as_ref()
                .is_some_and(|token| words.iter().any(|word| is_word(token, word)))
        };
        const SETS: [&str; 3] = ["UNION", "INTERSECT", "EXCEPT"];
        let begins = match &before[0] {
            None | Some(Token::SemiColon) => true,
            last => {
                is(last, &SETS)
                    || is(last, &["ALL"]) && is(&before[1], &SETS)
                    || is(last, &["AS"]) && is(&first, &["CREATE"])
            }
        };
        if begins && is_word(&token.token, "TABLE") {
            for part in [
                Token::make_keyword("SELECT"),
                Token::Mul,
                Token::make_keyword("FROM"),
            ] {
                written.push(TokenWithSpan::new(part, token.span));
            }
        } else {
            written.push(token.clone());
        }
        if matches!(before[0], None | Some(Token::SemiColon)) {
            first = Some(token.token.clone());
        }
        let [last, _] = before;
        before = [Some(token.token), last];
    }
    *tokens = written;
}
