//! Who there is and what each may do: users, roles, tokens, grants.
//!
//! A name is a user's or a role's, never both. Two roles and one user are built in and in no record:
//! everyone is a member of [`PUBLIC`]; who is a member of [`ADMIN`] may do everything, and a user of
//! that name is let in by the password that a process was started with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::model::{PUBLIC_SCHEMA, SYSTEM_SCHEMA};
use super::record::Change;

/// Its members may do everything.
pub const ADMIN: &str = "admin";
/// Everyone is a member.
pub const PUBLIC: &str = "public";

/// What everyone may read until it is revoked: of `system.queries`, one's own statements.
const PUBLIC_READS: [(&str, &str); 4] = [
    (PUBLIC_SCHEMA, "service_registry"),
    (SYSTEM_SCHEMA, "executors"),
    (SYSTEM_SCHEMA, "queries"),
    (SYSTEM_SCHEMA, "settings"),
];

/// What may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
    /// To make objects in a schema, and schemas in the catalog.
    Create,
    Alter,
    Drop,
}

impl Privilege {
    pub const ALL: [Self; 7] = [
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Create,
        Self::Alter,
        Self::Drop,
    ];

    /// As GRANT writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Create => "CREATE",
            Self::Alter => "ALTER",
            Self::Drop => "DROP",
        }
    }

    /// Nothing is made in a table.
    pub const fn fits(self, scope: &Scope) -> bool {
        !matches!((self, scope), (Self::Create, Scope::Object { .. }))
    }
}

/// Several privileges.
pub type Privileges = BTreeSet<Privilege>;

/// What a privilege is on. On a schema it holds for all that is in it, now and later; on the catalog,
/// for all there is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Catalog,
    Schema { schema: String },
    Object { schema: String, name: String },
}

impl Scope {
    pub fn schema(schema: &str) -> Self {
        Self::Schema {
            schema: schema.to_owned(),
        }
    }

    pub fn object(schema: &str, name: &str) -> Self {
        Self::Object {
            schema: schema.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Whether it is that schema, or something in it.
    pub fn is_within(&self, schema: &str) -> bool {
        match self {
            Self::Catalog => false,
            Self::Schema { schema: of } | Self::Object { schema: of, .. } => of == schema,
        }
    }
}

/// The hash of a password, in PHC's form. It is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    pub fn new(phc: impl Into<String>) -> Self {
        Self(phc.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDef {
    pub name: String,
    /// Without one, only tokens let the user in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    pub created_at: DateTime<Utc>,
}

/// A token that lets its user in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDef {
    pub user: String,
    pub name: String,
    /// SHA-256 of the secret, in hexadecimal digits. The secret itself is kept nowhere.
    pub digest: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// All users, roles, tokens and grants at one version of the catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct Principals {
    users: BTreeMap<String, UserDef>,
    roles: BTreeSet<String>,
    /// The roles that a user or role is a member of.
    memberships: BTreeMap<String, BTreeSet<String>>,
    /// By user and name.
    tokens: BTreeMap<(String, String), TokenDef>,
    by_digest: BTreeMap<String, (String, String)>,
    grants: BTreeMap<String, BTreeMap<Scope, Privileges>>,
}

impl Default for Principals {
    fn default() -> Self {
        let reads = PUBLIC_READS
            .iter()
            .map(|(schema, name)| (Scope::object(schema, name), Privileges::from([Privilege::Select])));
        Self {
            users: BTreeMap::new(),
            roles: BTreeSet::from([ADMIN.to_owned(), PUBLIC.to_owned()]),
            memberships: BTreeMap::new(),
            tokens: BTreeMap::new(),
            by_digest: BTreeMap::new(),
            grants: BTreeMap::from([(PUBLIC.to_owned(), reads.collect())]),
        }
    }
}

impl Principals {
    pub fn user(&self, name: &str) -> Option<&UserDef> {
        self.users.get(name)
    }

    /// In the order of their names.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &UserDef> {
        self.users.values()
    }

    /// In order, the built-in ones among them.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &str> {
        self.roles.iter().map(String::as_str)
    }

    pub fn is_role(&self, name: &str) -> bool {
        self.roles.contains(name)
    }

