//! `EXCLUDE CURRENT ROW | GROUP | TIES | NO OTHERS` behind the frame of a window.
//!
//! sqlparser does not know it and has no place for it. Before a text is parsed, the words are taken out, and the
//! window gets a name that holds them: [`split`] reads it back.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use watershed_storage::windows::Exclusion;

/// Stands between the name of a window and what it excludes. No name that is typed has it.
const SEPARATOR: char = '\u{1f}';

/// Takes the clauses out of a text.
pub(super) fn take(tokens: &mut Vec<TokenWithSpan>) {
    if !tokens.iter().any(|token| is_word(&token.token, "EXCLUDE")) {
        return;
    }
    // The brackets around the present place: where they are, and whether a frame begins in them.
    let mut open: Vec<(usize, bool)> = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let token = &tokens[index].token;
        match token {
            Token::LParen => open.push((index, false)),
            Token::RParen => {
                open.pop();
            }
            Token::Word(word) if word.quote_style.is_none() => {
                let framed = matches!(word.keyword, Keyword::ROWS | Keyword::RANGE | Keyword::GROUPS);
                if framed && let Some((_, frame)) = open.last_mut() {
                    *frame = true;
                }
                if let Some((bracket, true)) = open.last()
                    && is_word(token, "EXCLUDE")
                    && is_window(tokens, *bracket)
                    && let Some((end, exclusion)) = clause(tokens, index)
                {
                    let bracket = *bracket;
                    tokens.drain(index..end);
                    if let Some(exclusion) = exclusion {
                        name(tokens, bracket, exclusion);
                        index += 1;
                    }
                    continue;
                }
            }
            _ => {}
        }
        index += 1;
    }
}

/// The name of a window without what it excludes, if it excludes anything. The name is empty where there is none.
pub(crate) fn split(name: &str) -> Option<(&str, Exclusion)> {
    let (name, exclusion) = name.split_once(SEPARATOR)?;
    Some((name, Exclusion::named(exclusion)?))
}

/// Whether a token is a word without quotes.
pub(super) fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

/// The next token that is no white space, and its place.
fn solid(tokens: &[TokenWithSpan], from: usize) -> Option<(usize, &Token)> {
    let mut rest = tokens.iter().enumerate().skip(from);
    rest.find(|(_, token)| !matches!(token.token, Token::Whitespace(_)))
        .map(|(index, token)| (index, &token.token))
}

/// Whether a bracket opens a window: `OVER (` or `WINDOW w AS (`.
fn is_window(tokens: &[TokenWithSpan], bracket: usize) -> bool {
    let before = tokens[..bracket]
        .iter()
        .rev()
        .find(|token| !matches!(token.token, Token::Whitespace(_)));
    before.is_some_and(|token| is_word(&token.token, "OVER") || is_word(&token.token, "AS"))
}

/// Where a clause ends that begins at a place, and what it excludes. None if there is no clause: it is the last
/// of its window.
fn clause(tokens: &[TokenWithSpan], start: usize) -> Option<(usize, Option<Exclusion>)> {
    let (place, first) = solid(tokens, start + 1)?;
    let single = |exclusion| Some((place, Some(exclusion)));
    let (last, exclusion) = if is_word(first, "GROUP") {
        single(Exclusion::Group)
    } else if is_word(first, "TIES") {
        single(Exclusion::Ties)
    } else {
        let (place, second) = solid(tokens, place + 1)?;
        if is_word(first, "CURRENT") && is_word(second, "ROW") {
            Some((place, Some(Exclusion::CurrentRow)))
        } else if is_word(first, "NO") && is_word(second, "OTHERS") {
            Some((place, None))
        } else {
            None
        }
    }?;
    let (_, after) = solid(tokens, last + 1)?;
    (*after == Token::RParen).then_some((last + 1, exclusion))
}

/// Writes what a window excludes into its name, or gives it one.
fn name(tokens: &mut Vec<TokenWithSpan>, bracket: usize, exclusion: Exclusion) {
    let named = match solid(tokens, bracket + 1) {
        Some((place, Token::Word(word)))
            if word.keyword == Keyword::NoKeyword || word.quote_style.is_some() =>
        {
            let folded = match word.quote_style {
                Some(_) => word.value.clone(),
                None => word.value.to_lowercase(),
            };
            Some((place, folded))
        }
        _ => None,
    };
    let span = tokens[bracket].span;
    let own = named.as_ref().map_or("", |(_, name)| name.as_str());
    let token = TokenWithSpan {
        token: Token::Word(Word {
            value: format!("{own}{SEPARATOR}{}", exclusion.name()),
            quote_style: Some('"'),
            keyword: Keyword::NoKeyword,
        }),
        span,
    };
    match named {
        // The caller counts one token more.
        Some((place, _)) => {
            tokens[place] = token;
            tokens.insert(
                place + 1,
                TokenWithSpan::wrap(Token::Whitespace(sqlparser::tokenizer::Whitespace::Space)),
            );
        }
        None => tokens.insert(bracket + 1, token),
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::tokens::tokenize;

    fn taken(sql: &str) -> String {
        let (tokens, _) = tokenize(sql).unwrap();
        let text: String = tokens.iter().map(|token| token.token.to_string()).collect();
        text.replace('\u{1f}', "!")
    }

    #[test]
    fn clauses_become_names() {
        fn check(sql: &str, expected: &str) {
            assert_eq!(taken(sql), expected);
        }
        check(
            "sum(x) OVER (ORDER BY y ROWS 2 PRECEDING EXCLUDE CURRENT ROW), 1",
            "sum(x) OVER (\"!current row\"ORDER BY y ROWS 2 PRECEDING ), 1",
        );
        check(
            "sum(x) OVER (W groups 2 PRECEDING exclude ties)",
            "sum(x) OVER (\"w!ties\"  groups 2 PRECEDING )",
        );
        check(
            "sum(x) OVER (ROWS 2 PRECEDING EXCLUDE NO OTHERS)",
            "sum(x) OVER (ROWS 2 PRECEDING )",
        );
        // Columns that are left out of *.
        for sql in [
            "SELECT * EXCLUDE ties FROM t",
            "(SELECT * EXCLUDE ties)",
            "WITH q AS (SELECT rows.* EXCLUDE ties FROM rows)",
            "OVER (ORDER BY exclude)",
        ] {
            check(sql, sql);
        }
    }
}
