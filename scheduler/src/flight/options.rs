//! Session options: the messages of Flight that arrow-flight does not have, and what they do.

use std::collections::BTreeMap;

use prost::{Enumeration, Message, Oneof};
use watershed_core::id::SessionId;
use watershed_core::{Result, SqlState};

use super::engine::Engine;
use super::metadata::CATALOG;

const CATALOG_OPTION: &str = "catalog";
const SCHEMA_OPTION: &str = "schema";

#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    pub(super) value: Option<OptionValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum OptionValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Texts(StringList),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StringList {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsRequest {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) session_options: BTreeMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsResult {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) errors: BTreeMap<String, OptionError>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OptionError {
    #[prost(enumeration = "OptionErrorKind", tag = "1")]
    pub(super) value: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum OptionErrorKind {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetSessionOptionsResult {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) session_options: BTreeMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CloseSessionResult {
    #[prost(enumeration = "CloseSessionStatus", tag = "1")]
    pub(super) status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum CloseSessionStatus {
    Unspecified = 0,
    Closed = 1,
    Closing = 2,
    NotCloseable = 3,
}

impl OptionValue {
    /// Settings are texts.
    fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Flag(flag) => Some(flag.to_string()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Double(number) => Some(number.to_string()),
            Self::Texts(_) => None,
        }
    }
}

/// Sets what can be set, and tells what could not, option by option.
pub(super) async fn set(
    engine: &dyn Engine,
    session: SessionId,
    request: SetSessionOptionsRequest,
) -> SetSessionOptionsResult {
    let mut errors = BTreeMap::new();
    for (name, value) in request.session_options {
        if let Err(kind) = set_one(engine, session, &name, value.value).await {
            errors.insert(name, OptionError { value: kind as i32 });
        }
    }
    SetSessionOptionsResult { errors }
}

async fn set_one(
    engine: &dyn Engine,
    session: SessionId,
    name: &str,
    value: Option<OptionValue>,
) -> Result<(), OptionErrorKind> {
    let value = match value {
        // An option without a value goes back to its default.
        None => None,
        Some(value) => Some(value.into_text().ok_or(OptionErrorKind::InvalidValue)?),
    };
    let done = match (name, value.as_deref()) {
        (CATALOG_OPTION, None | Some(CATALOG)) => Ok(()),
        (CATALOG_OPTION, Some(_)) => return Err(OptionErrorKind::InvalidValue),
        (SCHEMA_OPTION, schema) => engine.use_schema(session, schema.unwrap_or(DEFAULT_SCHEMA)).await,
        (name, value) => engine.set(session, name, value).await,
    };
    done.map_err(|error| match error.code() {
        SqlState::UndefinedObject => OptionErrorKind::InvalidName,
        SqlState::InvalidParameterValue | SqlState::InvalidSchemaName => OptionErrorKind::InvalidValue,
        _ => OptionErrorKind::Error,
    })
}

/// Where sessions begin.
const DEFAULT_SCHEMA: &str = "public";

/// Every option with its value.
pub(super) async fn get(engine: &dyn Engine, session: SessionId) -> Result<GetSessionOptionsResult> {
    let mut options = engine.settings(session).await?;
    options.push((CATALOG_OPTION.to_owned(), CATALOG.to_owned()));
    options.push((SCHEMA_OPTION.to_owned(), engine.current_schema(session).await?));
    let session_options = options
        .into_iter()
        .map(|(name, value)| {
            let value = Some(OptionValue::Text(value));
            (name, SessionOptionValue { value })
        })
        .collect();
    Ok(GetSessionOptionsResult { session_options })
}