    /// Users and roles.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roles().chain(self.users.keys().map(String::as_str))
    }

    pub fn contains(&self, name: &str) -> bool {
        self.is_role(name) || self.users.contains_key(name)
    }

    /// Who was made a member of what.
    pub fn memberships(&self) -> impl Iterator<Item = (&str, &str)> {
        self.memberships
            .iter()
            .flat_map(|(member, roles)| roles.iter().map(|role| (member.as_str(), role.as_str())))
    }

    pub(super) fn roles_of(&self, member: &str) -> impl Iterator<Item = &str> {
        self.memberships
            .get(member)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// A principal, every role that it is a member of, directly or by other roles, and `public`.
    pub fn effective(&self, principal: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::from([PUBLIC.to_owned()]);
        let mut open = vec![principal, PUBLIC];
        while let Some(member) = open.pop() {
            found.insert(member.to_owned());
            open.extend(self.roles_of(member).filter(|role| !found.contains(*role)));
        }
        found
    }

    /// A token by its user and name.
    pub fn token(&self, user: &str, name: &str) -> Option<&TokenDef> {
        self.tokens.get(&(user.to_owned(), name.to_owned()))
    }

    /// The token of this digest.
    pub fn token_by_digest(&self, digest: &str) -> Option<&TokenDef> {
        self.tokens.get(self.by_digest.get(digest)?)
    }

    /// By user and name.
    pub fn tokens(&self) -> impl Iterator<Item = &TokenDef> {
        self.tokens.values()
    }

    pub fn tokens_of(&self, user: &str) -> impl Iterator<Item = &TokenDef> {
        let first = (user.to_owned(), String::new());
        let user = user.to_owned();
        self.tokens
            .range(first..)
            .map(|(_, token)| token)
            .take_while(move |token| token.user == user)
    }

    /// What each has been granted, by grantee and scope.
    pub fn grants(&self) -> impl Iterator<Item = (&str, &Scope, &Privileges)> {
        self.grants.iter().flat_map(|(grantee, grants)| {
            grants
                .iter()
                .map(|(scope, privileges)| (grantee.as_str(), scope, privileges))
        })
    }

    pub fn grants_of(&self, grantee: &str) -> impl Iterator<Item = (&Scope, &Privileges)> {
        self.grants.get(grantee).into_iter().flatten()
    }

    pub(super) fn granted(&self, grantee: &str, scope: &Scope) -> Privileges {
        let grants = self.grants.get(grantee);
        grants
            .and_then(|grants| grants.get(scope))
            .cloned()
            .unwrap_or_default()
    }

    /// Whether someone beside the built-in user can log in and may do everything.
    pub fn has_admin(&self, now: DateTime<Utc>) -> bool {
        self.users().any(|user| {
            let enters = user.password.is_some() || self.tokens_of(&user.name).any(|t| t.expires_at > now);
            enters && self.effective(&user.name).contains(ADMIN)
        })
    }

    /// The principals one fact later. What is not about them changes nothing.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::UserCreated(def) => {
                self.users.insert(def.name.clone(), def.clone());
            }
            Change::PasswordSet { user, password } => {
                if let Some(user) = self.users.get_mut(user) {
                    user.password = Some(password.clone());
                }
            }
            Change::UserDropped { name } => {
                self.users.remove(name);
                self.by_digest.retain(|_, (user, _)| user != name);
                self.tokens.retain(|(user, _), _| user != name);
                self.forget(name);
            }
            Change::RoleCreated { name } => {
                self.roles.insert(name.clone());
            }
            Change::RoleDropped { name } => {
                self.roles.remove(name);
                for roles in self.memberships.values_mut() {
                    roles.remove(name);
                }
                self.forget(name);
            }
            Change::RoleGranted { role, member } => {
                let roles = self.memberships.entry(member.clone()).or_default();
                roles.insert(role.clone());
            }
            Change::RoleRevoked { role, member } => {
                if let Some(roles) = self.memberships.get_mut(member) {
                    roles.remove(role);
                }
            }
            Change::TokenCreated(def) => {
                let key = (def.user.clone(), def.name.clone());
                self.by_digest.insert(def.digest.clone(), key.clone());
                self.tokens.insert(key, def.clone());
            }
            Change::TokenDropped { user, token } => {
                if let Some(gone) = self.tokens.remove(&(user.clone(), token.clone())) {
                    self.by_digest.remove(&gone.digest);
                }
            }
            Change::Granted {
                grantee,
                scope,
                privileges,
            } => {
                let grants = self.grants.entry(grantee.clone()).or_default();
                grants.entry(scope.clone()).or_default().extend(privileges);
            }
            Change::Revoked {
                grantee,
                scope,
                privileges,
            } => self.revoke(grantee, scope, privileges),
            Change::SchemaCreated { .. }
            | Change::SchemaDropped { .. }
            | Change::TableCreated(_)
            | Change::TableAltered(_)
            | Change::ExternalCreated(_)
            | Change::ViewCreated(_)
            | Change::ObjectDropped { .. }
            | Change::CacheLayerSet(_)
            | Change::CacheLayerDropped { .. }
            | Change::CacheInvalidated(_) => {}
        }
    }

    fn revoke(&mut self, grantee: &str, scope: &Scope, privileges: &Privileges) {
        let Some(grants) = self.grants.get_mut(grantee) else {
            return;
        };
        if let Some(granted) = grants.get_mut(scope) {
            granted.retain(|privilege| !privileges.contains(privilege));
            if granted.is_empty() {
                grants.remove(scope);
            }
        }
        if grants.is_empty() {
            self.grants.remove(grantee);
        }
    }

    fn forget(&mut self, name: &str) {
        self.memberships.remove(name);
        self.grants.remove(name);
    }
}
