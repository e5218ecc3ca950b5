//! Who is let in: passwords and tokens against the catalog, and logins that must still hold later.
//!
//! Reading order: this file; `passwords` (slow hashes, few at a time), `remembered` (fast answers for
//! clients that send a password with every call), `attempts` (how often one may be wrong), `token`.

mod attempts;
mod pace;
mod passwords;
mod remembered;
mod token;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use watershed_core::clock::Clock;
use watershed_core::{Error, Result, SqlState};
use watershed_sql::authorize::Access;
use watershed_sql::catalog::{ADMIN, Catalog, CatalogStore, PasswordHash, TokenDef, UserDef};
use watershed_sql::dialect::Secret;

use crate::flight::{Credentials, Login, Principal};
use attempts::Attempts;
use pace::Pace;
use passwords::Passwords;
use remembered::Remembered;

pub use token::NewToken;

/// A login is good for this long; then the client has to show its password or token again.
const LOGIN_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// Logins are checked against a catalog that is no older than this.
const CATALOG_AGE_MAX: Duration = Duration::from_secs(1);
/// Longer ones are nobody's.
const USER_BYTES_MAX: usize = 128;
const PASSWORD_BYTES_MAX: usize = 1_024;
/// Fewer characters are guessed too soon.
const PASSWORD_CHARS_MIN: usize = 8;

/// Whom a scheduler lets in.
#[derive(Debug, Clone)]
pub enum Policy {
    /// Whoever names itself is believed, and may do everything.
    Anonymous,
    /// Users of the catalog, and with this password the built-in one.
    Users { admin_password: Option<Secret> },
}

/// Lets in, or does not.
pub struct Logins {
    clock: Arc<dyn Clock>,
    passwords: Passwords,
    tokens: Pace,
    /// Of this process: what it vouches for ends with it.
    key: hmac::Key,
    /// `None` lets everyone in.
    users: Option<Users>,
}

/// What letting users in takes.
struct Users {
    /// The built-in user's password, if it has one.
    admin: Option<PasswordHash>,
    remembered: Remembered,
    attempts: Attempts,
    /// When the catalog was read from the store for a login, on the monotonic clock.
    refreshed: Mutex<Option<Duration>>,
}

