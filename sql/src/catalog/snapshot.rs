//! The catalog as facts: what a snapshot of it holds, so that the records before it need not be read.

use super::cache::Layer;
use super::model::Catalog;
use super::object::Object;
use super::principals::{Principals, Privileges};
use super::record::{Change, Record, Snapshot};

impl Catalog {
    /// The facts that make this catalog of an empty one.
    pub(super) fn snapshot(&self) -> Snapshot<Record> {
        let mut changes = self.schema_facts();
        changes.extend(principal_facts(&self.principals));
        changes.extend(Layer::ALL.map(|layer| {
            let set = self.cache_layers().iter().find(|known| known.layer == layer);
            set.map_or(Change::CacheLayerDropped { layer }, |set| {
                Change::CacheLayerSet(*set)
            })
        }));
        let invalidations = self.invalidations();
        let kept = invalidations.iter();
        changes.extend(kept.map(|one| Change::CacheInvalidated((*one.def).clone())));
        Snapshot {
            invalidations: invalidations.forgotten(),
            record: Record::new(changes),
        }
    }

    /// The catalog of that version that a snapshot holds.
    pub(super) fn of_snapshot(version: u64, snapshot: &Snapshot<Record>) -> Self {
        let mut catalog = Self::empty().with(&snapshot.record.changes);
        catalog.version = version;
        catalog.forget_invalidations(snapshot.invalidations);
        catalog
    }

    fn schema_facts(&self) -> Vec<Change> {
        let empty = Self::empty();
        let mut changes = Vec::new();
        for name in empty.named_schemas().filter(|name| !self.has_schema(name)) {
            changes.push(Change::SchemaDropped {
                name: name.to_owned(),
            });
        }
        for name in self.named_schemas() {
            changes.push(Change::SchemaCreated {
                name: name.to_owned(),
            });
        }
        // No record makes the live tables.
        changes.extend(self.all_objects().filter_map(|object| match object {
            Object::Table(def) => Some(Change::TableCreated((**def).clone())),
            Object::External(def) => Some(Change::ExternalCreated((**def).clone())),
            Object::View(def) => Some(Change::ViewCreated((**def).clone())),
            Object::Live(_) => None,
        }));
        changes
    }
}

