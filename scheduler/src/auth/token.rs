//! Tokens: random, shown once, and kept as a digest.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use watershed_core::Result;
use watershed_sql::dialect::Secret;

/// Every token begins so: it is told from a password, and found where it should not be.
const PREFIX: &str = "wst_";
const RANDOM_BYTES: usize = 32;

/// A token that nobody has seen yet.
pub struct NewToken {
    pub secret: Secret,
    pub digest: String,
}

impl NewToken {
    pub fn generate() -> Result<Self> {
        let mut bytes = [0; RANDOM_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| super::no_randomness())?;
        let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        Ok(Self {
            digest: digest(&secret),
            secret: Secret::new(secret),
        })
    }
}

pub(super) fn is_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// What the catalog knows of a token. It is found by this: with 32 random bytes, that says nothing of
/// the token itself.
pub(super) fn digest(secret: &str) -> String {
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    hash.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a text never fails.
        write!(hex, "{byte:02x}").ok();
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_by_their_digest() {
        let (one, two) = (NewToken::generate().unwrap(), NewToken::generate().unwrap());
        assert!(is_token(one.secret.expose()) && one.secret.expose().len() > 40);
        assert_ne!(one.digest, two.digest);
        assert_eq!(digest(one.secret.expose()), one.digest);
        assert_eq!(
            digest("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
