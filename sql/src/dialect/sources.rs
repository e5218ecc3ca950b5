//! Files as tables of a query: `FROM 'a.parquet'`, `FROM read_csv('a.csv', delim => ';')` and their like.
//!
//! Each becomes a name whose text is the definition of an external table, so that all that follows sees one form:
//! [`definition`] reads it back.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, Ident, Spanned, TableAlias, TableFactor, Value, VisitMut,
    VisitorMut,
};
use sqlparser::tokenizer::Location;
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::external::ExternalFormat as Files;
use watershed_storage::layout::Column;

use super::create::unknown_option;
use super::error::{at, syntax};
use super::external::files;
use super::limits::with_room;
use super::parser::Parser;
use super::tokens::tokenize;
use super::types::folded;
use crate::catalog::{ExternalDef, ExternalFormat};

/// The table functions that read files.
const FUNCTIONS: [(&str, ExternalFormat); 9] = [
    ("delta_scan", ExternalFormat::Delta),
    ("parquet_scan", ExternalFormat::Parquet),
    ("read_csv", ExternalFormat::Csv),
    ("read_csv_auto", ExternalFormat::Csv),
    ("read_delta", ExternalFormat::Delta),
    ("read_json", ExternalFormat::Json),
    ("read_json_auto", ExternalFormat::Json),
    ("read_ndjson", ExternalFormat::Json),
    ("read_parquet", ExternalFormat::Parquet),
];

/// The quote of names that hold a definition. No other name has it, once a query was rewritten.
const QUOTE: char = '\'';

/// Gives files that a query reads the form of names.
pub(super) fn rewrite(node: &mut impl VisitMut) -> Result<()> {
    match with_room(|| node.visit(&mut Sources)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The definition that a name holds, if it is one of files.
pub(crate) fn definition(name: &ast::ObjectName) -> Option<Result<ExternalDef>> {
    let [part] = name.0.as_slice() else { return None };
    let ident = part.as_ident().filter(|ident| ident.quote_style == Some(QUOTE))?;
    Some(
        serde_json::from_str(&ident.value)
            .map_err(|error| Error::internal(format!("a definition of files is garbled: {error}"))),
    )
}

struct Sources;

impl VisitorMut for Sources {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table {
            name, alias, args, ..
        } = table
        else {
            return ControlFlow::Continue(());
        };
        let [part] = name.0.as_slice() else {
            return ControlFlow::Continue(());
        };
        let Some(ident) = part.as_ident() else {
            return ControlFlow::Continue(());
        };
        let (start, span) = (ident.span.start, ident.span);
        let found = match args {
            None if ident.quote_style == Some(QUOTE) => Ok(of_path(&ident.value)),
            None => return ControlFlow::Continue(()),
            Some(args) => {
                let called = folded(ident);
                let function = FUNCTIONS.iter().find(|(name, _)| *name == called);
                let Some((function, format)) = function else {
                    return ControlFlow::Continue(());
                };
                of_call(function, *format, &args.args, start)
            }
        };
        let json = found.and_then(|found| {
            let json = serde_json::to_string(&found)
                .map_err(|error| Error::internal(format!("a definition of files has no JSON form: {error}")));
            json.map(|json| (json, found.name))
        });
        match json {
            Err(error) => ControlFlow::Break(error),
            Ok((json, called)) => {
                let mut ident = Ident::with_quote(QUOTE, json);
                ident.span = span;
                *name = ast::ObjectName::from(vec![ident]);
                *args = None;
                alias.get_or_insert_with(|| TableAlias {
                    explicit: true,
                    name: Ident::with_quote('"', called),
                    columns: Vec::new(),
                    at: None,
                });
                ControlFlow::Continue(())
            }
        }
    }
}

/// `FROM 'a/b.csv'`. Its columns may be named `b.x`.
fn of_path(path: &str) -> ExternalDef {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    let format = match Files::of_path(path) {
        Some(Files::Csv) => ExternalFormat::Csv,
        Some(Files::Json) => ExternalFormat::Json,
        Some(Files::Parquet | Files::Delta) | None => ExternalFormat::Parquet,
    };
    def(stem, format, path.to_owned())
}

fn def(name: &str, format: ExternalFormat, location: String) -> ExternalDef {
    ExternalDef {
        schema: String::new(),
        name: name.to_owned(),
        format,
        location,
        columns: Vec::new(),
        partition_by: Vec::new(),
        options: BTreeMap::new(),
    }
}

/// `read_csv('a.csv', delim => ';', columns => 'a INT, b STRING')`.
fn of_call(
    function: &str,
    format: ExternalFormat,
    args: &[FunctionArg],
    start: Location,
) -> Result<ExternalDef> {
    let mut location = None;
    let mut columns = Vec::new();
    let mut options = BTreeMap::new();
    for arg in args {
        let (name, value) = match arg {
            FunctionArg::Named { name, arg, .. } => (Some(folded(name)), arg),
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg,
                ..
            } => (Some(folded(name)), arg),
            FunctionArg::ExprNamed { .. } => {
                return Err(syntax(format!("an option of {function} has no name"), start));
            }
            FunctionArg::Unnamed(value) => (None, value),
        };
        let FunctionArgExpr::Expr(value) = value else {
            return Err(syntax(format!("{function} takes a path and options"), start));
        };
        // `header = true`, which SQL reads as a comparison.
        let (name, value) = match (name, value) {
            (
                None,
                Expr::BinaryOp {
                    left,
                    op: ast::BinaryOperator::Eq,
                    right,
                },
            ) => match left.as_ref() {
                Expr::Identifier(name) => (Some(folded(name)), right.as_ref()),
                _ => (None, value),
            },
            (name, value) => (name, value),
        };
        let place = value.span().start;
        match name {
            None if location.is_none() => location = Some(text(function, value)?),
            None => {
                return Err(syntax(format!("{function} takes one path"), place).with_hint(
                    "Several files are named by a pattern, such as 'folder/*.parquet' or '{a,b}.csv'.",
                ));
            }
            Some(name) if name == "columns" && format != ExternalFormat::Delta => columns = declared(value)?,
            Some(name) => {
                let files = files(format);
                let Some(known) = files.option(&name) else {
                    return Err(unknown_option(&name, place, files.options()));
                };
                if options.insert(known.to_owned(), text(function, value)?).is_some() {
                    return Err(syntax(format!("option \"{known}\" stands twice"), place));
                }
            }
        }
    }
    let Some(location) = location else {
        return Err(syntax(format!("{function} takes a path in single quotes"), start));
    };
    Ok(ExternalDef {
        columns,
        options,
        ..def(function, format, location)
    })
}

