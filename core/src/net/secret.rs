//! The secret that the members of a cluster share.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Result, SqlState};

/// The header that carries the secret on cluster ports.
const HEADER: HeaderName = HeaderName::from_static("x-watershed-cluster");

/// A secret. It is never printed.
#[derive(Clone)]
pub struct ClusterSecret(HeaderValue);

impl ClusterSecret {
    /// Takes a secret of visible ASCII characters.
    pub fn new(secret: &str) -> Result<Self> {
        let invalid = || {
            Error::new(SqlState::InvalidParameterValue, "invalid cluster secret")
                .with_hint("A cluster secret has 16 or more letters, digits or punctuation marks of ASCII.")
        };
        if secret.len() < 16 {
            return Err(invalid());
        }
        let mut value = HeaderValue::from_str(secret).map_err(|_| invalid())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// A new random secret.
    pub fn generate() -> Self {
        use rand::distr::{Alphanumeric, SampleString};
        let secret = Alphanumeric.sample_string(&mut rand::rng(), 48);
        // Letters and digits always make a header value.
        Self(HeaderValue::from_str(&secret).unwrap_or(HeaderValue::from_static("")))
    }

    /// The secret itself, for handing it to a process that this one starts.
    pub fn expose(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn attach(&self, headers: &mut HeaderMap) {
        headers.insert(HEADER, self.0.clone());
    }

    /// Whether the headers carry this secret, compared in constant time.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(HEADER) else {
            return false;
        };
        let (given, expected) = (given.as_bytes(), self.0.as_bytes());
        given.len() == expected.len()
            && given.iter().zip(expected).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_itself_alone() {
        let (ours, theirs) = (ClusterSecret::generate(), ClusterSecret::generate());
        let mut headers = HeaderMap::new();
        assert!(!ours.is_in(&headers));
        ours.attach(&mut headers);
        assert!(ours.is_in(&headers));
        assert!(!theirs.is_in(&headers));
        assert_eq!(format!("{ours:?}"), "ClusterSecret(…)");
        assert!(ClusterSecret::new("short").is_err());
    }
}
