//! Who may do what: the one place where that is decided.
//!
//! Planning notes what a statement names as its names are looked up ([`Noted`]), so that an error about an object is for
//! those who may read it. What is read is then checked once more, scan by scan, in the plan ([`crate::plan::Scans`]); what
//! else a statement needs follows from the kind of its plan. A view is read with the rights of its owner, as they are now.
//! An operation on the catalog is checked again for exactly the catalog that it changes ([`permit`]).

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use watershed_core::error::{Error, Position, Result, SqlState};

use crate::catalog::{
    ADMIN, Alteration, Catalog, INFORMATION_SCHEMA, LiveDef, Object, ObjectName, Op, PUBLIC_SCHEMA,
    PrincipalOp, Principals, Privilege, Privileges, Scope, TEMPORARY_SCHEMA,
};
use crate::dialect::identifier;
use crate::plan::{Credential, Plan, PlanContext};

/// What someone may do, at one version of the catalog.
#[derive(Debug, Clone)]
pub struct Access {
    principal: String,
    /// Itself and the roles it is a member of.
    effective: BTreeSet<String>,
    everything: bool,
    grants: BTreeMap<Scope, Privileges>,
}

impl Access {
    /// Of someone who may do everything, whoever it is.
    pub fn everything(principal: impl Into<String>) -> Self {
        let principal = principal.into();
        Self {
            effective: BTreeSet::from([principal.clone()]),
            principal,
            everything: true,
            grants: BTreeMap::new(),
        }
    }

    /// Of a user. One who was let in and has been dropped since may do nothing.
    pub fn of(principals: &Principals, user: &str) -> Result<Self> {
        if user != ADMIN && principals.user(user).is_none() {
            return Err(Error::new(
                SqlState::InvalidAuthorization,
                format!("user \"{user}\" does not exist any more"),
            ));
        }
        let effective = principals.effective(user);
        let mut grants: BTreeMap<Scope, Privileges> = BTreeMap::new();
        for (scope, privileges) in effective.iter().flat_map(|holder| principals.grants_of(holder)) {
            grants.entry(scope.clone()).or_default().extend(privileges);
        }
        Ok(Self {
            principal: user.to_owned(),
            everything: effective.contains(ADMIN),
            effective,
            grants,
        })
    }

    /// Who it is.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Whether it may do everything.
    pub fn is_admin(&self) -> bool {
        self.everything
    }

    /// Whether someone's statements and sessions are its own to see and to end.
    pub fn owns(&self, principal: &str) -> bool {
        self.everything || self.principal == principal
    }

    /// Whether it is this user, or a member of this role.
    pub fn is(&self, name: &str) -> bool {
        self.everything || self.effective.contains(name)
    }

    /// Whether it has a privilege there, or anywhere around it.
    pub fn allows(&self, privilege: Privilege, scope: &Scope) -> bool {
        self.any(scope, |privileges| privileges.contains(&privilege))
    }

    /// Whether it may know that an object is there: it has some privilege on it.
    pub fn sees(&self, object: &Object) -> bool {
        self.sees_scope(&Scope::object(object.schema(), object.name()))
    }

    /// Whether it may know that a schema is there: it has some privilege on it, or on anything in it.
    pub fn sees_schema(&self, schema: &str) -> bool {
        [PUBLIC_SCHEMA, INFORMATION_SCHEMA].contains(&schema)
            || self.sees_scope(&Scope::schema(schema))
            || self
                .grants
                .keys()
                .any(|scope| matches!(scope, Scope::Object { schema: of, .. } if of == schema))
    }

    /// An error unless the schema is there, and may be known of.
    pub fn check_schema(&self, catalog: &Catalog, schema: &str, position: Option<Position>) -> Result<()> {
        let sees = |schema: &str| self.sees_schema(schema);
        if catalog.has_schema(schema) && sees(schema) {
            return Ok(());
        }
        Err(self.or_hidden(catalog.unknown_schema(schema, position, sees)))
    }

    /// The error of something that is absent, or hidden.
    pub(crate) fn or_hidden(&self, error: Error) -> Error {
        match self.is_admin() {
            true => error,
            false => error.with_detail("It does not exist, or you have no privilege on it."),
        }
    }

    fn sees_scope(&self, scope: &Scope) -> bool {
        self.any(scope, |privileges| !privileges.is_empty())
    }

