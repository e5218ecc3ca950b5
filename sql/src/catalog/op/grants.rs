//! The rules of grants, and what becomes of those on objects that go or are renamed.

use watershed_core::error::{Error, Result};

use super::Decision;
use super::principals::{crowded, decided, known};
use crate::catalog::model::Catalog;
use crate::catalog::object::ObjectName;
use crate::catalog::principals::{ADMIN, Principals, Privileges, Scope};
use crate::catalog::record::Change;

/// Pairs of a grantee and what it has privileges on.
const GRANTS_MAX: usize = 100_000;

/// An error unless what the scope names is there still.
fn check_scope(catalog: &Catalog, scope: &Scope) -> Result<()> {
    match scope {
        Scope::Catalog => Ok(()),
        Scope::Schema { schema } => catalog.check_schema(schema, None),
        Scope::Object { schema, name } => {
            let full = ObjectName::full(schema, name);
            catalog.resolve(&full, schema).map(drop)
        }
    }
}

pub(super) fn grant(
    catalog: &Catalog,
    privileges: &Privileges,
    on: &[Scope],
    to: &[String],
) -> Result<Decision> {
    let principals = &*catalog.principals;
    let mut changes = Vec::new();
    for scope in on {
        check_scope(catalog, scope)?;
        for grantee in to {
            known(principals, grantee)?;
            let mut missing = privileges.clone();
            for known in principals.granted(grantee, scope) {
                missing.remove(&known);
            }
            if !missing.is_empty() && grantee != ADMIN {
                changes.push(Change::Granted {
                    grantee: grantee.clone(),
                    scope: scope.clone(),
                    privileges: missing,
                });
            }
        }
    }
    if principals.grants().count() + changes.len() > GRANTS_MAX {
        return Err(crowded("grants", GRANTS_MAX).with_hint("Grant privileges on a schema, or to a role."));
    }
    Ok(decided(changes, "every one of them has these privileges already"))
}

pub(super) fn revoke(
    catalog: &Catalog,
    privileges: &Privileges,
    on: &[Scope],
    from: &[String],
) -> Result<Decision> {
    let principals = &*catalog.principals;
    let mut changes = Vec::new();
    for scope in on {
        check_scope(catalog, scope)?;
        for grantee in from {
            known(principals, grantee)?;
            if grantee == ADMIN {
                return Err(Error::unsupported("nothing can be revoked from role \"admin\""));
            }
            let mut granted = principals.granted(grantee, scope);
            granted.retain(|privilege| privileges.contains(privilege));
            if !granted.is_empty() {
                changes.push(Change::Revoked {
                    grantee: grantee.clone(),
                    scope: scope.clone(),
                    privileges: granted,
                });
            }
        }
    }
    let mut decision = decided(changes, "none of them was granted that");
    if remains(principals, on, from) {
        const REMAINS: &str = "what was revoked is still allowed by a role or by a wider grant";
        match &mut decision {
            Decision::Change { notice, .. } => *notice = Some(REMAINS.to_owned()),
            Decision::Nothing { notice } => *notice = format!("{notice}; {REMAINS}"),
        }
    }
    Ok(decision)
}

/// Whether a grantee has privileges there by a role or by a wider grant.
fn remains(principals: &Principals, on: &[Scope], from: &[String]) -> bool {
    let covers = |wider: &Scope, scope: &Scope| match (wider, scope) {
        (Scope::Catalog, scope) => *scope != Scope::Catalog,
        (Scope::Schema { schema }, Scope::Object { schema: inner, .. }) => schema == inner,
        (Scope::Schema { .. } | Scope::Object { .. }, _) => false,
    };
    from.iter().any(|grantee| {
        principals.effective(grantee).iter().any(|holder| {
            principals.grants_of(holder).any(|(held, _)| {
                on.iter()
                    .any(|scope| covers(held, scope) || holder != grantee && held == scope)
            })
        })
    })
}

/// The facts that take away every grant on an object or schema.
pub(super) fn revoked(catalog: &Catalog, gone: &Scope) -> Vec<Change> {
    let on_it = catalog.principals.grants().filter(|(_, scope, _)| *scope == gone);
    on_it
        .map(|(grantee, scope, privileges)| Change::Revoked {
            grantee: grantee.to_owned(),
            scope: scope.clone(),
            privileges: privileges.clone(),
        })
        .collect()
}

/// The facts that let every grant on one object hold for another.
pub(super) fn moved(catalog: &Catalog, from: &Scope, to: &Scope) -> Vec<Change> {
    let mut changes = revoked(catalog, from);
    let again: Vec<Change> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Revoked {
                grantee, privileges, ..
            } => Some(Change::Granted {
                grantee: grantee.clone(),
                scope: to.clone(),
                privileges: privileges.clone(),
            }),
            _ => None,
        })
        .collect();
    changes.extend(again);
    changes
}
