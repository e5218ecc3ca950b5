//! What the catalog's log holds: frozen, only ever grown.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use watershed_core::error::{Error, Result, SqlState};

use super::cache::{CacheLayer, InvalidationDef, Layer};
use super::object::{ExternalDef, TableDef, ViewDef};
use super::principals::{PasswordHash, Privileges, Scope, TokenDef, UserDef};

/// The newest form of records that this version reads. Each record is written in the oldest form that
/// can say it, so that who does not need what is new can go back to an older version.
pub const FORMAT: u32 = 4;

/// One statement's effect. A reader sees all of it or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub format: u32,
    pub at: DateTime<Utc>,
    pub changes: Vec<Change>,
}

/// A fact that was decided. Replaying facts needs no rules: those were checked before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    SchemaCreated {
        name: String,
    },
    /// The schema was empty by then.
    SchemaDropped {
        name: String,
    },
    TableCreated(TableDef),
    /// The table as it is now, under the same name.
    TableAltered(TableDef),
    ExternalCreated(ExternalDef),
    ViewCreated(ViewDef),
    ObjectDropped {
        schema: String,
        name: String,
    },
    UserCreated(UserDef),
    PasswordSet {
        user: String,
        password: PasswordHash,
    },
    /// With the user's tokens, memberships and grants.
    UserDropped {
        name: String,
    },
    RoleCreated {
        name: String,
    },
    /// With its members' membership, its own, and its grants.
    RoleDropped {
        name: String,
    },
    RoleGranted {
        role: String,
        member: String,
    },
    RoleRevoked {
        role: String,
        member: String,
    },
    TokenCreated(TokenDef),
    TokenDropped {
        user: String,
        token: String,
    },
    Granted {
        grantee: String,
        scope: Scope,
        privileges: Privileges,
    },
    Revoked {
        grantee: String,
        scope: Scope,
        privileges: Privileges,
    },
    /// The layer is on, and as it says.
    CacheLayerSet(CacheLayer),
    /// The layer is off.
    CacheLayerDropped {
        layer: Layer,
    },
    CacheInvalidated(InvalidationDef),
}

impl Change {
    /// The oldest form of records that has it.
    fn format(&self) -> u32 {
        match self {
            // An older version would give the view's readers all rights.
            Self::ViewCreated(def) if def.owner.is_some() => 4,
            Self::SchemaCreated { .. }
            | Self::SchemaDropped { .. }
            | Self::TableCreated(_)
            | Self::TableAltered(_)
            | Self::ExternalCreated(_)
            | Self::ViewCreated(_)
            | Self::ObjectDropped { .. } => 1,
            Self::UserCreated(_)
            | Self::PasswordSet { .. }
            | Self::UserDropped { .. }
            | Self::RoleCreated { .. }
            | Self::RoleDropped { .. }
            | Self::RoleGranted { .. }
            | Self::RoleRevoked { .. }
            | Self::TokenCreated(_)
            | Self::TokenDropped { .. }
            | Self::Granted { .. }
            | Self::Revoked { .. } => 2,
            Self::CacheLayerSet(_) | Self::CacheLayerDropped { .. } | Self::CacheInvalidated(_) => 3,
        }
    }
}

impl Record {
    pub fn new(changes: Vec<Change>) -> Self {
        Self {
            format: changes.iter().map(Change::format).max().unwrap_or(1),
            at: Utc::now(),
            changes,
        }
    }

    pub fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::internal(format!("cannot encode a catalog record: {error}")))
    }

    /// Reads a record; `number` is its place in the log.
    pub fn decode(number: u64, bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let damaged = |error: serde_json::Error| {
            Error::new(
                SqlState::DataCorrupted,
                format!("catalog record {number} cannot be read"),
            )
            .with_detail(error.to_string())
        };
        // The format alone at first: a newer record may hold what this version cannot name.
        let Format { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(Error::new(
                SqlState::FeatureNotSupported,
                format!("catalog record {number} was written by a newer version"),
            )
            .with_detail(format!(
                "Its format is {format}; this version reads up to {FORMAT}."
            ))
            .with_hint("Start the version that wrote it, or a later one."));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}

/// The catalog at one version, as the facts that make it of an empty one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot<R> {
    /// How many invalidations there were before those of the record.
    pub invalidations: u64,
    /// A [`Record`]. Read as text at first, as it may be of a newer form.
    pub record: R,
}
