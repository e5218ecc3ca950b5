//! Errors of the libraries below, told as ours.
//!
//! An error of ours that travels through DataFusion comes out as it went in. Across processes errors are
//! encoded as text by libraries that know nothing of ours, so [`portable`] puts all of an error into its text,
//! behind a mark. An error is one of another process only if its text begins with the mark: what follows
//! words of a library may be data.

mod common_types;
mod text;

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::parquet::errors::ParquetError;
use watershed_core::error::{Error, SqlState};

use text::{
    from_cast, from_execution, from_exhausted, from_internal, from_plan, is_spill_full, marked, no_pattern,
    spill_full, tidy, without_dump,
};

/// Begins the text of an error that crosses processes; its JSON form follows.
const MARKER: &str = Error::MARKER;

/// Tells an error of DataFusion as ours; one of ours inside it comes out unchanged.
pub fn from_datafusion(error: DataFusionError) -> Error {
    translate(&error)
}

/// Wraps an error of ours, so that it passes through DataFusion.
pub fn into_datafusion(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// An error in the form that [`from_datafusion`] reads again in another process.
pub fn portable(error: Error) -> DataFusionError {
    DataFusionError::Execution(format!("{MARKER}{}", error.to_json()))
}

/// The error of another process that a text is, if it is one that [`portable`] made.
pub fn of_another_process(text: &str) -> Option<Error> {
    marked(text)
}

fn translate(error: &DataFusionError) -> Error {
    if let Some(own) = own_error(error) {
        return own;
    }
    match error {
        DataFusionError::ArrowError(inner, _) => from_arrow(inner),
        DataFusionError::ParquetError(inner) => from_parquet(inner),
        DataFusionError::ObjectStore(inner) => from_object_store(inner),
        DataFusionError::IoError(inner) => from_io(inner),
        DataFusionError::SQL(inner, _) => Error::new(SqlState::SyntaxError, inner.to_string()),
        DataFusionError::NotImplemented(message) => Error::unsupported(without_dump(&tidy(message))),
        DataFusionError::Plan(message) => from_plan(message),
        DataFusionError::Configuration(message) => Error::new(SqlState::InvalidParameterValue, tidy(message)),
        DataFusionError::SchemaError(inner, _) => from_schema(inner),
        DataFusionError::Execution(message) => from_execution(message),
        DataFusionError::ExecutionJoin(inner) if inner.is_cancelled() => {
            Error::new(SqlState::QueryCanceled, "the statement was cancelled")
        }
        DataFusionError::ExecutionJoin(inner) => {
            Error::internal("a task of the statement failed").with_detail(inner.to_string())
        }
        DataFusionError::ResourcesExhausted(message) => from_exhausted(message),
        DataFusionError::Context(_, inner) => translate(inner),
        DataFusionError::Diagnostic(_, inner) => translate(inner),
        DataFusionError::Shared(inner) => translate(inner),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => translate(first),
            None => Error::internal("a statement failed without saying why"),
        },
        DataFusionError::External(inner) => from_external(inner.as_ref()),
        DataFusionError::Internal(message)
        | DataFusionError::Substrait(message)
        | DataFusionError::Ffi(message) => from_internal(message),
    }
}

/// An error of ours inside `error`: as a value, or as text after the marker.
fn own_error(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    // Chains end; the bound guards against one that does not.
    for _ in 0..32 {
        let current = next?;
        if let Some(own) = current.downcast_ref::<Error>() {
            return Some(own.clone());
        }
        // Some variants hold their cause without naming it as their source.
        if let Some(outer) = current.downcast_ref::<DataFusionError>() {
            let inner = match outer {
                DataFusionError::External(inner) => own_error(inner.as_ref()),
                DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
                    ArrowError::ExternalError(inner) => own_error(inner.as_ref()),
                    _ => None,
                },
                DataFusionError::ParquetError(inner) => match inner.as_ref() {
                    ParquetError::External(inner) => own_error(inner.as_ref()),
                    _ => None,
                },
                DataFusionError::Shared(inner) => own_error(inner.as_ref()),
                DataFusionError::Collection(errors) => errors.iter().find_map(|error| own_error(error)),
                _ => None,
            };
            if inner.is_some() {
                return inner;
            }
        }
        next = current.source();
    }
    None
}

fn from_external(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    if let Some(inner) = error.downcast_ref::<DataFusionError>() {
        return translate(inner);
    }
    if let Some(inner) = error.downcast_ref::<ArrowError>() {
        return from_arrow(inner);
    }
    if let Some(inner) = error.downcast_ref::<ParquetError>() {
        return from_parquet(inner);
    }
    if let Some(inner) = error.downcast_ref::<object_store::Error>() {
        return from_object_store(inner);
    }
    if let Some(inner) = error.downcast_ref::<std::io::Error>() {
        return from_io(inner);
    }
    let text = error.to_string();
    marked(&text)
        .or_else(|| no_pattern(&text))
        .unwrap_or_else(|| Error::internal(tidy(&text)))
}