impl Logins {
    /// Where only users are let in, there must be one who can make others.
    pub async fn start(policy: Policy, catalog: &Catalog, clock: Arc<dyn Clock>) -> Result<Self> {
        let key =
            hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| no_randomness())?;
        let passwords = Passwords::start().await?;
        let users = match policy {
            Policy::Anonymous => None,
            Policy::Users { admin_password } => {
                if admin_password.is_none() && !catalog.principals.has_admin(clock.now()) {
                    return Err(nobody_could_enter());
                }
                let admin = match &admin_password {
                    Some(password) => {
                        check_password(password)?;
                        Some(passwords.hash(password).await?)
                    }
                    None => None,
                };
                Some(Users {
                    admin,
                    remembered: Remembered::new(Arc::clone(&clock))?,
                    attempts: Attempts::new(Arc::clone(&clock)),
                    refreshed: Mutex::default(),
                })
            }
        };
        Ok(Self {
            tokens: Pace::new(Arc::clone(&clock)),
            clock,
            passwords,
            key,
            users,
        })
    }

    /// Counts a token that a user makes, or refuses it: too many in a short time are too many records of the catalog.
    pub fn count_token(&self, user: &str) -> Result<()> {
        self.tokens.take(user)
    }

    /// The hash of a new password.
    pub async fn hash(&self, password: &Secret) -> Result<PasswordHash> {
        check_password(password)?;
        self.passwords.hash(password).await
    }

    /// Whether every client has to log in.
    pub fn lets_in_users_only(&self) -> bool {
        self.users.is_some()
    }

    /// What a principal that was let in may do.
    pub fn access(&self, catalog: &Catalog, principal: &Principal) -> Result<Access> {
        match self.users {
            None => Ok(Access::everything(principal.name())),
            Some(_) => Access::of(&catalog.principals, principal.name()),
        }
    }

    /// Lets in whoever shows that it may.
    pub async fn authenticate(
        &self,
        store: &CatalogStore,
        credentials: &Credentials,
        peer: Option<IpAddr>,
    ) -> Result<Login> {
        let Some(users) = &self.users else {
            return Ok(believed(credentials));
        };
        match credentials {
            Credentials::Anonymous => Err(refused("this server lets in users only")
                .with_hint("Connect with a user and a password, or with a token.")),
            Credentials::Token(secret) => self.by_token(users, store, secret, peer).await,
            // Many tools have fields for a user and a password only.
            Credentials::Password { password, .. } if token::is_token(password) => {
                self.by_token(users, store, password, peer).await
            }
            Credentials::Password { user, password } => {
                self.by_password(users, store, user, password, peer).await
            }
        }
    }

    /// Whether a login of that age still holds: the user is there, with the same password, or the token
    /// is.
    pub fn check(&self, catalog: &Catalog, login: &Login, age: Duration) -> Result<()> {
        let Some(users) = &self.users else {
            return Ok(());
        };
        if age > LOGIN_LIFETIME {
            return Err(refused("the login has expired").with_hint("Log in again."));
        }
        let name = login.principal.name();
        let principals = &catalog.principals;
        let holds = match login.proof.split_once(' ') {
            // The built-in user's password stays the same as long as the process lives.
            Some(("password", _)) if name == ADMIN => users.admin.is_some(),
            Some(("password", seal)) => principals
                .user(name)
                .is_some_and(|user| self.proves(seal, &user_facts(user))),
            Some(("token", rest)) => rest.split_once(' ').is_some_and(|(seal, token)| {
                principals.token(name, token).is_some_and(|token| {
                    token.expires_at > self.clock.now() && self.proves(seal, &token_facts(token))
                })
            }),
            Some(_) | None => false,
        };
        if holds {
            return Ok(());
        }
        Err(refused("the login does not hold any more")
            .with_detail("The user or token was dropped, or the password was changed.")
            .with_hint("Log in again."))
    }

    /// A catalog that was the newest less than [`CATALOG_AGE_MAX`] ago: another scheduler may have dropped a token or changed
    /// a password.
    pub async fn recent(&self, store: &CatalogStore) -> Result<Arc<Catalog>> {
        let Some(users) = &self.users else {
            return Ok(store.current());
        };
        let now = self.clock.elapsed();
        {
            let refreshed = users.refreshed.lock();
            if refreshed.is_some_and(|at| now.saturating_sub(at) < CATALOG_AGE_MAX) {
                return Ok(store.current());
            }
        }
        let catalog = store.refresh().await?;
        *users.refreshed.lock() = Some(now);
        Ok(catalog)
    }

    async fn by_token(
        &self,
        users: &Users,
        store: &CatalogStore,
        secret: &str,
        peer: Option<IpAddr>,
    ) -> Result<Login> {
        let digest = token::digest(secret);
        let mut catalog = self.recent(store).await?;
        if catalog.principals.token_by_digest(&digest).is_none() {
            // Another scheduler may have made it; those who try at random shall not ask the store for ever.
            users.attempts.check("", peer)?;
            catalog = store.refresh().await?;
        }
        match catalog.principals.token_by_digest(&digest) {
            Some(token) if token.expires_at > self.clock.now() => {
                let seal = self.seal(&token_facts(token));
                Ok(Login {
                    principal: Principal::new(&token.user),
                    proof: format!("token {seal} {}", token.name),
                })
            }
            Some(_) => Err(refused("the token has expired").with_hint("Make another one with CREATE TOKEN.")),
            None => {
                users.attempts.failed("", peer);
                Err(refused("the token is not known").with_hint(
                    "It was dropped, or this server was restarted since it gave it. Log in again.",
                ))
            }
        }
    }

    async fn by_password(
        &self,
        users: &Users,
        store: &CatalogStore,
        user: &str,
        password: &str,
        peer: Option<IpAddr>,
    ) -> Result<Login> {
        if user.len() > USER_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
            return Err(wrong_password());
        }
        users.attempts.check(user, peer)?;
        let mut catalog = self.recent(store).await?;
        if user != ADMIN && catalog.principals.user(user).is_none() {
            catalog = store.refresh().await?;
        }
        let (known, facts) = match catalog.principals.user(user) {
            Some(def) => (def.password.as_ref(), user_facts(def)),
            None if user == ADMIN => (users.admin.as_ref(), ADMIN.to_owned()),
            None => (None, String::new()),
        };
        let right = match known {
            Some(hash) => {
                users.remembered.contains(user, hash, password)
                    || self.verified(users, (user, hash, password), peer).await?
            }
            None => {
                // As long as a wrong password takes: nobody learns which users there are.
                self.passwords.verify_nothing(password).await?;
                false
            }
        };
        if !right {
            users.attempts.failed(user, peer);
            // A name that nobody has may be a secret in the wrong field.
            let user = if known.is_some() { user } else { "unknown" };
            let peer = peer.map(|peer| peer.to_string());
            tracing::warn!(user, peer, "wrong user or password");
            return Err(wrong_password());
        }
        users.attempts.succeeded(user, peer);
        Ok(Login {
            principal: Principal::new(user),
            proof: format!("password {}", self.seal(&facts)),
        })
    }

    /// Whether the password is right, by its hash, when it is this one's turn.
    async fn verified(
        &self,
        users: &Users,
        (user, hash, password): (&str, &PasswordHash, &str),
        peer: Option<IpAddr>,
    ) -> Result<bool> {
        let turn = self.passwords.turn().await?;
        // Others may have had their turns meanwhile: a client that opens many connections at once needs
        // one, and one that guesses gets no more than it may.
        users.attempts.check(user, peer)?;
        if users.remembered.contains(user, hash, password) {
            return Ok(true);
        }
        let right = self.passwords.verify(turn, password, hash).await?;
        if right {
            users.remembered.keep(user, hash, password);
        }
        Ok(right)
    }

    fn seal(&self, facts: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, facts.as_bytes()))
    }

    fn proves(&self, seal: &str, facts: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(seal)
            .is_ok_and(|tag| hmac::verify(&self.key, facts.as_bytes(), &tag).is_ok())
    }
}

