//! Queries and INSERT: read by sqlparser, and refused where we would not do what they say.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Query, SetExpr, TableFactor, TableObject, Visit, Visitor};
use watershed_core::error::{Error, Result};

use super::ast::{Insert, Statement};
use super::error::{at, position, syntax};
use super::limits::with_room;
use super::parser::{Parser, object_name};
use super::types::folded;

/// Refuses clauses that DataFusion would pass over in silence.
pub(super) fn check(query: &Query) -> Result<()> {
    if !query.locks.is_empty() {
        return Err(Error::unsupported("FOR UPDATE and FOR SHARE are not supported")
            .with_hint("A statement reads one version of every table, and locks none."));
    }
    if query.for_clause.is_some() || query.format_clause.is_some() || query.settings.is_some() {
        return Err(Error::unsupported(
            "FOR, FORMAT and SETTINGS clauses are not supported",
        ));
    }
    if let SetExpr::Select(select) = query.body.as_ref()
        && select.into.is_some()
    {
        return Err(
            Error::unsupported("SELECT INTO is not supported").with_hint("Write CREATE TABLE … AS SELECT ….")
        );
    }
    if with_room(|| query.visit(&mut Samples)).is_break() {
        return Err(Error::unsupported("TABLESAMPLE is not supported")
            .with_hint("Write WHERE random() < 0.1 for about a tenth of the rows."));
    }
    Ok(())
}

/// Stops at the first table that is to be sampled.
struct Samples;

impl Visitor for Samples {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        match table {
            TableFactor::Table { sample: Some(_), .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Parser {
    pub(super) fn insert(&mut self) -> Result<Statement> {
        let start = self.here();
        let statement = self.inner(|parser| parser.parse_statement())?;
        let ast::Statement::Insert(mut insert) = statement else {
            return Err(syntax("expected INSERT INTO", start));
        };
        refuse_options(&insert).map_err(|error| at(error, start))?;
        let TableObject::TableName(name) = &insert.table else {
            return Err(at(
                Error::unsupported("INSERT goes into a table, not a function or a query"),
                start,
            ));
        };
        let table = read_name(name)?;
        let columns = insert
            .columns
            .iter()
            .map(|name| match name.0.as_slice() {
                [part] => match part.as_ident() {
                    Some(ident) => Ok((folded(ident), position(ident.span.start))),
                    None => Err(syntax(format!("{name} is no column"), start)),
                },
                _ => Err(syntax(format!("{name} is no column of the table"), start)),
            })
            .collect::<Result<Vec<_>>>()?;
        let Some(mut source) = insert.source.take() else {
            return Err(at(
                Error::unsupported("INSERT without VALUES or a query is not supported"),
                start,
            ));
        };
        super::standard::rewrite(&mut source)?;
        super::balance::balance(&mut *source);
        super::sources::rewrite(&mut *source)?;
        check(&source)?;
        Ok(Statement::Insert(Box::new(Insert {
            table,
            columns,
            source,
        })))
    }
}

fn refuse_options(insert: &ast::Insert) -> Result<()> {
    let not_yet = |what: &str| Err(Error::unsupported(format!("{what} is not supported yet")));
    if insert.overwrite {
        return not_yet("INSERT OVERWRITE");
    }
    if insert.on.is_some() || insert.or.is_some() || insert.ignore || insert.replace_into {
        return not_yet("INSERT … ON CONFLICT");
    }
    if insert.returning.is_some() || insert.output.is_some() {
        return not_yet("INSERT … RETURNING");
    }
    if insert.partitioned.is_some()
        || !insert.after_columns.is_empty()
        || !insert.assignments.is_empty()
        || insert.table_alias.is_some()
        || insert.insert_alias.is_some()
        || insert.settings.is_some()
        || insert.format_clause.is_some()
        || insert.priority.is_some()
    {
        return not_yet("this form of INSERT");
    }
    Ok(())
}

/// The object that a name of sqlparser's stands for.
pub(crate) fn read_name(name: &ast::ObjectName) -> Result<crate::catalog::ObjectName> {
    let idents: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let start = idents
        .first()
        .map_or(sqlparser::tokenizer::Location::empty(), |ident| ident.span.start);
    if idents.len() != name.0.len() {
        return Err(syntax(format!("{name} is no name"), start));
    }
    object_name(idents.into_iter().map(folded).collect(), start)
}

/// An INSERT of one row whose values are parameters and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct InsertedRow {
    pub table: crate::catalog::ObjectName,
    /// Empty where none were named.
    pub columns: Vec<String>,
    /// The number of each value's parameter.
    pub parameters: Vec<usize>,
}

/// Reads SQL text as such an INSERT. None if it is anything else.
pub fn inserted_row(sql: &str) -> Result<Option<InsertedRow>> {
    let mut parsed = super::parse(sql)?;
    let Some(Statement::Insert(insert)) = parsed.pop().map(|parsed| parsed.statement) else {
        return Ok(None);
    };
    let source = &insert.source;
    let plain = source.with.is_none()
        && source.order_by.is_none()
        && source.limit_clause.is_none()
        && source.fetch.is_none();
    let SetExpr::Values(values) = source.body.as_ref() else {
        return Ok(None);
    };
    let ([row], true, true) = (values.rows.as_slice(), plain, parsed.is_empty()) else {
        return Ok(None);
    };
    let parameters: Option<Vec<usize>> = row.content.iter().map(parameter).collect();
    Ok(parameters.map(|parameters| InsertedRow {
        table: insert.table.clone(),
        columns: insert.columns.iter().map(|(name, _)| name.clone()).collect(),
        parameters,
    }))
}

fn parameter(value: &ast::Expr) -> Option<usize> {
    match value {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Placeholder(id) => id.strip_prefix('$')?.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}