/// An error of the object store: its text names the object.
pub fn from_object_store(error: &object_store::Error) -> Error {
    let text = chain(error);
    if is_full(&text) || chain_has_full(error) {
        return full(&text);
    }
    match error {
        object_store::Error::NotFound { path, .. } => Error::new(
            SqlState::IoError,
            format!("object {path:?} does not exist in the store"),
        )
        .with_detail(text),
        _ => Error::new(SqlState::IoError, "the object store failed").with_detail(text),
    }
}

fn from_io(error: &std::io::Error) -> Error {
    let text = error.to_string();
    if is_spill_full(&text) {
        return spill_full(&text);
    }
    if is_full_io(error) {
        return full(&error.to_string());
    }
    Error::new(SqlState::IoError, "reading or writing a file failed").with_detail(error.to_string())
}

fn full(text: &str) -> Error {
    Error::new(SqlState::DiskFull, "there is no room left in the store")
        .with_detail(text)
        .with_hint("Free space or raise the limit, then run the statement again.")
}

fn is_full_io(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge
    )
}

fn chain_has_full(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .take(32)
        .any(|error| error.downcast_ref::<std::io::Error>().is_some_and(is_full_io))
}

/// Some stores give the cause as text only.
fn is_full(text: &str) -> bool {
    const SIGNS: [&str; 4] = [
        "No space left on device",
        "File too large",
        "Disk quota exceeded",
        "QuotaExceeded",
    ];
    SIGNS.iter().any(|sign| text.contains(sign))
}

/// An error's text with those of its causes that it does not repeat itself.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()).take(32) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn from_parquet(error: &ParquetError) -> Error {
    let text = chain(error);
    if let Some(own) = marked(&text) {
        return own;
    }
    if let ParquetError::External(inner) = error {
        let translated = from_external(inner.as_ref());
        if translated.code() != SqlState::InternalError {
            return translated;
        }
    }
    if is_full(&text) {
        return full(&text);
    }
    Error::new(SqlState::DataCorrupted, "a Parquet file cannot be read").with_detail(text)
}

fn from_arrow(error: &ArrowError) -> Error {
    let text = error.to_string();
    if let Some(own) = marked(&text) {
        return own;
    }
    match error {
        ArrowError::DivideByZero => Error::new(SqlState::DivisionByZero, "division by zero"),
        ArrowError::ArithmeticOverflow(message) => Error::new(
            SqlState::NumericValueOutOfRange,
            format!("value out of range: {}", tidy(message)),
        ),
        ArrowError::CastError(message) | ArrowError::ParseError(message) => from_cast(message),
        ArrowError::ExternalError(inner) => from_external(inner.as_ref()),
        ArrowError::IoError(_, inner) => from_io(inner),
        ArrowError::CsvError(message) | ArrowError::JsonError(message) => {
            Error::new(SqlState::InvalidTextRepresentation, tidy(message))
        }
        ArrowError::ParquetError(message) => {
            Error::new(SqlState::DataCorrupted, "a Parquet file cannot be read").with_detail(message)
        }
        ArrowError::NotYetImplemented(message) => Error::unsupported(tidy(message)),
        ArrowError::MemoryError(message) => Error::new(SqlState::OutOfMemory, tidy(message)),
        ArrowError::InvalidArgumentError(message) | ArrowError::ComputeError(message) => {
            from_execution(message)
        }
        ArrowError::OffsetOverflowError(_)
        | ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError => {
            Error::new(SqlState::InsufficientResources, "a batch of rows is too large").with_detail(text)
        }
        ArrowError::SchemaError(_)
        | ArrowError::AvroError(_)
        | ArrowError::IpcError(_)
        | ArrowError::CDataInterface(_) => from_internal(&text),
    }
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::AmbiguousReference { field } => Error::new(
            SqlState::AmbiguousColumn,
            format!("column reference \"{}\" is ambiguous", field.name),
        )
        .with_hint("Write the table's name or alias before it."),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => Error::new(
            SqlState::DuplicateColumn,
            format!("column \"{name}\" stands twice"),
        )
        .with_hint("Give one of them another name with AS."),
        SchemaError::FieldNotFound { field, valid_fields } => {
            let shown = match &field.relation {
                Some(relation) => format!("{}.{}", relation.table(), field.name),
                None => field.name.clone(),
            };
            let error = Error::new(
                SqlState::UndefinedColumn,
                format!("column \"{shown}\" does not exist"),
            );
            let mut names: Vec<_> = valid_fields.iter().map(|field| field.name.as_str()).collect();
            names.dedup();
            match watershed_core::error::nearest(&field.name, names.iter().copied()) {
                Some(near) if near.eq_ignore_ascii_case(&field.name) => error.with_hint(format!(
                    "There is \"{near}\": quoted names are exact, others are lower case."
                )),
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None if names.is_empty() => error,
                None => {
                    names.truncate(20);
                    error.with_detail(format!("columns there are: {}", names.join(", ")))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
