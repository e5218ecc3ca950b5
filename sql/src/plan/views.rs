//! `CREATE VIEW`: a query that means the same wherever and by whomever it is read.

use std::ops::ControlFlow;

use sqlparser::ast::Query;
use watershed_core::error::{Error, Result, SqlState};

use super::{Plan, PlanContext, names, parameters, query};
use crate::catalog::{ObjectName, Op, TEMPORARY_SCHEMA, ViewDef};
use crate::dialect::{CreateView, read_name};

pub(super) async fn create(view: CreateView, context: &PlanContext<'_>) -> Result<Plan> {
    let schema = view.name.schema_or(context.current_schema).to_owned();
    context.catalog.check_schema(&schema, view.name.position)?;
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
        },
        if_not_exists: view.if_not_exists,
        or_replace: view.or_replace,
    }))
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
    let common = names::common_names(query);
    for relation in names::relations(query) {
        let Ok(name) = read_name(&relation) else { continue };
        let own = context.catalog.find(&name, context.current_schema);
        if own.is_some_and(|object| object.schema() == TEMPORARY_SCHEMA)
            && (name.schema.is_some() || !common.contains(&name.name))
        {
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
    let common = names::common_names(&*query);
    let walked: ControlFlow<Error> = sqlparser::ast::visit_relations_mut(&mut *query, |name| {
        let named = match read_name(name) {
            Ok(named) => named,
            Err(error) => return ControlFlow::Break(error),
        };
        if named.schema.is_some() || common.contains(&named.name) {
            return ControlFlow::Continue(());
        }
        let found = context.catalog.find(&named, context.current_schema);
        if let Some(there) = found.filter(|there| there.schema() != schema) {
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
