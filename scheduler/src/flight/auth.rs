//! Who calls and in which session: the handshake, and what every later call carries.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::{BasicAuth, HandshakeRequest, HandshakeResponse};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use prost::Message;
use serde::{Deserialize, Serialize};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status, Streaming};
use watershed_core::clock::Clock;
use watershed_core::id::SessionId;
use watershed_core::net::{ConnectionId, Peer, to_status};
use watershed_core::{Error, Result, SqlState};

use super::engine::{Credentials, Engine, Login, Principal, SessionKey};
use super::seal::{Purpose, Seal};

const AUTHORIZATION: &str = "authorization";
/// Where clients of Flight's older handshake put the token they got.
const LEGACY_TOKEN: &str = "auth-token-bin";
const COOKIE: &str = "cookie";
const SET_COOKIE: &str = "set-cookie";
const COOKIE_NAME: &str = "watershed_session";

/// Drivers send both padded and unpadded.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who calls.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) session: SessionId,
    pub(super) principal: Principal,
    key: SessionKey,
    /// Whether the client names its session itself, by token or cookie.
    named: bool,
}

/// What a call says about where it comes from, taken from it before anything is awaited.
#[derive(Debug)]
pub(super) struct Claims {
    authorization: Option<String>,
    legacy_token: Option<Vec<u8>>,
    cookie: Option<String>,
    connection: Option<ConnectionId>,
    address: Option<IpAddr>,
}

impl Claims {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let metadata = request.metadata();
        let peer = request.extensions().get::<Peer>();
        let text = |header| {
            metadata
                .get(header)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        Self {
            authorization: text(AUTHORIZATION),
            legacy_token: metadata
                .get_bin(LEGACY_TOKEN)
                .and_then(|value| value.to_bytes().ok())
                .map(|bytes| bytes.to_vec()),
            cookie: metadata
                .get_all(COOKIE)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .find_map(session_cookie),
            connection: peer.map(|peer| peer.connection),
            address: peer.and_then(|peer| peer.address),
        }
    }
}

/// What a token or cookie of ours says. Its seal vouches for it.
#[derive(Serialize, Deserialize)]
struct Grant {
    principal: String,
    key: String,
    /// What the login rested on. A cookie names a session and lets nobody in, so that it has none.
    proof: String,
    /// When whoever it is showed a password or a token, on this process's clock.
    at: Duration,
}

impl Grant {
    fn login(&self) -> Login {
        Login {
            principal: Principal::new(&self.principal),
            proof: self.proof.clone(),
        }
    }
}

/// Lets callers in and finds their sessions.
pub(super) struct Gate {
    engine: Arc<dyn Engine>,
    seal: Arc<Seal>,
    clock: Arc<dyn Clock>,
}

impl Gate {
    pub(super) fn new(engine: Arc<dyn Engine>, seal: Arc<Seal>, clock: Arc<dyn Clock>) -> Self {
        Self { engine, seal, clock }
    }

    /// The caller's session: by our token, else by our cookie, else by the connection.
    pub(super) async fn caller(&self, claims: &Claims) -> Result<Caller> {
        if let Some(grant) = self.token_of(claims) {
            self.check(&grant).await?;
            return self.session(&grant.principal, grant.key, true).await;
        }
        let login = self
            .engine
            .authenticate(&credentials(claims)?, claims.address)
            .await?;
        let principal = login.principal;
        let cookie = claims
            .cookie
            .as_ref()
            .and_then(|cookie| self.grant(Purpose::Cookie, cookie.as_bytes()))
            .filter(|grant| grant.principal == principal.name());
        match cookie {
            Some(grant) => self.session(&grant.principal, grant.key, true).await,
            None => {
                let key = match claims.connection {
                    Some(ConnectionId(number)) => format!("connection {number} {}", principal.name()),
                    // Served by something that does not number its connections: a session per call.
                    None => format!("call {}", self.seal.handle()?),
                };
                self.session(principal.name(), key, false).await
            }
        }
    }

    async fn session(&self, principal: &str, key: String, named: bool) -> Result<Caller> {
        let principal = Principal::new(principal);
        let key = SessionKey::new(key);
        Ok(Caller {
            session: self.engine.session(&key, &principal).await?,
            principal,
            key,
            named,
        })
    }

    fn token_of(&self, claims: &Claims) -> Option<Grant> {
        if let Some(token) = &claims.legacy_token
            && let Some(grant) = self.grant(Purpose::Token, token)
        {
            return Some(grant);
        }
        let token = scheme(claims.authorization.as_deref()?, "bearer")?;
        self.grant(Purpose::Token, token.as_bytes())
    }

