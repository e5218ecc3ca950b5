//! One error for every stage of a statement's life: a code, a message, and what helps the reader.
//!
//! The message says what is wrong, in lower case and without a full stop. `detail` adds facts,
//! `hint` is a sentence that says what to do, `position` points into the statement's text.

mod code;
mod type_names;

pub use code::{Remedy, SqlState};
pub use type_names::with_sql_types;

use std::fmt;

/// The result of anything that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place in a statement's text. Both numbers start at 1; a column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What went wrong, as a client is told. One pointer wide, so that `Result` stays small.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Fields>);

#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Fields {
    code: SqlState,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
}

impl Error {
    /// Begins a text that an error in JSON follows.
    pub const MARKER: &'static str = "watershed-error:";

    /// An error of the given kind. The message stands alone: it names what it is about. Types in it, and in the detail,
    /// have the names that SQL has for them.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            code,
            message: with_sql_types(&message.into()),
            detail: None,
            hint: None,
            position: None,
        }))
    }

    /// A broken assumption of ours: never the user's fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlState::InternalError, message)
    }

    /// Something documented whose effect this version does not have.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(SqlState::FeatureNotSupported, message)
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(with_sql_types(&detail.into()));
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn with_position(mut self, position: Position) -> Self {
        self.0.position = Some(position);
        self
    }

    pub fn code(&self) -> SqlState {
        self.0.code
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    pub fn position(&self) -> Option<Position> {
        self.0.position
    }

    /// The form errors have inside a cluster, where one process reads what another wrote.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&*self.0).unwrap_or_else(|_| self.0.message.clone())
    }

    /// Reads what [`Error::to_json`] wrote.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text)
            .ok()
            .map(|fields| Self(Box::new(fields)))
    }
}

/// `message` alone: detail and hint have lines of their own wherever they are shown.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// All of it, in a form that is read again: some libraries keep the `Debug` form of an error and nothing else.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MARKER)?;
        f.write_str(&self.to_json())
    }
}

impl std::error::Error for Error {}

/// Longer than any name that has a near one; comparing takes time by its length.
const NAME_BYTES_MAX: usize = 128;

/// The name in `known` nearest to `given`, if any is near enough to be what was meant.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.into_iter().filter(|_| given.len() <= NAME_BYTES_MAX);
    known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&given.to_lowercase(), &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, name)| *distance <= 1 + name.len().max(given.len()) / 3)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn travels_as_json() {
        let error = Error::new(SqlState::UndefinedTable, "table \"t\" does not exist")
            .with_hint("Create it first.")
            .with_position(Position { line: 1, column: 15 });
        assert_eq!(Error::from_json(&error.to_json()), Some(error));
        assert_eq!(Error::from_json("not json"), None);
    }

    #[test]
    fn nearest_name() {
        let known = ["shards", "shard_key", "sort_by"];
        assert_eq!(nearest("shrads", known), Some("shards"));
        assert_eq!(nearest("SHARD_KEYS", known), Some("shard_key"));
        assert_eq!(nearest("compression", known), None);
        assert_eq!(nearest(&"x".repeat(10 << 20), known), None);
    }
}
