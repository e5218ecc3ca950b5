//! Expressions that begin in a way of their own: every form of TRIM, words such as `CURRENT_SCHEMA` with or
//! without brackets, and functions that take lambdas.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    LambdaFunction, LambdaFunctionParameter, LambdaSyntax, ObjectName, OneOrManyWithParens, TrimWhereField,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Words that are functions without arguments, and may be written without brackets.
const WORDS: [&str; 7] = [
    "current_catalog",
    "current_database",
    "current_role",
    "current_schema",
    "current_user",
    "session_user",
    "localtimestamp",
];

/// Functions whose last argument is a lambda, and the names they have here. Elsewhere, `a -> b` takes a value
/// out of JSON.
const HIGHER_ORDER: [(&str, &str); 14] = [
    ("any_match", "array_any_match"),
    ("apply", "array_transform"),
    ("array_any_match", "array_any_match"),
    ("array_apply", "array_transform"),
    ("array_filter", "array_filter"),
    ("array_first", "array_first"),
    ("array_transform", "array_transform"),
    ("filter", "array_filter"),
    ("list_any_match", "array_any_match"),
    ("list_apply", "array_transform"),
    ("list_filter", "array_filter"),
    ("list_first", "array_first"),
    ("list_transform", "array_transform"),
    ("transform", "array_transform"),
];

/// No function calls its lambda with more.
const LAMBDA_PARAMETERS_MAX: usize = 4;

type Read = Result<Expr, ParserError>;

/// Reads such an expression. None, and nothing is read, if there is none.
pub(super) fn read(parser: &mut Parser<'_>) -> Option<Read> {
    let Token::Word(word) = &parser.peek_token_ref().token else {
        return None;
    };
    if word.quote_style.is_some() {
        return None;
    }
    let called = parser.peek_nth_token_ref(1).token == Token::LParen;
    if word.keyword == Keyword::TRIM && called {
        parser.advance_token();
        return Some(trim(parser));
    }
    let name = word.value.to_ascii_lowercase();
    if WORDS.contains(&name.as_str()) && !is_qualifier(parser) {
        let ident = word.clone().into_ident(parser.peek_token_ref().span);
        parser.advance_token();
        return Some(without_arguments(parser, ident));
    }
    let here = HIGHER_ORDER.iter().find(|(known, _)| *known == name);
    if let Some((_, here)) = here
        && called
    {
        let ident = Ident::with_span(parser.peek_token_ref().span, *here);
        parser.advance_token();
        return Some(higher_order(parser, ident));
    }
    None
}

/// Whether a name follows: the word is that of a table or schema.
fn is_qualifier(parser: &Parser<'_>) -> bool {
    parser.peek_nth_token_ref(1).token == Token::Period
}

fn trim(parser: &mut Parser<'_>) -> Read {
    parser.expect_token(&Token::LParen)?;
    let sides = [
        (Keyword::BOTH, TrimWhereField::Both),
        (Keyword::LEADING, TrimWhereField::Leading),
        (Keyword::TRAILING, TrimWhereField::Trailing),
    ];
    let trim_where = sides
        .into_iter()
        .find_map(|(keyword, side)| parser.parse_keyword(keyword).then_some(side));
    let first = match parser.parse_keyword(Keyword::FROM) {
        true => None,
        false => Some(parser.parse_expr()?),
    };
    let (expr, what) = match first {
        None => (parser.parse_expr()?, None),
        Some(first) if parser.parse_keyword(Keyword::FROM) => (parser.parse_expr()?, Some(first)),
        Some(first) => (first, None),
    };
    let what = match what {
        None if parser.consume_token(&Token::Comma) => Some(parser.parse_expr()?),
        what => what,
    };
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Trim {
        expr: Box::new(expr),
        trim_where,
        trim_what: what.map(Box::new),
        trim_characters: None,
    })
}

fn without_arguments(parser: &mut Parser<'_>, name: Ident) -> Read {
    if parser.consume_token(&Token::LParen) {
        parser.expect_token(&Token::RParen)?;
    }
    Ok(function(name, FunctionArguments::None))
}

/// Whether `(a, b) ->` comes next.
fn has_parameters(parser: &Parser<'_>) -> bool {
    let token = |place| &parser.peek_nth_token_ref(place).token;
    if *token(0) != Token::LParen {
        return false;
    }
    for place in (1..=2 * LAMBDA_PARAMETERS_MAX).step_by(2) {
        match (token(place), token(place + 1)) {
            (Token::Word(_), Token::Comma) => {}
            (Token::Word(_), Token::RParen) => return *token(place + 2) == Token::Arrow,
            _ => return false,
        }
    }
    false
}

fn higher_order(parser: &mut Parser<'_>, name: Ident) -> Read {
    parser.expect_token(&Token::LParen)?;
    let mut args = vec![parser.parse_expr()?];
    while parser.consume_token(&Token::Comma) {
        args.push(match lambda(parser)? {
            Some(lambda) => lambda,
            None => parser.parse_expr()?,
        });
    }
    parser.expect_token(&Token::RParen)?;
    let args = args
        .into_iter()
        .map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)))
        .collect();
    Ok(function(
        name,
        FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
    ))
}

fn lambda(parser: &mut Parser<'_>) -> Result<Option<Expr>, ParserError> {
    let single = matches!(parser.peek_token_ref().token, Token::Word(_))
        && parser.peek_nth_token_ref(1).token == Token::Arrow;
    let several = has_parameters(parser);
    let params = if single {
        OneOrManyWithParens::One(parameter(parser)?)
    } else if several {
        parser.expect_token(&Token::LParen)?;
        let params = parser.parse_comma_separated(parameter)?;
        parser.expect_token(&Token::RParen)?;
        OneOrManyWithParens::Many(params)
    } else {
        return Ok(None);
    };
    parser.expect_token(&Token::Arrow)?;
    Ok(Some(Expr::Lambda(LambdaFunction {
        params,
        body: Box::new(parser.parse_expr()?),
        syntax: LambdaSyntax::Arrow,
    })))
}

fn parameter(parser: &mut Parser<'_>) -> Result<LambdaFunctionParameter, ParserError> {
    Ok(LambdaFunctionParameter {
        name: parser.parse_identifier()?,
        data_type: None,
    })
}

fn function(name: Ident, args: FunctionArguments) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args,
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
