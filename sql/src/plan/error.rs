//! Errors of planning: their code, the nearest name, and the place in the statement.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::logical_expr::planner::ContextProvider;
use sqlparser::ast::{Expr, Query, Visit, Visitor};
use sqlparser::tokenizer::Location;
use watershed_core::error::{Error, SqlState, nearest};
use watershed_storage::error::from_datafusion;

use super::names::Names;
use super::syntax;
use crate::dialect::{at, folded};

/// How DataFusion begins to say that two columns are called the same.
const DUPLICATE_NAMES: &str = "Projections require unique expression names";

/// Whether it says that two columns are called the same, or that a name may mean either of two.
pub(super) fn duplicate_names(found: &DataFusionError) -> bool {
    match root(found) {
        DataFusionError::Plan(message) => message.starts_with(DUPLICATE_NAMES),
        DataFusionError::SchemaError(inner, _) => matches!(
            inner.as_ref(),
            SchemaError::AmbiguousReference { .. }
                | SchemaError::DuplicateQualifiedField { .. }
                | SchemaError::DuplicateUnqualifiedField { .. }
        ),
        _ => false,
    }
}

/// An error of DataFusion's planner about a query.
pub(super) fn refine(found: DataFusionError, query: &impl Visit, names: &Names<'_>) -> Error {
    known(root(&found), query, names).unwrap_or_else(|| from_datafusion(found))
}

/// Points an error about a function at its call.
pub(super) fn at_query(error: Error, query: &Query) -> Error {
    if error.position().is_some() || error.code() != SqlState::UndefinedFunction {
        return error;
    }
    let message = error.message().to_owned();
    let place = locate(query, |expr| match expr {
        Expr::Function(function) => function
            .name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .filter(|ident| message.contains(&format!("{}(", folded(ident))))
            .map(|ident| ident.span.start),
        _ => None,
    });
    match place {
        Some(place) => at(error, place),
        None => error,
    }
}

fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, root),
        other => other,
    }
}

fn known(error: &DataFusionError, query: &impl Visit, names: &Names<'_>) -> Option<Error> {
    match error {
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let relation = field.relation.as_ref().map(|relation| relation.table());
                let known = || {
                    valid_fields.iter().filter(|valid| {
                        let of = valid.relation.as_ref().map(|relation| relation.table());
                        relation.is_none() || of == relation
                    })
                };
                if known().any(|valid| syntax::shared_name(&valid.name) == Some(field.name.as_str())) {
                    let place = column(query, relation, &field.name);
                    return Some(point(syntax::ambiguity(&field.name), place));
                }
                let known: Vec<&str> = known()
                    .map(|valid| syntax::shared_name(&valid.name).unwrap_or(&valid.name))
                    .collect();
                let shown = match relation {
                    Some(relation) => format!("{relation}.{}", field.name),
                    None => field.name.clone(),
                };
                let error = Error::new(
                    SqlState::UndefinedColumn,
                    format!("column \"{shown}\" does not exist"),
                );
                let error = match hint(&field.name, &known) {
                    Some(hint) => error.with_hint(hint),
                    None => missing_relation(error, relation, valid_fields),
                };
                Some(point(error, column(query, relation, &field.name)))
            }
            SchemaError::AmbiguousReference { field } => {
                let error = Error::new(
                    SqlState::AmbiguousColumn,
                    format!("column \"{}\" is in more than one table", field.name),
                )
                .with_hint("Write the table's name or alias before it.");
                Some(point(error, column(query, None, &field.name)))
            }
            SchemaError::DuplicateQualifiedField { name, .. }
            | SchemaError::DuplicateUnqualifiedField { name } => Some(
                Error::new(
                    SqlState::DuplicateColumn,
                    format!("column \"{name}\" stands twice"),
                )
                .with_hint("Give one of them another name with AS."),
            ),
        },
        DataFusionError::Plan(message) if message.starts_with(DUPLICATE_NAMES) => Some(
            Error::new(
                SqlState::DuplicateColumn,
                "two columns of a query have the same name",
            )
            .with_detail(message.as_str())
            .with_hint("Give one of them another name with AS."),
        ),
        DataFusionError::Plan(message) => function(message, query, names),
        _ => None,
    }
}

fn missing_relation(error: Error, relation: Option<&str>, valid: &[datafusion::common::Column]) -> Error {
    let Some(relation) = relation else {
        return error;
    };
    let mut known: Vec<&str> = valid
        .iter()
        .filter_map(|column| column.relation.as_ref())
        .map(|relation| relation.table())
        .collect();
    known.dedup();
    if known.contains(&relation) || known.is_empty() {
        return error;
    }
    error.with_hint(format!("The query reads {}.", known.join(", ")))
}

fn hint(name: &str, known: &[&str]) -> Option<String> {
    if let Some(same) = known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        return Some(format!(
            "Write \"{same}\" in double quotes, as names without quotes fold to lower case."
        ));
    }
    nearest(name, known.iter().copied()).map(|near| format!("Did you mean \"{near}\"?"))
}

fn function(message: &str, query: &impl Visit, names: &Names<'_>) -> Option<Error> {
    let name = message
        .strip_prefix("Invalid function '")
        .or_else(|| message.strip_prefix("table function '"))?
        .split('\'')
        .next()?;
    let mut known = names.udf_names();
    known.extend(names.udaf_names());
    known.extend(names.udwf_names());
    known.sort_unstable();
    let error = Error::new(
        SqlState::UndefinedFunction,
        format!("function \"{name}\" does not exist"),
    );
    let error = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
        None => error,
    };
    let place = locate(query, |expr| match expr {
        Expr::Function(function) => function
            .name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .filter(|ident| ident.value.eq_ignore_ascii_case(name))
            .map(|ident| ident.span.start),
        _ => None,
    });
    Some(point(error, place))
}

fn point(error: Error, place: Option<Location>) -> Error {
    match place {
        Some(place) => at(error, place),
        None => error,
    }
}

fn column(query: &impl Visit, relation: Option<&str>, name: &str) -> Option<Location> {
    locate(query, |expr| match expr {
        Expr::Identifier(ident) if relation.is_none() && folded(ident) == name => Some(ident.span.start),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., table, last]
                if folded(last) == name && relation.is_none_or(|relation| folded(table) == relation) =>
            {
                parts.first().map(|first| first.span.start)
            }
            _ => None,
        },
        _ => None,
    })
}

/// The first place that `find` finds.
fn locate(query: &impl Visit, find: impl Fn(&Expr) -> Option<Location>) -> Option<Location> {
    struct Finder<F>(F);
    impl<F: Fn(&Expr) -> Option<Location>> Visitor for Finder<F> {
        type Break = Location;
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Location> {
            match (self.0)(expr) {
                Some(place) => ControlFlow::Break(place),
                None => ControlFlow::Continue(()),
            }
        }
    }
    query.visit(&mut Finder(find)).break_value()
}
