//! `CREATE VIEW`: a query that means the same wherever and by whomever it is read.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast::Query;
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::guard::Guard;

use super::names::Expanding;
use super::{Plan, PlanContext, Scans, names, parameters, query, scopes};
use crate::authorize::{Access, validate};
use crate::catalog::{ADMIN, Identity, ObjectName, Op, TEMPORARY_SCHEMA, ViewDef, ViewRead};
use crate::dialect::{CreateView, read_name};

pub(super) async fn create(view: CreateView, context: &PlanContext<'_>) -> Result<Plan> {
    let schema = view.name.schema_or(context.current_schema).to_owned();
    context.check_schema(&schema, view.name.position)?;
    let context = &permanent(&view.name, &view.query, &schema, context)?;
    let (body, sql) = qualified(view.query, view.text, &schema, context)?;
    // A view that reads itself would be expanded for ever.
    let expanding = [(schema.clone(), view.name.name.clone())];
    if parameters::any(&body) {
        return Err(view
            .name
            .error(SqlState::UndefinedParameter, "a view has no parameters"));
    }
    let plan = query::plan_body(&body, &schema, context, &expanding).await?;
    let (owner, reads) = if schema == TEMPORARY_SCHEMA {
        (None, Vec::new())
    } else {
        (Some(owner(context)), reads_of(&plan, context)?)
    };
    let plan = query::rename(query::finish(plan, context)?, &view.columns)?;
    if let Some(name) = query::repeated_name(&plan) {
        return Err(Error::new(
            SqlState::DuplicateColumn,
            format!("column \"{name}\" stands twice in the view"),
        )
        .with_hint("Give one of them another name with AS."));
    }
    Ok(Plan::Ddl(Op::CreateView {
        def: ViewDef {
            schema,
            name: view.name.name,
            sql,
            columns: view.columns,
            builtin: false,
            owner_created_at: owner.as_deref().and_then(|owner| created_at(owner, context)),
            owner,
            reads,
        },
        if_not_exists: view.if_not_exists,
        or_replace: view.or_replace,
    }))
}

/// Whose rights a view has. Where nobody logs in, those of the administrators.
fn owner(context: &PlanContext<'_>) -> String {
    let name = context.access.principal();
    let user = context.catalog.principals.user(name);
    user.map_or(ADMIN, |_| name).to_owned()
}

fn created_at(user: &str, context: &PlanContext<'_>) -> Option<DateTime<Utc>> {
    context.catalog.principals.user(user).map(|user| user.created_at)
}

/// Whether the user with the owner's name is the owner, and not a user created after the owner was dropped.
fn is_owner(def: &ViewDef, user: &str, context: &PlanContext<'_>) -> bool {
    def.owner_created_at.is_none() || def.owner_created_at == created_at(user, context)
}

/// What a view's query reads by itself.
fn reads_of(plan: &LogicalPlan, context: &PlanContext<'_>) -> Result<Vec<ViewRead>> {
    let reads = context.scans.objects(plan)?.into_iter();
    let named = reads.map(|read| ViewRead {
        schema: read.schema,
        name: read.name,
        table: match read.identity {
            Identity::Table(table) => Some(table),
            Identity::External(_) | Identity::View(_) | Identity::Live(_) => None,
        },
    });
    Ok(named.collect())
}

/// An error unless the view's owner may read, as of now, what the view reads, and the view reads the tables for which it
/// was made: another table that has the name of one that was dropped is not for its readers.
pub(super) fn check_reads(def: &ViewDef, plan: &LogicalPlan, context: &PlanContext<'_>) -> Result<()> {
    // Those of the system, and those of older versions, have no owner.
    let Some(owner) = &def.owner else { return Ok(()) };
    let refused = |detail: String| {
        Error::new(
            SqlState::InsufficientPrivilege,
            format!("view \"{}\" cannot be read", def.name),
        )
        .with_detail(detail)
        .with_hint("Who may read what the view reads can make it again with CREATE OR REPLACE VIEW.")
    };
    let gone = || refused("Its owner does not exist any more.".to_owned());
    if !is_owner(def, owner, context) {
        return Err(gone());
    }
    let access = Access::of(&context.catalog.principals, owner).map_err(|_| gone())?;
    validate(&access, &context.scans.needs(plan)?)
        .map_err(|_| refused("Its owner may not read what the view reads any more.".to_owned()))?;
    for read in reads_of(plan, context)? {
        let known = |known: &&ViewRead| known.schema == read.schema && known.name == read.name;
        if def
            .reads
            .iter()
            .find(known)
            .is_some_and(|known| known.table != read.table)
        {
            return Err(Error::new(
                SqlState::UndefinedTable,
                format!(
                    "view \"{}\" reads a relation that was dropped or renamed",
                    def.name
                ),
            )
            .with_detail("Another relation has its name now.")
            .with_hint("Replace the view with CREATE OR REPLACE VIEW to read the new one."));
        }
    }
    Ok(())
}

