//! Errors that say what they are in their text alone.

use watershed_core::error::{Error, SqlState, with_sql_types};

use super::{MARKER, common_types, full, is_full};

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
    let own = marked(message)
        .or_else(|| without_signature(message))
        .or_else(|| common_types::missing(message))
        .or_else(|| without_match(message));
    if let Some(own) = own {
        return own;
    }
    if message.contains("get result type for decimal operation") {
        let error = Error::new(
            SqlState::NumericValueOutOfRange,
            "the result of an operation with decimals has more than 38 digits",
        );
        return error.with_hint("Cast the operands to decimals with fewer digits, or to DOUBLE.");
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
        "does not support zero arguments",
        "but received",
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
        "cannot automatically convert",
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
    if let Some(own) = marked(message)
        .or_else(|| from_predicate(message))
        .or_else(|| no_pattern(message))
    {
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
    let code = if has(&["overflow", "out of range", "to store in a decimal"]) {
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
    if disk {
        return spill_full(message);
    }
    Error::new(
        SqlState::OutOfMemory,
        "the statement needs more memory than it may have",
    )
    .with_detail(message.trim())
    .with_hint("Ask for fewer rows or columns at once, or raise the memory limit of the process.")
}

/// How DataFusion tells that intermediate rows take more room on disk than they may. It goes on with a setting
/// of its own, which sessions here do not have.
const SPILL_FULL: &str = "The used disk space during the spilling process has exceeded the allowable limit";

/// Whether a text says that.
pub(super) fn is_spill_full(text: &str) -> bool {
    text.contains(SPILL_FULL)
}

pub(super) fn spill_full(message: &str) -> Error {
    let detail = message.split("Please try increasing").next().unwrap_or(message);
    Error::new(
        SqlState::DiskFull,
        "the statement needs more room on disk than it may have",
    )
    .with_detail(detail.trim())
    .with_hint(
        "Ask for fewer rows or columns at once, or start the process with a larger --memory-limit: \
         intermediate rows may take 16 times as much on disk.",
    )
}

pub(super) fn from_internal(message: &str) -> Error {
    marked(message)
        .or_else(|| without_signature(message))
        .or_else(|| without_match(message))
        .unwrap_or_else(|| Error::internal(tidy(message)))
}

/// A call that no signature of its function takes. DataFusion tells it as a broken assumption of its own, with
/// what each of the signatures lacks.
fn without_signature(message: &str) -> Option<Error> {
    let (function, reasons) = message.split_once("' failed to match any signature, errors: ")?;
    let (_, function) = function.rsplit_once('\'')?;
    let reasons = reasons
        .split("This issue was likely caused")
        .next()
        .unwrap_or(reasons);
    let reasons = reasons
        .replace(",Error during planning: ", "; ")
        .replace("Error during planning: ", "");
    Some(
        Error::new(
            SqlState::UndefinedFunction,
            format!("function {function} does not take arguments of these types"),
        )
        .with_detail(without_data_types(reasons.trim().trim_end_matches('.')))
        .with_hint("Cast the arguments to types that it takes."),
    )
}

/// A pattern that is no regular expression, which is told over several lines, the last of which says why.
pub(super) fn no_pattern(message: &str) -> Option<Error> {
    let (_, told) = message.split_once("regex parse error:")?;
    let why = told
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("error: "));
    let error = Error::new(
        SqlState::InvalidRegularExpression,
        "a pattern is no regular expression",
    );
    Some(match why {
        Some(why) => error.with_detail(why.trim_end()),
        None => error,
    })
}

/// A text without ` (DataType: …)`, which repeats a type.
fn without_data_types(text: &str) -> String {
    let mut parts = text.split(" (DataType: ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut depth = 1_usize;
        let end = part.find(|sign| {
            match sign {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        out.push_str(end.and_then(|end| part.get(end + 1..)).unwrap_or_default());
    }
    out
}

/// A call that a function does not take. DataFusion tells it with signatures in its own words.
fn without_match(message: &str) -> Option<Error> {
    const CALL: &str = "No function matches the given name and argument types '";
    const NO_TEXT: &str = "Unavailable default cast for native type String from physical type ";
    if let Some((_, kind)) = message.split_once(NO_TEXT) {
        let kind = kind.lines().next().unwrap_or(kind);
        let kind = kind.split(". No function").next().unwrap_or(kind);
        let kind = kind.trim_end_matches('.');
        return Some(
            Error::new(
                SqlState::UndefinedFunction,
                format!("the function does not take an argument of the type {kind}"),
            )
            .with_hint("Cast the argument to a type that it takes."),
        );
    }
    let (reason, rest) = message.split_once(CALL)?;
    let (call, _) = rest
        .split_once("'. You might")
        .or_else(|| rest.split_once("'.\n"))
        .or_else(|| rest.rsplit_once('\''))?;
    let error = Error::new(
        SqlState::UndefinedFunction,
        format!("function {call} does not exist"),
    )
    .with_hint("Give it as many arguments as it takes, of types that it takes.");
    let reason = reason
        .rsplit_once("Error during planning: ")
        .map_or(reason, |(_, reason)| reason);
    let reason = reason
        .rsplit_once("Execution error: ")
        .map_or(reason, |(_, reason)| reason);
    let reason = reason.trim().trim_end_matches('.');
    match reason.is_empty() || reason.contains("ignature") || reason.contains("oerc") {
        true => Some(error),
        false => Some(error.with_detail(tidy(reason))),
    }
}

/// Reads what [`super::portable`] wrote.
pub(super) fn marked(text: &str) -> Option<Error> {
    Error::from_json(text.strip_prefix(MARKER)?)
}

/// What stands before the `Debug` form of an error that evaluating a predicate within a scan of Parquet ended in
/// (`datafusion_datasource_parquet::row_filter`).
const PREDICATE: &str = "Error evaluating filter predicate: ";

/// The error inside a text of a failed predicate, if that has a form known here.
fn from_predicate(text: &str) -> Option<Error> {
    let debugged = text.strip_prefix(PREDICATE)?;
    let inner = debugged.strip_prefix("ArrowError(").unwrap_or(debugged);
    let own = inner.strip_prefix("ExternalError(").unwrap_or(inner);
    if let Some(own) = own.strip_prefix("External(") {
        let end = own.rfind('}')?;
        return marked(own.get(..=end)?);
    }
    if inner.starts_with("DivideByZero") {
        return Some(Error::new(SqlState::DivisionByZero, "division by zero"));
    }
    let (kind, rest) = inner.split_once("(\"")?;
    let message = unquoted(rest);
    match kind {
        "CastError" | "ParseError" => Some(from_cast(&message)),
        "ArithmeticOverflow" => Some(Error::new(
            SqlState::NumericValueOutOfRange,
            format!("value out of range: {}", tidy(&message)),
        )),
        "Execution" | "ComputeError" | "InvalidArgumentError" => Some(from_execution(&message)),
        _ => None,
    }
}

/// A text as it was before `Debug` put it into quotes, the first of which is missing.
fn unquoted(debugged: &str) -> String {
    let mut text = String::new();
    let mut chars = debugged.chars();
    while let Some(next) = chars.next() {
        match next {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(escaped) => text.push(escaped),
                None => break,
            },
            other => text.push(other),
        }
    }
    text
}

/// A message without the form that a syntax tree or a plan has in memory, which some end with.
pub(super) fn without_dump(message: &str) -> String {
    if message.contains("OuterReferenceColumn(") {
        return "a correlated subquery of this form is not supported".to_owned();
    }
    let Some(open) = message.find(" { ") else {
        return message.to_owned();
    };
    // `Semi(On(BinaryOp { left: …` begins with the word before the brace.
    let (before, dumped) = match message.get(..open).and_then(|text| text.rsplit_once(' ')) {
        Some(found) => found,
        None => return message.to_owned(),
    };
    match before.strip_prefix("unsupported ast node in sqltorel") {
        Some(_) => format!("an expression of the kind {dumped} is not supported"),
        None => before.trim_end_matches(':').to_owned(),
    }
}

/// A library's message in our form: one that starts lower case, without a full stop at the end,
/// without asking the reader to file a bug elsewhere.
pub(super) fn tidy(message: &str) -> String {
    let message = with_sql_types(&without_data_types(message));
    let text = message
        .split("\n\nbacktrace:")
        .next()
        .unwrap_or(&message)
        .split("This issue was likely caused by a bug in DataFusion")
        .next()
        .unwrap_or(&message)
        .trim()
        .trim_end_matches('.')
        .trim_start_matches("Error during planning: ")
        .trim_start_matches("Execution error: ")
        .trim_start_matches("Arrow error: ");
    let text = text.to_owned();
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // An acronym or a name stays as it is.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text,
    }
}