    fn any(&self, scope: &Scope, holds: impl Fn(&Privileges) -> bool) -> bool {
        let on = |scope: &Scope| self.grants.get(scope).is_some_and(&holds);
        self.everything
            || scope.is_within(TEMPORARY_SCHEMA)
            || on(scope)
            || on(&Scope::Catalog)
            || matches!(scope, Scope::Object { schema, .. } if on(&Scope::schema(schema)))
    }
}

/// Something that a statement needs to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    Privilege(Privilege, Scope),
    /// Any privilege on an object: it is described, not read.
    Sight(Scope),
    /// To be this user, a member of this role, or of role admin, for what the text says.
    Being(String, &'static str),
    /// To be a member of role admin, for what the text says.
    Admin(&'static str),
}

impl Need {
    pub fn on(privilege: Privilege, object: &Object) -> Self {
        Self::Privilege(privilege, Scope::object(object.schema(), object.name()))
    }
}

/// What planning has found that a statement needs, so far.
#[derive(Debug, Default)]
pub struct Noted(Mutex<Vec<Need>>);

impl Noted {
    /// The tables and views that the statement itself reads, by schema and name.
    pub fn reads(&self) -> Vec<(String, String)> {
        let noted = self.0.lock();
        let reads = noted.iter().filter_map(|need| match need {
            Need::Privilege(Privilege::Select, Scope::Object { schema, name }) => {
                Some((schema.clone(), name.clone()))
            }
            _ => None,
        });
        reads.collect()
    }

    pub(crate) fn note(&self, need: Need) {
        let mut noted = self.0.lock();
        if !noted.contains(&need) {
            noted.push(need);
        }
    }
}

/// Lets a plan pass if whoever asks may do all of it. If planning failed, what is forbidden is told
/// before what is wrong: an error may say what a table looks like.
pub fn authorize(planned: Result<Plan>, context: &PlanContext<'_>) -> Result<Plan> {
    if let Some(noted) = context.noted {
        validate(context.access, &noted.0.lock())?;
    }
    let plan = planned?;
    validate(context.access, &needs(&plan, &context.catalog))?;
    if let Some(rows) = plan.rows() {
        validate(context.access, &context.scans.needs(rows)?)?;
    }
    Ok(plan)
}

/// An error unless an operation may be applied to exactly this catalog.
pub fn permit(access: &Access, op: &Op, catalog: &Catalog) -> Result<()> {
    validate(access, &of_op(op, catalog))
}

/// The same for an operation that a credential has become: users have rights over their own that operations do not tell.
pub fn permit_credential(access: &Access, credential: &Credential) -> Result<()> {
    validate(access, &[of_credential(credential)])
}

/// An error unless all of it is allowed.
pub fn validate(access: &Access, needs: &[Need]) -> Result<()> {
    needs.iter().try_for_each(|need| match need {
        Need::Privilege(privilege, scope) if !access.allows(*privilege, scope) => {
            Err(denied(access, *privilege, scope))
        }
        Need::Sight(scope) if !access.sees_scope(scope) => Err(denied(access, Privilege::Select, scope)),
        Need::Being(name, what) if !access.is(name) => {
            Err(only_admins(what)
                .with_detail(format!("You are \"{}\" and not \"{name}\".", access.principal)))
        }
        Need::Admin(what) if !access.is_admin() => Err(only_admins(what)),
        Need::Privilege(..) | Need::Sight(_) | Need::Being(..) | Need::Admin(_) => Ok(()),
    })
}

fn denied(access: &Access, privilege: Privilege, scope: &Scope) -> Error {
    let (what, target) = match scope {
        Scope::Catalog => ("the catalog".to_owned(), "CATALOG watershed".to_owned()),
        Scope::Schema { schema } => (
            format!("schema \"{schema}\""),
            format!("SCHEMA {}", identifier(schema)),
        ),
        Scope::Object { schema, name } => (
            format!("\"{schema}.{name}\""),
            format!("{}.{}", identifier(schema), identifier(name)),
        ),
    };
    let privilege = privilege.as_str();
    Error::new(
        SqlState::InsufficientPrivilege,
        format!("permission denied: {privilege} on {what}"),
    )
    .with_hint(format!(
        "A member of role admin can GRANT {privilege} ON {target} TO {}.",
        identifier(&access.principal)
    ))
}

fn only_admins(what: &str) -> Error {
    Error::new(
        SqlState::InsufficientPrivilege,
        format!("permission denied: only members of role admin {what}"),
    )
}

/// What a plan needs beside what it reads.
fn needs(plan: &Plan, catalog: &Catalog) -> Vec<Need> {
    match plan {
        Plan::Explain { plan, .. } => needs(plan, catalog),
        Plan::Ddl(op) | Plan::CreateTableAs { op, .. } => of_op(op, catalog),
        Plan::Insert { table, .. } => vec![Need::Privilege(
            Privilege::Insert,
            Scope::object(&table.schema, &table.name),
        )],
        Plan::InsertLive { table, .. } => vec![on_live(Privilege::Insert, table)],
        Plan::DeleteLive { table, .. } => vec![on_live(Privilege::Delete, table)],
        Plan::UpdateLive { table, .. } => vec![on_live(Privilege::Update, table)],
        Plan::Credential(credential) => vec![of_credential(credential)],
        // All that a query needs is noted as its names are looked up, and whose statement is to be ended
        // is known where it runs.
        Plan::Query(_)
        | Plan::ExplainCache(_)
        | Plan::Set { .. }
        | Plan::Use { .. }
        | Plan::Prepare { .. }
        | Plan::Deallocate { .. }
        | Plan::Kill { .. } => Vec::new(),
    }
}

fn of_credential(credential: &Credential) -> Need {
    match credential {
        Credential::CreateUser { .. } => Need::Admin("manage users"),
        Credential::SetPassword { user, .. } => Need::Being(user.clone(), "set others' passwords"),
        Credential::CreateToken { user, .. } => Need::Being(user.clone(), "make tokens for others"),
    }
}

fn on_live(privilege: Privilege, table: &LiveDef) -> Need {
    Need::Privilege(privilege, Scope::object(&table.schema, &table.name))
}

fn of_op(op: &Op, catalog: &Catalog) -> Vec<Need> {
    let create = |schema: &str| Need::Privilege(Privilege::Create, Scope::schema(schema));
    let on = |privilege, schema: &str, name: &ObjectName| {
        let found = catalog.find(name, schema).map(Object::schema);
        let schema = found.unwrap_or(name.schema_or(schema));
        Need::Privilege(privilege, Scope::object(schema, &name.name))
    };
    match op {
        Op::CreateSchema { .. } => vec![Need::Privilege(Privilege::Create, Scope::Catalog)],
        Op::DropSchema { name, .. } => vec![Need::Privilege(Privilege::Drop, Scope::schema(name))],
        Op::CreateTable {
            schema,
            name,
            or_replace,
            ..
        } => {
            let mut needs = vec![create(schema)];
            // A built-in table that was never written gives way to another one, too.
            let replaces = *or_replace && catalog.object(schema, name).is_some();
            if replaces || op.redefines(catalog).is_some() {
                needs.push(Need::Privilege(Privilege::Drop, Scope::object(schema, name)));
            }
            needs
        }
        Op::CreateExternal { .. } => {
            vec![Need::Admin(
                "make external tables, which read any file that the server can",
            )]
        }
        Op::CreateView { def, or_replace, .. } => {
            let mut needs = vec![create(&def.schema)];
            if *or_replace && catalog.object(&def.schema, &def.name).is_some() {
                needs.push(Need::Privilege(
                    Privilege::Alter,
                    Scope::object(&def.schema, &def.name),
                ));
            }
            needs
        }
        Op::DropTable { schema, name, .. } | Op::DropView { schema, name, .. } => {
            vec![on(Privilege::Drop, schema, name)]
        }
        Op::AlterTable {
            schema,
            name,
            alteration,
            ..
        } => {
            let mut needs = vec![on(Privilege::Alter, schema, name)];
            if let Alteration::RenameTable { .. } | Alteration::RenameView { .. } = alteration {
                needs.push(create(name.schema_or(schema)));
            }
            needs
        }
        Op::Principal(op) => vec![of_principal_op(op)],
        // What writes the control tables is a write of their rows, and needs what those need.
        Op::Cache(_) => vec![Need::Admin(
            "change what caches keep by other means than their tables",
        )],
    }
}

fn of_principal_op(op: &PrincipalOp) -> Need {
    match op {
        PrincipalOp::DropToken { user, .. } => Need::Being(user.clone(), "drop others' tokens"),
        PrincipalOp::CreateUser { .. }
        | PrincipalOp::SetPassword { .. }
        | PrincipalOp::DropUser { .. }
        | PrincipalOp::CreateToken(_) => Need::Admin("manage users"),
        PrincipalOp::CreateRole { .. }
        | PrincipalOp::DropRole { .. }
        | PrincipalOp::GrantRoles { .. }
        | PrincipalOp::RevokeRoles { .. } => Need::Admin("manage roles"),
        PrincipalOp::Grant { .. } | PrincipalOp::Revoke { .. } => Need::Admin("grant and revoke"),
    }
}