/// Whether someone may see a view's text: its owner, and whoever may read what it reads. It says what the view leaves out.
pub(super) async fn shows_text(def: &ViewDef, context: &PlanContext<'_>, expanding: Expanding<'_>) -> bool {
    let owns = |owner: &String| context.access.owns(owner) && is_owner(def, owner, context);
    if context.access.is_admin()
        || def.builtin
        || def.schema == TEMPORARY_SCHEMA
        || def.owner.as_ref().is_some_and(owns)
    {
        return true;
    }
    let scans = Scans::of_schema();
    let context = PlanContext {
        noted: None,
        scans: &scans,
        ..context.clone()
    };
    let plan = names::expand(def, &context, expanding).await;
    plan.is_ok_and(|plan| !Guard::is(&plan))
}

pub(super) fn hidden_text(def: &ViewDef) -> Error {
    Error::new(
        SqlState::InsufficientPrivilege,
        format!("permission denied: the text of view \"{}\"", def.name),
    )
    .with_hint("Its owner may see it, and whoever may read what it reads. DESCRIBE shows its columns.")
}

/// What a view is planned against: one that outlives the session does not read what ends with it.
fn permanent<'c>(
    view: &ObjectName,
    query: &Query,
    schema: &str,
    context: &PlanContext<'c>,
) -> Result<PlanContext<'c>> {
    if schema == TEMPORARY_SCHEMA {
        return Ok(context.clone());
    }
    let common = scopes::reads(query).common;
    for (relation, is_common) in names::relations(query).into_iter().zip(common) {
        let Ok(name) = read_name(&relation) else { continue };
        let own = context.catalog.find(&name, context.current_schema);
        if own.is_some_and(|object| object.schema() == TEMPORARY_SCHEMA) && !is_common {
            return Err(name
                .error(
                    SqlState::InvalidTableDefinition,
                    format!("view \"{view}\" cannot read \"{name}\", which ends with the session"),
                )
                .with_hint("Write CREATE TEMPORARY VIEW."));
        }
    }
    Ok(PlanContext {
        catalog: context.catalog.without_temporary(),
        ..context.clone()
    })
}

/// A view's query that means the same wherever it is read: names without a schema are looked up in the
/// view's own, so that those of another current schema are written out.
fn qualified(
    mut query: Box<Query>,
    text: String,
    schema: &str,
    context: &PlanContext<'_>,
) -> Result<(Box<Query>, String)> {
    if schema == context.current_schema {
        return Ok((query, text));
    }
    // Both visit the relations in the same order.
    let mut common = scopes::reads(&*query).common.into_iter();
    let walked: ControlFlow<Error> = sqlparser::ast::visit_relations_mut(&mut *query, |name| {
        let named = match read_name(name) {
            Ok(named) => named,
            Err(error) => return ControlFlow::Break(error),
        };
        let is_common = common.next().unwrap_or_default();
        if named.schema.is_some() || is_common {
            return ControlFlow::Continue(());
        }
        let found = context.catalog.find(&named, context.current_schema);
        if let Some(there) = found.filter(|there| there.schema() != schema && context.access.sees(there)) {
            let ident = sqlparser::ast::Ident::with_quote('"', there.schema());
            name.0
                .insert(0, sqlparser::ast::ObjectNamePart::Identifier(ident));
        }
        ControlFlow::Continue(())
    });
    match walked {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => {
            let text = query.to_string();
            Ok((query, text))
        }
    }
}
