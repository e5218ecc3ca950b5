//! Answers over HTTP, for caches in front of the scheduler: `GET /v1/results?sql=…`.
//!
//! An answer's `ETag` is its key: the query and the versions of its tables. Whoever kept it asks whether it
//! is still so, and hears 304 without the query being run. Nobody is told to keep it unasked, so that what a
//! proxy or a CDN gives is never older than what the scheduler would.

mod unread;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, JsonArray, NullableEncoder};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt;
use serde::Deserialize;
use watershed_core::net::Peer;
use watershed_core::{Error, Result, SqlState, duration};

use unread::Bodies;

use crate::cache::{Key, Layer};
use crate::engine::{Engine, Session};
use crate::flight::{Credentials, Engine as _, Outcome, Principal, SessionKey};

/// The largest body; more is for Flight SQL, which streams.
const MAX_BODY: usize = 16 << 20;
/// How often a query is run whose tables change all the while.
const MAX_TRIES: usize = 3;

/// What is asked for.
#[derive(Debug, Deserialize)]
struct Asked {
    sql: Option<String>,
    /// For so long the answer may be given on without asking again, if the layer's time allows it.
    max_staleness: Option<String>,
}

/// The route, for the scheduler's HTTP port on that address.
pub(crate) fn router(engine: Engine, address: IpAddr) -> Router {
    let port = Port {
        bodies: Bodies::new(engine.parts().stall_timeout),
        engine,
        on_loopback: address.is_loopback(),
    };
    Router::new().route("/v1/results", get(results)).with_state(port)
}

#[derive(Clone)]
struct Port {
    engine: Engine,
    bodies: Bodies,
    on_loopback: bool,
}

async fn results(
    State(port): State<Port>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    asked: std::result::Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let asked = check_host(&port, &headers).and_then(|()| {
        asked.map_err(|rejection| {
            Error::new(
                SqlState::InvalidParameterValue,
                "the parameters of the request cannot be read",
            )
            .with_detail(rejection.body_text())
        })
    });
    let result = match asked {
        Ok(Query(asked)) => Box::pin(answer(&port, &asked, &headers, peer.address)).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(response) => response,
        Err(error) => refusal(&error),
    }
}

/// Refuses DNS rebinding. Without logins, a port on loopback is for programs of this machine; a page in a browser reaches it
/// as well, under a host name whose owner lets it resolve to 127.0.0.1. Only addresses and `localhost` are accepted as hosts.
fn check_host(port: &Port, headers: &HeaderMap) -> Result<()> {
    if !port.on_loopback || port.engine.parts().logins.lets_in_users_only() {
        return Ok(());
    }
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(Error::new(
        SqlState::InsufficientPrivilege,
        format!("the host {host:?} is not this server's"),
    )
    .with_hint("Use its address or localhost, or let users log in: --require-login."))
}

async fn answer(port: &Port, asked: &Asked, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Response> {
    let engine = &port.engine;
    let sql = asked.sql.as_deref().ok_or_else(|| {
        Error::new(SqlState::InvalidParameterValue, "nothing is asked for")
            .with_hint("Put a query into the parameter sql: GET /v1/results?sql=SELECT%201")
    })?;
    let login = engine.authenticate(&credentials(headers)?, peer).await?;
    let parts = engine.parts();
    // All of one principal's requests: nothing that a query does changes a session.
    let session = SessionKey::new(format!("http {}", login.principal.name()));
    let session = parts.sessions.open(&session, &login.principal);
    if !engine.prepare_statement(&session, sql, None).await?.is_query {
        return Err(Error::new(
            SqlState::FeatureNotSupported,
            "only queries are answered over HTTP",
        )
        .with_hint("Send other statements over Flight SQL."));
    }
    let edge = parts.cache.layers().edge;
    let mut key = engine.result_key(&session, sql).await?;
    if let (Some(key), Some(_)) = (&key, edge) {
        let is_known = is_known(headers, key);
        parts.cache.count(Layer::Edge, is_known);
        if is_known {
            let kept = keeping(&login.principal, Some(key), edge, asked)?;
            return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
        }
    }
    for _ in 0..MAX_TRIES {
        let body = rows(engine, &session, sql).await?;
        let after = engine.result_key(&session, sql).await?;
        let is_same = after == key;
        key = after;
        // Rows of a later version must not go under an earlier one's name.
        if is_same {
            let kept = keeping(&login.principal, key.as_ref(), edge, asked)?;
            return Ok((StatusCode::OK, kept, port.bodies.body(body)?).into_response());
        }
    }
    let body = rows(engine, &session, sql).await?;
    let kept = keeping(&login.principal, None, edge, asked)?;
    Ok((StatusCode::OK, kept, port.bodies.body(body)?).into_response())
}

/// The rows as a JSON array of objects.
async fn rows(engine: &Engine, session: &Arc<Session>, sql: &str) -> Result<Vec<u8>> {
    let executed = engine.run_statement(session, sql, &[]).await?;
    let Outcome::Rows(mut rows) = executed.outcome else {
        return Err(Error::internal("a query gave no rows, not even none"));
    };
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(Floats))
        .build::<_, JsonArray>(Vec::new());
    let broken = |error: arrow::error::ArrowError| {
        Error::new(SqlState::FeatureNotSupported, "the rows have no JSON form").with_detail(error.to_string())
    };
    let mut empty = true;
    while let Some(batch) = rows.batches.try_next().await? {
        empty &= batch.num_rows() == 0;
        writer.write(&batch).map_err(broken)?;
        if writer.get_ref().len() > MAX_BODY {
            return Err(Error::new(
                SqlState::InsufficientResources,
                format!("the answer is larger than {} MiB", MAX_BODY >> 20),
            )
            .with_hint("Aggregate or LIMIT it, or fetch it over Flight SQL, which streams."));
        }
    }
    writer.finish().map_err(broken)?;
    Ok(if empty {
        b"[]".to_vec()
    } else {
        writer.into_inner()
    })
}

