//! Errors and notices on the wire: what a server puts into a gRPC reply and a client takes out.
//!
//! An error travels twice: as text, which every driver shows, and as JSON in a header, from which
//! our own client restores it whole. Both are bounded, since some drivers (Java, C++) refuse replies
//! whose headers exceed 8 KiB, and then show nothing of the error at all.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::error::{Error, Position, SqlState};
use crate::partial::Partial;

/// The header with the error as JSON.
const ERROR_HEADER: &str = "x-watershed-error";
/// The header with what there is to tell about a statement that returns no rows.
const NOTICES_HEADER: &str = "x-watershed-notices";
/// The message on the wire, percent-encoded as gRPC does it.
const MESSAGE_BYTES: usize = 3 << 10;
/// Less of a detail or a hint than this is not worth showing.
const PART_BYTES_MIN: usize = 64;
/// A header's value, in base64.
const HEADER_BYTES: usize = 4 << 10;

/// The gRPC form of an error.
pub fn to_status(error: &Error) -> Status {
    let mut metadata = MetadataMap::new();
    if let Some(json) = bounded_json(error) {
        insert(&mut metadata, ERROR_HEADER, json.as_bytes());
    }
    Status::with_metadata(grpc_code(error.code()), text(error), metadata)
}

/// Restores an error: from our header, else from our text, else from what gRPC itself says.
pub fn from_status(status: &Status) -> Error {
    if let Some(error) = extract(status.metadata(), ERROR_HEADER)
        .and_then(|json| String::from_utf8(json).ok())
        .and_then(|json| Error::from_json(&json))
    {
        return error;
    }
    parse_text(status.message()).unwrap_or_else(|| {
        let message = match status.message() {
            "" => status.code().description(),
            message => message,
        };
        Error::new(sqlstate(status.code()), message)
    })
}

/// What a server tells beside its answer. In a reply with rows it is the JSON of `FlightInfo`'s
/// `app_metadata`, otherwise a header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notices {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Notices {
    pub fn is_empty(&self) -> bool {
        self.notices.is_empty() && self.warnings.is_empty()
    }

    /// The form in `app_metadata`.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads `app_metadata`. Other servers put other things there: those are no notices.
    pub fn from_json(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// Puts them into a reply's headers. What does not fit there is left out, last first.
    pub fn to_metadata(&self, metadata: &mut MetadataMap) {
        let mut fitting = self.clone();
        while !fitting.is_empty() {
            let json = fitting.to_json();
            if base64_len(json.len()) <= HEADER_BYTES {
                insert(metadata, NOTICES_HEADER, &json);
                return;
            }
            if fitting.notices.pop().is_none() {
                fitting.warnings.pop();
            }
        }
    }

    /// Takes them out of a reply's headers.
    pub fn from_metadata(metadata: &MetadataMap) -> Self {
        extract(metadata, NOTICES_HEADER)
            .map(|json| Self::from_json(&json))
            .unwrap_or_default()
    }
}

/// What a server tells at the end of rows: the JSON of the last frame's `app_metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// What the answer lacks.
    #[serde(flatten)]
    pub partial: Option<Partial>,
    #[serde(flatten)]
    pub notices: Notices,
}

impl Closing {
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads `app_metadata`. Other servers put other things there: those close nothing.
    pub fn from_json(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }
}

