//! Hashes of passwords: slow on purpose, so off the threads that serve, and few at a time.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHash as Phc, PasswordHasher, PasswordVerifier, Version};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watershed_core::{Error, Result, SqlState};
use watershed_sql::catalog::PasswordHash;
use watershed_sql::dialect::Secret;

/// OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 << 10;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// Hashes that are made at a time, by the memory that each takes.
const PARALLEL: usize = 2;
/// Those that wait for their turn; more are refused.
const WAITING_MAX: usize = 256;

pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// The hash of no password, for users that are not there.
    nothing: PasswordHash,
}

/// The right to make one hash.
pub(super) struct Turn(OwnedSemaphorePermit);

impl Passwords {
    pub(super) async fn start() -> Result<Self> {
        let salt = salt()?;
        let nothing = tokio::task::spawn_blocking(move || hash(&[], &salt));
        Ok(Self {
            turns: Arc::new(Semaphore::new(PARALLEL)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            nothing: nothing.await.map_err(broken)??,
        })
    }

    /// Waits until there may be one hash more.
    pub(super) async fn turn(&self) -> Result<Turn> {
        let _waiting = self.waiting.try_acquire().map_err(|_| {
            Error::new(SqlState::TooManyStatements, "too many logins are under way")
                .with_hint("Try again in a moment.")
        })?;
        Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map(Turn)
            .map_err(broken)
    }

    pub(super) async fn hash(&self, password: &Secret) -> Result<PasswordHash> {
        let Turn(permit) = self.turn().await?;
        let (password, salt) = (password.clone(), salt()?);
        let hashing = tokio::task::spawn_blocking(move || {
            let hashed = hash(password.expose().as_bytes(), &salt);
            drop(permit);
            hashed
        });
        hashing.await.map_err(broken)?
    }

    /// Whether a password has this hash.
    pub(super) async fn verify(&self, turn: Turn, password: &str, hash: &PasswordHash) -> Result<bool> {
        let (password, hash) = (Secret::new(password), hash.clone());
        let verifying = tokio::task::spawn_blocking(move || {
            let verifier: &dyn PasswordVerifier<str> = &Argon2::default();
            let right = verifier.verify_password(password.expose().as_bytes(), hash.as_str());
            // Held until here, even if whoever asked is gone: the memory was taken all the same.
            drop(turn);
            right.is_ok()
        });
        verifying.await.map_err(broken)
    }

    /// Takes as long as [`Passwords::verify`].
    pub(super) async fn verify_nothing(&self, password: &str) -> Result<()> {
        let turn = self.turn().await?;
        self.verify(turn, password, &self.nothing).await.map(drop)
    }
}

fn salt() -> Result<[u8; SALT_BYTES]> {
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| super::no_randomness())?;
    Ok(salt)
}

fn hash(password: &[u8], salt: &[u8]) -> Result<PasswordHash> {
    let failed = |error: String| Error::internal("a password cannot be hashed").with_detail(error);
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| failed(error.to_string()))?;
    let hash: Phc = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password, salt)
        .map_err(|error| failed(error.to_string()))?;
    Ok(PasswordHash::new(hash.to_string()))
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::internal("a password cannot be checked").with_detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_are_salted_and_recognise_their_password_alone() {
        let passwords = Passwords::start().await.unwrap();
        let secret = Secret::new("hunter22");
        let (one, two) = (
            passwords.hash(&secret).await.unwrap(),
            passwords.hash(&secret).await.unwrap(),
        );
        assert_ne!(one, two);
        assert!(
            one.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            one.as_str()
        );
        for (password, hash, expected) in [
            ("hunter22", &one, true),
            ("hunter22", &two, true),
            ("hunter23", &one, false),
            ("", &one, false),
            ("hunter22", &PasswordHash::new("damaged"), false),
        ] {
            let turn = passwords.turn().await.unwrap();
            assert_eq!(passwords.verify(turn, password, hash).await.unwrap(), expected);
        }
    }
}
