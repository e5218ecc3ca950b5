//! Signatures under which things travel through a client and come back unchanged: tokens, cookies
//! and tickets. The key is this process's own and ends with it.

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;
use watershed_core::{Error, Result};

const SIGNATURE_BYTES: usize = 32;

/// What a sealed text is for. One is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Token = 1,
    Cookie = 2,
    Ticket = 3,
}

pub(super) struct Seal {
    key: hmac::Key,
    random: SystemRandom,
}

impl Seal {
    pub(super) fn new() -> Result<Self> {
        let random = SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| no_randomness())?;
        Ok(Self { key, random })
    }

    /// A handle that nobody guesses.
    pub(super) fn handle(&self) -> Result<Uuid> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes).map_err(|_| no_randomness())?;
        Ok(Uuid::from_bytes(bytes))
    }

    pub(super) fn seal(&self, purpose: Purpose, content: &[u8]) -> Vec<u8> {
        let mut sealed = content.to_vec();
        sealed.extend_from_slice(hmac::sign(&self.key, &signed(purpose, content)).as_ref());
        sealed
    }

    /// The content, if this process sealed it for this purpose.
    pub(super) fn open<'a>(&self, purpose: Purpose, sealed: &'a [u8]) -> Option<&'a [u8]> {
        let (content, signature) = sealed.split_at_checked(sealed.len().checked_sub(SIGNATURE_BYTES)?)?;
        hmac::verify(&self.key, &signed(purpose, content), signature).ok()?;
        Some(content)
    }
}

fn signed(purpose: Purpose, content: &[u8]) -> Vec<u8> {
    let mut signed = Vec::with_capacity(content.len() + 1);
    signed.push(purpose as u8);
    signed.extend_from_slice(content);
    signed
}

fn no_randomness() -> Error {
    Error::internal("the system gives no random numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_its_own_only() {
        let (ours, theirs) = (Seal::new().unwrap(), Seal::new().unwrap());
        let sealed = ours.seal(Purpose::Ticket, b"content");
        assert_eq!(ours.open(Purpose::Ticket, &sealed), Some(&b"content"[..]));
        assert_eq!(ours.open(Purpose::Token, &sealed), None);
        assert_eq!(theirs.open(Purpose::Ticket, &sealed), None);
        for at in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[at] ^= 1;
            assert_eq!(ours.open(Purpose::Ticket, &forged), None, "{at}");
        }
        assert_eq!(ours.open(Purpose::Ticket, b"short"), None);
        assert_eq!(ours.open(Purpose::Ticket, b""), None);
    }
}
