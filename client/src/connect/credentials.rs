//! What a client proves with who it is. None of it is ever printed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tonic::codegen::http::HeaderValue;
use watershed_core::{Error, Result, SqlState};

/// Who asks.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// A user, who gets a token for the password.
    Password { user: String, password: Secret },
    /// Whoever the token was made for.
    Token(Secret),
}

/// A text that nobody is to read.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The header of a user and a password.
pub(super) fn basic(user: &str, password: &Secret) -> Result<HeaderValue> {
    if user.contains(':') {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("invalid user name \"{user}\""),
        )
        .with_hint("The name of a user has no colon."));
    }
    let both = STANDARD.encode(format!("{user}:{}", password.expose()));
    header(&format!("Basic {both}"))
}

/// The header of a token.
pub(super) fn bearer(token: &Secret) -> Result<HeaderValue> {
    header(&format!("Bearer {}", token.expose()))
}

fn header(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(text).map_err(|_| {
        Error::new(SqlState::InvalidParameterValue, "invalid token")
            .with_hint("A token is one line of letters, digits and punctuation marks of ASCII.")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let secret = Secret::new("p:ä");
        let value = basic("ada", &secret).unwrap();
        assert_eq!(value.to_str().unwrap(), "Basic YWRhOnA6w6Q=");
        assert!(basic("a:b", &secret).is_err());
        assert_eq!(bearer(&Secret::new("t")).unwrap().to_str().unwrap(), "Bearer t");
        assert!(bearer(&Secret::new("two\nlines")).is_err());
    }

    #[test]
    fn secrets_are_not_printed() {
        let password = Secret::new("hunter2");
        let shown = format!(
            "{:?} {:?} {:?}",
            Credentials::Token(password.clone()),
            basic("hunter", &password).unwrap(),
            Credentials::Password {
                user: "ada".into(),
                password,
            },
        );
        assert!(!shown.contains("hunter2") && !shown.contains("Basic"), "{shown}");
        let refused = bearer(&Secret::new("hunter2\n")).unwrap_err();
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }
}