/// Drivers make their kind of exception from this, so every code is named.
fn grpc_code(code: SqlState) -> Code {
    match code {
        SqlState::FeatureNotSupported => Code::Unimplemented,
        SqlState::NumericValueOutOfRange
        | SqlState::StringDataRightTruncation
        | SqlState::InvalidTextRepresentation
        | SqlState::CardinalityViolation
        | SqlState::DivisionByZero
        | SqlState::InvalidDatetimeFormat
        | SqlState::DatetimeFieldOverflow
        | SqlState::InvalidParameterValue
        | SqlState::InvalidRegularExpression
        | SqlState::InvalidPrecedingOrFollowingSize
        | SqlState::InvalidEscapeCharacter
        | SqlState::InvalidEscapeSequence
        | SqlState::DataException
        | SqlState::NotNullViolation
        | SqlState::SyntaxError
        | SqlState::UndefinedColumn
        | SqlState::UndefinedFunction
        | SqlState::UndefinedObject
        | SqlState::UndefinedParameter
        | SqlState::AmbiguousColumn
        | SqlState::DuplicateColumn
        | SqlState::DatatypeMismatch
        | SqlState::CannotCoerce
        | SqlState::GroupingError
        | SqlState::WindowingError
        | SqlState::WrongObjectType
        | SqlState::InvalidTableDefinition
        | SqlState::StatementTooComplex => Code::InvalidArgument,
        SqlState::InvalidStatementName
        | SqlState::InvalidCatalogName
        | SqlState::InvalidSchemaName
        | SqlState::UndefinedTable => Code::NotFound,
        SqlState::UniqueViolation
        | SqlState::DuplicateTable
        | SqlState::DuplicateSchema
        | SqlState::DuplicateObject => Code::AlreadyExists,
        SqlState::DependentObjectsStillExist | SqlState::ObjectNotInPrerequisiteState => {
            Code::FailedPrecondition
        }
        SqlState::InvalidAuthorization | SqlState::InvalidPassword => Code::Unauthenticated,
        SqlState::InsufficientPrivilege => Code::PermissionDenied,
        SqlState::SerializationFailure => Code::Aborted,
        SqlState::InsufficientResources
        | SqlState::DiskFull
        | SqlState::OutOfMemory
        | SqlState::TooManyStatements => Code::ResourceExhausted,
        SqlState::QueryCanceled => Code::Cancelled,
        SqlState::CannotConnectNow => Code::Unavailable,
        SqlState::CrashShutdown | SqlState::IoError | SqlState::DataCorrupted | SqlState::InternalError => {
            Code::Internal
        }
    }
}

/// The nearest code for an error that is not ours: another server's, or the connection's.
fn sqlstate(code: Code) -> SqlState {
    match code {
        Code::Cancelled | Code::DeadlineExceeded => SqlState::QueryCanceled,
        Code::InvalidArgument => SqlState::SyntaxError,
        Code::OutOfRange => SqlState::NumericValueOutOfRange,
        Code::NotFound => SqlState::UndefinedTable,
        Code::AlreadyExists => SqlState::DuplicateObject,
        Code::PermissionDenied => SqlState::InsufficientPrivilege,
        Code::Unauthenticated => SqlState::InvalidAuthorization,
        Code::ResourceExhausted => SqlState::InsufficientResources,
        Code::FailedPrecondition => SqlState::ObjectNotInPrerequisiteState,
        Code::Aborted => SqlState::SerializationFailure,
        Code::Unimplemented => SqlState::FeatureNotSupported,
        Code::Unavailable => SqlState::CannotConnectNow,
        Code::DataLoss => SqlState::DataCorrupted,
        Code::Ok | Code::Unknown | Code::Internal => SqlState::InternalError,
    }
}

const CODE: &str = " (SQLSTATE ";
const DETAIL: &str = "\nDETAIL: ";
const HINT: &str = "\nHINT: ";
const POSITION: &str = "\nat line ";
const COLUMN: &str = ", column ";

/// The text that drivers show. The message comes first and is cut last.
fn text(error: &Error) -> String {
    let code = format!("{CODE}{})", error.code());
    let position = error
        .position()
        .map(|position| format!("\nat {position}"))
        .unwrap_or_default();
    let mut room = MESSAGE_BYTES.saturating_sub(wire_len(&code) + wire_len(&position));
    let message = cut(error.message(), room / 3 * 2);
    room = room.saturating_sub(wire_len(&message));
    let mut part = |lead: &str, text: Option<&str>| match text {
        Some(text) if room > wire_len(lead) + PART_BYTES_MIN => {
            let part = format!("{lead}{}", cut(text, room - wire_len(lead)));
            room = room.saturating_sub(wire_len(&part));
            part
        }
        _ => String::new(),
    };
    // A hint is worth more than a detail.
    let hint = part(HINT, error.hint());
    let detail = part(DETAIL, error.detail());
    format!("{message}{code}{detail}{hint}{position}")
}

