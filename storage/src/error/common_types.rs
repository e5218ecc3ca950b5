//! Errors of values that have no type in common.

use watershed_core::error::{Error, SqlState};

/// The error of a message of DataFusion's that is one.
pub(super) fn missing(message: &str) -> Option<Error> {
    without_common_type(message).or_else(|| without_union(message))
}

/// A call whose arguments have no type in common, with all that was tried: `function
/// 'coalesce' user-defined coercion failed with: … No function matches the given name and argument types
/// 'coalesce(Date32, Int64)'. …`.
fn without_common_type(message: &str) -> Option<Error> {
    let (_, rest) = message.split_once("No function matches the given name and argument types '")?;
    let (name, given) = rest.split_once("'.")?.0.split_once('(')?;
    let given = given.strip_suffix(')')?;
    let error = match name {
        "make_array" => Error::new(
            SqlState::DatatypeMismatch,
            format!("the elements of an array are of types {given}, which have none in common"),
        )
        .with_hint("Cast them to one type."),
        "coalesce" | "greatest" | "least" | "nullif" => Error::new(
            SqlState::DatatypeMismatch,
            format!("the arguments of {name} are of types {given}, which have none in common"),
        )
        .with_hint("Cast them to one type."),
        _ => return None,
    };
    Some(error)
}

/// Branches of a union whose columns have no type in common.
fn without_union(message: &str) -> Option<Error> {
    let (_, rest) = message.split_once("ncompatible inputs for Union: Previous inputs were of type ")?;
    let (first, rest) = rest.split_once(", but got incompatible type ")?;
    let (second, _) = rest.split_once(" on column ")?;
    let error = Error::new(
        SqlState::DatatypeMismatch,
        format!("UNION types {first} and {second} cannot be matched"),
    );
    Some(error.with_hint("Cast the columns of the branches to one type."))
}
