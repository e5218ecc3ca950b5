//! Errors that say what they are in their text alone.

use watershed_core::error::{Error, SqlState};

use super::{MARKER, full, is_full};

/// A text or number that could not become a value of another type.
pub(super) fn from_cast(message: &str) -> Error {
    let lower = message.to_lowercase();
    let out_of_range = [
        "overflow",
        "out of range",
        "too large",
        "can't cast value",
        "exceeds",
    ];
    if out_of_range.iter().any(|sign| lower.contains(sign)) {
        return Error::new(SqlState::NumericValueOutOfRange, tidy(message));
    }
    let time = ["timestamp", "date", "time zone", "timezone", "interval"];
    if time.iter().any(|sign| lower.contains(sign)) {
        return Error::new(SqlState::InvalidDatetimeFormat, tidy(message));
    }
    Error::new(SqlState::InvalidTextRepresentation, tidy(message))
}

/// Planning errors say what they are in their text alone.
pub(super) fn from_plan(message: &str) -> Error {
    if let Some(own) = marked(message) {
        return own;
    }
    let lower = message.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    let code = if lower.contains("table") && has(&["not found", "does not exist"]) {
        SqlState::UndefinedTable
    } else if has(&[
        "no function matches",
        "invalid function",
        "unknown function",
        "does not support named",
    ]) {
        SqlState::UndefinedFunction
    } else if has(&[
        "group by clause",
        "aggregate functions are not allowed",
        "in an aggregate function",
    ]) {
        SqlState::GroupingError
    } else if has(&["placeholder"]) {
        SqlState::UndefinedParameter
    } else if has(&[
        "cannot find column",
        "not found in schema",
        "not in schema",
        "no field named",
    ]) {
        SqlState::UndefinedColumn
    } else if has(&["not supported", "not yet supported", "unsupported"]) {
        SqlState::FeatureNotSupported
    } else if has(&[
        "coerc",
        "cannot infer common",
        "type mismatch",
        "cannot cast",
        "requires a boolean",
        "only supports numeric",
        "only supports signed",
        "expects",
        "expected type",
        "incompatible",
        "signature",
        "data type",
    ]) {
        SqlState::DatatypeMismatch
    } else {
        SqlState::SyntaxError
    };
    Error::new(code, tidy(message))
}

pub(super) fn from_execution(message: &str) -> Error {
    if let Some(own) = marked(message) {
        return own;
    }
    let lower = message.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    if has(&["divide by zero", "division by zero"]) {
        return Error::new(SqlState::DivisionByZero, "division by zero");
    }
    if is_full(message) {
        return full(message);
    }
    let code = if has(&["overflow", "out of range"]) {
        SqlState::NumericValueOutOfRange
    } else if has(&["error parsing timestamp", "parsing date", "parsing time"]) {
        SqlState::InvalidDatetimeFormat
    } else if has(&["cannot cast", "can't cast", "parse", "parsing"]) {
        SqlState::InvalidTextRepresentation
    } else if has(&["cancel"]) {
        SqlState::QueryCanceled
    } else {
        SqlState::DataException
    };
    Error::new(code, tidy(message))
}

pub(super) fn from_exhausted(message: &str) -> Error {
    if let Some(own) = marked(message) {
        return own;
    }
    let disk = message.contains("disk") || message.contains("temporary file");
    let code = if disk {
        SqlState::DiskFull
    } else {
        SqlState::OutOfMemory
    };
    let what = if disk {
        "the statement needs more room on disk than it may have"
    } else {
        "the statement needs more memory than it may have"
    };
    Error::new(code, what)
        .with_detail(message.trim())
        .with_hint("Ask for fewer rows or columns at once, or raise the memory limit of the process.")
}

pub(super) fn from_internal(message: &str) -> Error {
    marked(message).unwrap_or_else(|| Error::internal(tidy(message)))
}

/// Reads what [`wire_text`] wrote, with any text before and after it.
pub(super) fn marked(text: &str) -> Option<Error> {
    let (_, rest) = text.split_once(MARKER)?;
    // A text within a text may have been quoted on its way.
    let parse = |json: &str| {
        let mut values = serde_json::Deserializer::from_str(json).into_iter::<serde_json::Value>();
        let value = values.next()?.ok()?;
        Error::from_json(&value.to_string())
    };
    parse(rest).or_else(|| parse(&rest.replace("\\\"", "\"").replace("\\\\", "\\")))
}

/// A library's message in our form: one that starts lower case, without a full stop at the end,
/// without asking the reader to file a bug elsewhere.
pub(super) fn tidy(message: &str) -> String {
    let text = message
        .split("\n\nbacktrace:")
        .next()
        .unwrap_or(message)
        .split("This issue was likely caused by a bug in DataFusion")
        .next()
        .unwrap_or(message)
        .trim()
        .trim_end_matches('.')
        .trim_start_matches("Error during planning: ")
        .trim_start_matches("Execution error: ")
        .trim_start_matches("Arrow error: ");
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // An acronym or a name stays as it is.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}