fn principal_facts(principals: &Principals) -> Vec<Change> {
    let mut changes = Vec::new();
    let default = Principals::default();
    changes.extend(principals.users().cloned().map(Change::UserCreated));
    let made = principals.roles().filter(|role| !default.is_role(role));
    changes.extend(made.map(|role| Change::RoleCreated {
        name: role.to_owned(),
    }));
    changes.extend(
        principals
            .memberships()
            .map(|(member, role)| Change::RoleGranted {
                role: role.to_owned(),
                member: member.to_owned(),
            }),
    );
    changes.extend(principals.tokens().cloned().map(Change::TokenCreated));
    for (grantee, scope, privileges) in default.grants() {
        let left = principals.granted(grantee, scope);
        let gone: Privileges = privileges.difference(&left).copied().collect();
        if !gone.is_empty() {
            changes.push(Change::Revoked {
                grantee: grantee.to_owned(),
                scope: scope.clone(),
                privileges: gone,
            });
        }
    }
    changes.extend(
        principals
            .grants()
            .map(|(grantee, scope, privileges)| Change::Granted {
                grantee: grantee.to_owned(),
                scope: scope.clone(),
                privileges: privileges.clone(),
            }),
    );
    changes
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::super::cache::{CacheLayer, INVALIDATIONS_KEPT, InvalidationDef};
    use super::super::principals::{PasswordHash, Privilege, Scope, TokenDef, UserDef};
    use super::super::{PUBLIC_SCHEMA, SYSTEM_SCHEMA, builtin};
    use super::*;

    /// All that a catalog says.
    fn told(catalog: &Catalog) -> String {
        let empty = Change::SchemaCreated {
            name: "empty".to_owned(),
        };
        // A fact that changes nothing, so that both have gone through the same number of steps.
        let catalog = catalog.with(&[empty]);
        format!(
            "{} {:?} {:?} {:?} {:?} {:?}",
            catalog.version,
            catalog.schemas(),
            catalog.all_objects().collect::<Vec<_>>(),
            (
                catalog.principals.users().collect::<Vec<_>>(),
                catalog.principals.roles().collect::<Vec<_>>(),
                catalog.principals.memberships().collect::<Vec<_>>(),
                catalog.principals.tokens().collect::<Vec<_>>(),
                catalog.principals.grants().collect::<Vec<_>>(),
            ),
            catalog.cache_layers(),
            (
                catalog.invalidations().last(),
                catalog.invalidations().iter().collect::<Vec<_>>()
            ),
        )
    }

    #[test]
    fn a_snapshot_says_what_the_records_said() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let user = |name: &str| {
            Change::UserCreated(UserDef {
                name: name.to_owned(),
                password: Some(PasswordHash::new("$argon2id$x")),
                created_at: at,
            })
        };
        let token = |name: &str| {
            Change::TokenCreated(TokenDef {
                user: "ada".to_owned(),
                name: name.to_owned(),
                digest: format!("digest of {name}"),
                created_at: at,
                expires_at: at,
            })
        };
        let reads = Scope::object(SYSTEM_SCHEMA, "queries");
        let select = Privileges::from([Privilege::Select]);
        let mut steps = vec![
            builtin::bootstrap(),
            vec![Change::SchemaCreated { name: "s".to_owned() }],
            vec![user("ada"), user("bob"), user("eve")],
            vec![Change::RoleCreated {
                name: "readers".to_owned(),
            }],
            vec![Change::RoleGranted {
                role: "readers".to_owned(),
                member: "ada".to_owned(),
            }],
            vec![Change::RoleGranted {
                role: "admin".to_owned(),
                member: "eve".to_owned(),
            }],
            vec![Change::RoleRevoked {
                role: "admin".to_owned(),
                member: "eve".to_owned(),
            }],
            vec![token("a"), token("b")],
            vec![Change::TokenDropped {
                user: "ada".to_owned(),
                token: "a".to_owned(),
            }],
            vec![Change::Granted {
                grantee: "readers".to_owned(),
                scope: Scope::schema("s"),
                privileges: Privileges::from([Privilege::Select, Privilege::Drop]),
            }],
            vec![Change::Revoked {
                grantee: "public".to_owned(),
                scope: reads,
                privileges: select,
            }],
            vec![Change::UserDropped {
                name: "bob".to_owned(),
            }],
            vec![Change::CacheLayerDropped { layer: Layer::Edge }],
            vec![Change::CacheLayerSet(CacheLayer {
                ttl_seconds: 7,
                ..CacheLayer::DEFAULTS[0]
            })],
            vec![Change::ObjectDropped {
                schema: PUBLIC_SCHEMA.to_owned(),
                name: "cdn_logs".to_owned(),
            }],
        ];
        for number in 0..INVALIDATIONS_KEPT + 3 {
            steps.push(vec![Change::CacheInvalidated(InvalidationDef {
                event_id: number.to_string(),
                key: format!("public.t{number}"),
                reason: "request".to_owned(),
                triggered_at: at,
            })]);
        }
        let mut catalog = Catalog::empty();
        for (number, step) in steps.iter().enumerate() {
            catalog = catalog.with(step);
            if number > 20 && number < steps.len() - 5 {
                continue;
            }
            let text = serde_json::to_string(&catalog.snapshot()).unwrap();
            let read: Snapshot<Record> = serde_json::from_str(&text).unwrap();
            assert_eq!(
                told(&Catalog::of_snapshot(catalog.version, &read)),
                told(&catalog),
                "step {number}"
            );
        }
    }
}