/// Reads what [`text`] wrote, should something between server and client have dropped the header.
fn parse_text(text: &str) -> Option<Error> {
    // Message and detail may be data with such a code in it: the code itself ends its line.
    let (message, code, mut rest) = text.match_indices(CODE).find_map(|(at, _)| {
        let (code, rest) = text[at + CODE.len()..].split_once(')')?;
        (rest.is_empty() || rest.starts_with('\n')).then_some((&text[..at], code, rest))
    })?;
    let mut error = Error::new(SqlState::from_code(code)?, message);
    if let Some((before, position)) = rest.rsplit_once(POSITION)
        && let Some((line, column)) = position.split_once(COLUMN)
        && let (Ok(line), Ok(column)) = (line.parse(), column.parse())
    {
        error = error.with_position(Position { line, column });
        rest = before;
    }
    if let Some((before, hint)) = rest.rsplit_once(HINT) {
        error = error.with_hint(hint);
        rest = before;
    }
    if let Some(detail) = rest.strip_prefix(DETAIL) {
        error = error.with_detail(detail);
    }
    Some(error)
}

/// The error's JSON, without its detail, then without its hint, if it would not fit otherwise.
fn bounded_json(error: &Error) -> Option<String> {
    let bare = || {
        let message = cut(error.message(), HEADER_BYTES / 4);
        let bare = Error::new(error.code(), message);
        match error.position() {
            Some(position) => bare.with_position(position),
            None => bare,
        }
    };
    let hinted = || match error.hint() {
        Some(hint) => bare().with_hint(hint),
        None => bare(),
    };
    [error.clone(), hinted(), bare()]
        .iter()
        .map(Error::to_json)
        .find(|json| base64_len(json.len()) <= HEADER_BYTES)
}

/// What a text takes once gRPC has percent-encoded it, rounded up.
fn wire_len(text: &str) -> usize {
    text.bytes().map(wire_byte).sum()
}

fn wire_byte(byte: u8) -> usize {
    if byte.is_ascii_alphanumeric() || b"()-_.,:;'/=*+".contains(&byte) {
        1
    } else {
        3
    }
}

/// The longest beginning of `text` that takes no more than `room` on the wire.
fn cut(text: &str, room: usize) -> String {
    if wire_len(text) <= room {
        return text.to_owned();
    }
    const MARK: &str = "…";
    let mut left = room.saturating_sub(wire_len(MARK));
    let kept = text.char_indices().find(|(start, character)| {
        let needed = wire_len(&text[*start..start + character.len_utf8()]);
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        !fits
    });
    let end = kept.map_or(text.len(), |(start, _)| start);
    format!("{}{MARK}", &text[..end])
}

fn base64_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

fn insert(metadata: &mut MetadataMap, header: &'static str, value: &[u8]) {
    // Base64 is always a header value.
    if let Ok(value) = MetadataValue::try_from(STANDARD_NO_PAD.encode(value)) {
        metadata.insert(header, value);
    }
}

