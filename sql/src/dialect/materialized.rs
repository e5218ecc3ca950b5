//! `WITH q AS [NOT] MATERIALIZED (…)`, as PostgreSQL and DuckDB have it. sqlparser reads it in PostgreSQL's dialect alone;
//! it is a hint, and is left out.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::exclude::is_word;

/// Takes the hints out of a text.
pub(super) fn take(tokens: &mut Vec<TokenWithSpan>) {
    if !tokens.iter().any(|token| is_word(&token.token, "MATERIALIZED")) {
        return;
    }
    let solid: Vec<usize> = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)))
        .map(|(index, _)| index)
        .collect();
    let is = |place: Option<&usize>, wanted: &str| {
        place
            .and_then(|index| tokens.get(*index))
            .is_some_and(|token| is_word(&token.token, wanted))
    };
    let mut hints = Vec::new();
    for (place, index) in solid.iter().enumerate() {
        let before = |back: usize| place.checked_sub(back).and_then(|place| solid.get(place));
        let opens = solid.get(place + 1).is_some_and(|next| {
            tokens
                .get(*next)
                .is_some_and(|token| token.token == Token::LParen)
        });
        if !is(Some(index), "MATERIALIZED") || !opens {
            continue;
        }
        if is(before(1), "AS") {
            hints.push(*index);
        } else if is(before(1), "NOT") && is(before(2), "AS") {
            hints.extend(before(1).copied());
            hints.push(*index);
        }
    }
    // The hints are in the order of the tokens.
    let mut hints = hints.into_iter().peekable();
    let mut index = 0;
    tokens.retain(|_| {
        let is_hint = hints.next_if_eq(&index).is_some();
        index += 1;
        !is_hint
    });
}