/// A value that stands in the statement itself.
fn text(function: &str, value: &Expr) -> Result<String> {
    let place = value.span().start;
    let value = match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text.clone()),
            Value::Number(number, _) => Some(number.clone()),
            Value::Boolean(flag) => Some(flag.to_string()),
            _ => None,
        },
        Expr::Identifier(word) => Some(word.value.clone()),
        _ => None,
    };
    value.ok_or_else(|| {
        at(
            Error::new(
                SqlState::FeatureNotSupported,
                format!("{function} takes values that stand in the statement, and no expressions"),
            ),
            place,
        )
    })
}

/// `'a INT, b STRING'` or `{'a': 'INT', 'b': 'VARCHAR'}`.
fn declared(value: &Expr) -> Result<Vec<Column>> {
    let list = match value {
        Expr::Dictionary(fields) => {
            let fields = fields.iter().map(|field| {
                let name = field.key.value.replace('"', "\"\"");
                Ok(format!("\"{name}\" {}", text("columns", &field.value)?))
            });
            fields.collect::<Result<Vec<_>>>()?.join(", ")
        }
        value => text("columns", value)?,
    };
    let place = value.span().start;
    let read = || -> Result<_> {
        let (tokens, _) = tokenize(&format!("({list})"))?;
        let mut parser = Parser::new(tokens);
        let (columns, key) = parser.columns()?;
        parser.end("the end of the columns")?;
        Ok((columns, key))
    };
    let (columns, key) = read().map_err(|error: Error| {
        at(
            Error::new(
                error.code(),
                format!("the columns cannot be read: {}", error.message()),
            ),
            place,
        )
        .with_hint("Write columns => 'name TYPE, name TYPE'.")
    })?;
    match key.is_empty() && columns.iter().all(|column| column.generated.is_none()) {
        true => Ok(columns),
        false => Err(at(
            Error::unsupported("files have no PRIMARY KEY and no generated columns"),
            place,
        )),
    }
}