fn extract(metadata: &MetadataMap, header: &'static str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(metadata.get(header)?.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Error {
        Error::new(SqlState::UndefinedColumn, "column \"größe\" does not exist")
            .with_detail("the table has 3 columns\nand no other")
            .with_hint("Did you mean \"x\"?")
            .with_position(Position { line: 2, column: 7 })
    }

    #[test]
    fn restores_everything() {
        for error in [full(), Error::new(SqlState::QueryCanceled, "cancelled")] {
            assert_eq!(from_status(&to_status(&error)), error);
        }
    }

    #[test]
    fn shows_everything_to_other_drivers() {
        let status = to_status(&full());
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.message(),
            "column \"größe\" does not exist (SQLSTATE 42703)\nDETAIL: the table has 3 columns\nand no other\n\
             HINT: Did you mean \"x\"?\nat line 2, column 7"
        );
    }

    #[test]
    fn restores_from_the_text_alone() {
        let quoting = "cannot cast string 'x (SQLSTATE 57P03)' to value";
        let cast = Error::new(SqlState::InvalidTextRepresentation, quoting).with_detail(quoting);
        for error in [full(), cast, Error::new(SqlState::QueryCanceled, "cancelled")] {
            let status = to_status(&error);
            let stripped = Status::new(status.code(), status.message());
            assert_eq!(from_status(&stripped), error);
        }
    }

    #[test]
    fn stays_below_the_limits_of_drivers() {
        let long = "größe ".repeat(5_000);
        let position = Position { line: 1, column: 9 };
        let error = Error::new(SqlState::SyntaxError, &long)
            .with_detail(&long)
            .with_hint(&long)
            .with_position(position);
        let status = to_status(&error);
        let header = status.metadata().get(ERROR_HEADER).map_or(0, |value| value.len());
        assert!(header > 0 && header <= HEADER_BYTES, "{header}");
        assert!(wire_len(status.message()) <= MESSAGE_BYTES);
        assert!(
            status.message().contains("… (SQLSTATE 42601)"),
            "{}",
            status.message()
        );
        let restored = from_status(&status);
        assert_eq!(
            (restored.code(), restored.position()),
            (SqlState::SyntaxError, Some(position))
        );
        assert!(restored.message().starts_with("größe größe"));
    }

    #[test]
    fn a_long_detail_goes_first() {
        let error = full().with_detail("x".repeat(9_000));
        let restored = from_status(&to_status(&error));
        assert_eq!((restored.hint(), restored.detail()), (full().hint(), None));
    }

    #[test]
    fn understands_others() {
        let error = from_status(&Status::unavailable("tcp connect error"));
        assert_eq!(
            (error.code(), error.message()),
            (SqlState::CannotConnectNow, "tcp connect error")
        );
        assert!(!from_status(&Status::new(Code::Unknown, "")).message().is_empty());
    }

    #[test]
    fn notices_travel_both_ways() {
        let notices = Notices {
            notices: vec!["relation exists, skipping".into()],
            warnings: vec!["one executor did not answer".into()],
        };
        assert_eq!(Notices::from_json(&notices.to_json()), notices);
        let mut metadata = MetadataMap::new();
        notices.to_metadata(&mut metadata);
        assert_eq!(Notices::from_metadata(&metadata), notices);
        assert!(Notices::from_json(b"\x08\x01").is_empty());

        let many = Notices {
            notices: vec!["x".repeat(1_000); 9],
            warnings: vec!["kept".into()],
        };
        let mut metadata = MetadataMap::new();
        many.to_metadata(&mut metadata);
        let kept = Notices::from_metadata(&metadata);
        assert_eq!(kept.warnings, many.warnings);
        assert!((1..9).contains(&kept.notices.len()));
    }

    #[test]
    fn what_closes_an_answer() {
        let mut closing = Closing::from_json(br#"{"warnings":["w"],"other":1}"#);
        assert_eq!(closing.partial, None);
        assert_eq!(closing.notices.warnings, ["w"]);
        closing.partial = Some(Partial {
            completed_shards: 1,
            total_shards: 2,
            missing_shards: Vec::new(),
        });
        let json = closing.to_json();
        assert_eq!(
            String::from_utf8_lossy(&json),
            r#"{"completed_shards":1,"total_shards":2,"missing_shards":[],"warnings":["w"]}"#
        );
        assert_eq!(Closing::from_json(&json), closing);
        assert_eq!(Closing::from_json(b"nonsense"), Closing::default());
    }
}