    fn grant(&self, purpose: Purpose, text: &[u8]) -> Option<Grant> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(self.seal.open(purpose, &sealed)?).ok()
    }

    /// An error unless what a token was given for still holds.
    async fn check(&self, grant: &Grant) -> Result<()> {
        let age = self.clock.elapsed().saturating_sub(grant.at);
        self.engine.check_login(&grant.login(), age).await
    }

    fn granted(&self, purpose: Purpose, grant: &Grant) -> Result<String> {
        let content = serde_json::to_vec(grant).map_err(|error| Error::internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(self.seal.seal(purpose, &content)))
    }

    /// Gives a token, and with it a session of its own. Messages are read only if no header says who
    /// calls: some clients wait for the answer before they end their stream.
    pub(super) async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<HandshakeResponse>, Status> {
        let claims = Claims::of(&request);
        let credentials = match claims.authorization {
            Some(_) => credentials(&claims).map_err(|error| to_status(&error))?,
            None => match request.into_inner().message().await? {
                Some(message) => legacy_credentials(&message.payload),
                None => Credentials::Anonymous,
            },
        };
        let token = match self.token_of(&claims) {
            // A token of ours is as good as what it was given for, and no better.
            Some(grant) => match self.check(&grant).await {
                Ok(()) => self.new_token(grant.login(), grant.at),
                Err(error) => Err(error),
            },
            None => match self.engine.authenticate(&credentials, claims.address).await {
                Ok(login) => self.new_token(login, self.clock.elapsed()),
                Err(error) => Err(error),
            },
        };
        let token = token.map_err(|error| to_status(&error))?;
        let mut response = Response::new(HandshakeResponse {
            protocol_version: 0,
            payload: token.clone().into_bytes().into(),
        });
        set(response.metadata_mut(), AUTHORIZATION, &format!("Bearer {token}"));
        Ok(response)
    }

    fn new_token(&self, login: Login, at: Duration) -> Result<String> {
        let grant = Grant {
            principal: login.principal.name().to_owned(),
            key: format!("token {}", self.seal.handle()?),
            proof: login.proof,
            at,
        };
        self.granted(Purpose::Token, &grant)
    }

    /// Gives a client that names no session a cookie, so that it keeps its session over a new
    /// connection if it understands cookies.
    pub(super) fn offer_cookie(&self, caller: &Caller, metadata: &mut MetadataMap) -> Result<()> {
        if !caller.named {
            let grant = Grant {
                principal: caller.principal.name().to_owned(),
                key: caller.key.as_str().to_owned(),
                proof: String::new(),
                at: self.clock.elapsed(),
            };
            let cookie = self.granted(Purpose::Cookie, &grant)?;
            set(
                metadata,
                SET_COOKIE,
                &format!("{COOKIE_NAME}={cookie}; Path=/; HttpOnly"),
            );
        }
        Ok(())
    }
}

fn set(metadata: &mut MetadataMap, header: &'static str, value: &str) {
    // What we sign is base64, which is always a header value.
    if let Ok(value) = MetadataValue::try_from(value) {
        metadata.insert(header, value);
    }
}

fn session_cookie(header: &str) -> Option<String> {
    header
        .split(';')
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE_NAME)
        .map(|(_, value)| value.trim_matches('"').to_owned())
}

/// What follows the name of an authorization scheme, whose case does not matter.
fn scheme<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let (given, rest) = header.trim().split_once(' ')?;
    given.eq_ignore_ascii_case(name).then(|| rest.trim())
}

fn credentials(claims: &Claims) -> Result<Credentials> {
    let Some(header) = claims.authorization.as_deref() else {
        return Ok(match &claims.legacy_token {
            Some(token) => Credentials::Token(String::from_utf8_lossy(token).into_owned()),
            None => Credentials::Anonymous,
        });
    };
    if let Some(encoded) = scheme(header, "basic") {
        return basic(encoded).ok_or_else(|| {
            Error::new(
                SqlState::InvalidAuthorization,
                "malformed basic authorization header",
            )
            .with_hint("Send \"Basic\" and the base64 form of user:password.")
        });
    }
    Ok(Credentials::Token(
        scheme(header, "bearer").unwrap_or(header).to_owned(),
    ))
}

fn basic(encoded: &str) -> Option<Credentials> {
    let decoded = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some(Credentials::Password {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

/// The older handshake has its credentials in the payload: a `BasicAuth` message, or anything.
fn legacy_credentials(payload: &[u8]) -> Credentials {
    match BasicAuth::decode(payload) {
        Ok(auth) if !auth.username.is_empty() => Credentials::Password {
            user: auth.username,
            password: auth.password,
        },
        Ok(_) | Err(_) if payload.is_empty() => Credentials::Anonymous,
        Ok(_) | Err(_) => Credentials::Token(String::from_utf8_lossy(payload).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(authorization: &str) -> Claims {
        Claims {
            authorization: Some(authorization.to_owned()),
            legacy_token: None,
            cookie: None,
            connection: None,
            address: None,
        }
    }

    #[test]
    fn headers() {
        let check = |header: &str, expected: Credentials| {
            assert!(credentials(&claims(header)).unwrap() == expected, "{header}");
        };
        let password = |user: &str, password: &str| Credentials::Password {
            user: user.into(),
            password: password.into(),
        };
        check("Basic YTpi", password("a", "b"));
        check("Basic YTpiYw==", password("a", "bc"));
        check("basic YTpiYw", password("a", "bc"));
        check("Basic Og==", password("", ""));
        check("Basic YTpiOmM", password("a", "b:c"));
        check("Bearer None", Credentials::Token("None".into()));
        check("opaque", Credentials::Token("opaque".into()));
        for malformed in ["Basic !", "Basic YQ=="] {
            assert_eq!(
                credentials(&claims(malformed)).unwrap_err().code(),
                SqlState::InvalidAuthorization
            );
        }
    }

    #[test]
    fn cookies() {
        assert_eq!(
            session_cookie("a=b; watershed_session=x ; c=d").as_deref(),
            Some("x")
        );
        assert_eq!(session_cookie("a=b"), None);
    }

    #[test]
    fn legacy_payloads() {
        let auth = BasicAuth {
            username: "a".into(),
            password: "b".into(),
        };
        assert!(matches!(
            legacy_credentials(&auth.encode_to_vec()),
            Credentials::Password { .. }
        ));
        assert!(legacy_credentials(b"") == Credentials::Anonymous);
        assert!(legacy_credentials(b"\xff") == Credentials::Token("\u{fffd}".into()));
    }
}