/// JSON has no NaN and no infinity. As texts they are told from NULL.
#[derive(Debug)]
struct Floats;

impl EncoderFactory for Floats {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> std::result::Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Float64 => Box::new(FloatEncoder(array.as_primitive::<Float64Type>())),
            DataType::Float32 => Box::new(FloatEncoder(array.as_primitive::<Float32Type>())),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct FloatEncoder<'a, T: ArrowPrimitiveType>(&'a PrimitiveArray<T>);

impl<T: ArrowPrimitiveType> Encoder for FloatEncoder<'_, T>
where
    T::Native: Into<f64> + serde::Serialize,
{
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let value = self.0.value(row);
        let wide: f64 = value.into();
        let text = match wide {
            wide if wide.is_nan() => "\"NaN\"".to_owned(),
            f64::INFINITY => "\"Infinity\"".to_owned(),
            f64::NEG_INFINITY => "\"-Infinity\"".to_owned(),
            _ => serde_json::to_string(&value).unwrap_or_default(),
        };
        out.extend_from_slice(text.as_bytes());
    }
}

type Keeping = AppendHeaders<Vec<(HeaderName, String)>>;

/// What a cache on the way may do with an answer.
fn keeping(
    principal: &Principal,
    key: Option<&Key>,
    edge: Option<Duration>,
    asked: &Asked,
) -> Result<Keeping> {
    let mut headers = vec![
        (CONTENT_TYPE, "application/json".to_owned()),
        (VARY, "authorization".to_owned()),
    ];
    let (Some(key), Some(ttl)) = (key, edge) else {
        headers.push((CACHE_CONTROL, "no-store".to_owned()));
        return Ok(AppendHeaders(headers));
    };
    let whose = match principal.name() {
        Principal::ANONYMOUS => "public",
        _ => "private",
    };
    let staleness = match &asked.max_staleness {
        Some(text) => duration::parse(text)?.min(ttl),
        None => Duration::ZERO,
    };
    let control = match staleness.as_secs() {
        0 => format!("{whose}, no-cache"),
        seconds => format!("{whose}, max-age={seconds}, must-revalidate"),
    };
    headers.push((CACHE_CONTROL, control));
    headers.push((ETAG, tag(key)));
    Ok(AppendHeaders(headers))
}

fn tag(key: &Key) -> String {
    format!("\"{key}\"")
}

fn is_known(headers: &HeaderMap, key: &Key) -> bool {
    let tag = tag(key);
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|value| value.trim().trim_start_matches("W/"))
        .any(|value| value == tag || value == "*")
}

fn credentials(headers: &HeaderMap) -> Result<Credentials> {
    let refused = || {
        Error::new(
            SqlState::InvalidAuthorization,
            "the Authorization header is neither Basic nor Bearer",
        )
    };
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(Credentials::Anonymous);
    };
    let (scheme, rest) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(refused)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Credentials::Token(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(refused());
    }
    let text = STANDARD
        .decode(rest.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let (user, password) = text
        .as_deref()
        .and_then(|text| text.split_once(':'))
        .ok_or_else(refused)?;
    Ok(Credentials::Password {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

fn refusal(error: &Error) -> Response {
    let status = match error.code() {
        SqlState::InvalidAuthorization | SqlState::InvalidPassword => StatusCode::UNAUTHORIZED,
        SqlState::InsufficientPrivilege => StatusCode::FORBIDDEN,
        SqlState::QueryCanceled => StatusCode::GATEWAY_TIMEOUT,
        SqlState::CannotConnectNow | SqlState::TooManyStatements => StatusCode::SERVICE_UNAVAILABLE,
        SqlState::IoError | SqlState::DataCorrupted | SqlState::InternalError => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::BAD_REQUEST,
    };
    let body = serde_json::json!({
        "code": error.code().as_str(),
        "message": error.message(),
        "detail": error.detail(),
        "hint": error.hint(),
        "position": error.position(),
    });
    let mut headers = vec![(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    if status == StatusCode::UNAUTHORIZED {
        headers.push((axum::http::header::WWW_AUTHENTICATE, "Basic realm=\"watershed\""));
    }
    let mut response = (status, body.to_string()).into_response();
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, axum::http::HeaderValue::from_static(value));
    }
    response
}