/// What makes this user another than one of the same name before it, or with another password.
fn user_facts(user: &UserDef) -> String {
    let hash = user.password.as_ref().map(PasswordHash::as_str);
    format!("{} {}", user.created_at.to_rfc3339(), hash.unwrap_or_default())
}

fn token_facts(token: &TokenDef) -> String {
    token.digest.clone()
}

/// Whoever it says it is.
fn believed(credentials: &Credentials) -> Login {
    let name = match credentials {
        Credentials::Password { user, .. } if !user.is_empty() => user,
        Credentials::Password { .. } | Credentials::Anonymous | Credentials::Token(_) => Principal::ANONYMOUS,
    };
    Login {
        principal: Principal::new(name),
        proof: String::new(),
    }
}

/// An error unless it may be a password.
fn check_password(password: &Secret) -> Result<()> {
    let text = password.expose();
    let why = if text.chars().count() < PASSWORD_CHARS_MIN {
        format!("a password has at least {PASSWORD_CHARS_MIN} characters")
    } else if text.len() > PASSWORD_BYTES_MAX {
        format!("a password has at most {PASSWORD_BYTES_MAX} bytes")
    } else if token::is_token(text) {
        "a password cannot begin as tokens do".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(SqlState::InvalidParameterValue, why))
}

fn refused(message: &str) -> Error {
    Error::new(SqlState::InvalidAuthorization, message)
}

fn wrong_password() -> Error {
    Error::new(SqlState::InvalidPassword, "wrong user or password")
}

fn no_randomness() -> Error {
    Error::internal("the system gives no random numbers")
}

fn nobody_could_enter() -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        "users are to log in, but nobody could manage them: user \"admin\" has no password, and no other user is a member of role admin",
    )
    .with_hint(
        "Give --admin-password-file, or set WATERSHED_ADMIN_PASSWORD; --allow-anonymous lets everyone in.",
    )
}
