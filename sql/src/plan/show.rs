//! `SHOW` and `DESCRIBE`: the catalog and the session, as rows.

use datafusion::logical_expr::LogicalPlan;
use watershed_core::error::{Error, Result};
use watershed_core::settings::SETTINGS;
use watershed_storage::layout::ColumnType;

use super::rows::{self, Cell};
use super::{Plan, PlanContext, information_schema, query};
use crate::authorize::Need;
use crate::catalog::{Object, ObjectName, Scope};
use crate::dialect::{Statement, parse_query, show_create};

pub(super) async fn plan(statement: Statement, context: &PlanContext<'_>) -> Result<Plan> {
    let plan = match statement {
        Statement::ShowVariable { name } => variable(&name, context)?,
        Statement::ShowAll => all(context)?,
        Statement::ShowTables { schema, pattern } => tables(schema.as_deref(), pattern.as_deref(), context)?,
        Statement::ShowSchemas => {
            let rows: Vec<Vec<Cell>> = context
                .catalog
                .schemas()
                .into_iter()
                .filter(|schema| context.access.sees_schema(schema))
                .map(|schema| vec![schema.into()])
                .collect();
            rows::plan("schemas", &["schema_name"], &rows)?
        }
        Statement::ShowColumns { table } | Statement::Describe { table } => describe(&table, context).await?,
        Statement::ShowCreate { table } => {
            let object = context.catalog.resolve(&table, context.current_schema)?;
            context.note(seen(&object));
            let row = vec![object.name().into(), show_create(&object).into()];
            rows::plan("definition", &["name", "statement"], &[row])?
        }
        other => return Err(Error::internal(format!("nothing to show: {other:?}"))),
    };
    Ok(Plan::Query(query::finish(plan, context)?))
}

/// `SHOW SESSIONS`: a table that any query can read as well.
pub(super) async fn sessions(context: &PlanContext<'_>) -> Result<Plan> {
    const QUERY: &str = "SELECT * FROM system.sessions ORDER BY started_at, session_id";
    let plan = query::plan_body(&*parse_query(QUERY)?, context.current_schema, context, &[]).await?;
    Ok(Plan::Query(query::finish(plan, context)?))
}

fn seen(object: &Object) -> Need {
    Need::Sight(Scope::object(object.schema(), object.name()))
}

fn variable(name: &str, context: &PlanContext<'_>) -> Result<LogicalPlan> {
    let value = match name {
        "search_path" | "current_schema" => context.current_schema,
        "server_version" => env!("CARGO_PKG_VERSION"),
        other => context.settings.get(other)?,
    };
    rows::plan("setting", &[name], &[vec![value.into()]])
}

fn all(context: &PlanContext<'_>) -> Result<LogicalPlan> {
    let rows = SETTINGS
        .iter()
        .map(|setting| {
            Ok(vec![
                setting.name.into(),
                context.settings.get(setting.name)?.into(),
                setting.description.into(),
            ])
        })
        .collect::<Result<Vec<Vec<Cell>>>>()?;
    rows::plan("settings", &["name", "value", "description"], &rows)
}

fn tables(schema: Option<&str>, pattern: Option<&str>, context: &PlanContext<'_>) -> Result<LogicalPlan> {
    let schema = schema.unwrap_or(context.current_schema);
    context.catalog.check_schema(schema, None)?;
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (name, kind) in information_schema::tables_of(schema, context) {
        if pattern.is_none_or(|pattern| like(name, pattern)) {
            rows.push(vec![schema.into(), name.into(), kind.into()]);
        }
    }
    rows::plan("tables", &["table_schema", "table_name", "table_type"], &rows)
}

/// SQL's LIKE over characters, in time that a pattern of many `%` does not blow up.
fn like(text: &str, pattern: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    // Whether the text so far matches the first `i` characters of the pattern.
    let mut matched = vec![false; pattern.len() + 1];
    matched[0] = true;
    let open = |matched: &mut Vec<bool>| {
        for (index, wanted) in pattern.iter().enumerate() {
            if *wanted == '%' && matched[index] {
                matched[index + 1] = true;
            }
        }
    };
    open(&mut matched);
    for found in text.chars() {
        let mut next = vec![false; pattern.len() + 1];
        for (index, wanted) in pattern.iter().enumerate() {
            if !matched[index] {
                continue;
            }
            match wanted {
                '%' => next[index] = true,
                '_' => next[index + 1] = true,
                wanted if *wanted == found => next[index + 1] = true,
                _ => {}
            }
        }
        // A `%` that has begun goes on.
        for (index, wanted) in pattern.iter().enumerate() {
            if *wanted == '%' && matched[index + 1] {
                next[index + 1] = true;
            }
        }
        open(&mut next);
        matched = next;
    }
    matched.last().copied().unwrap_or_default()
}

async fn describe(name: &ObjectName, context: &PlanContext<'_>) -> Result<LogicalPlan> {
    const NAMES: [&str; 6] = [
        "column_name",
        "data_type",
        "is_nullable",
        "key",
        "generated",
        "comment",
    ];
    if name.schema_or(context.current_schema) == crate::catalog::INFORMATION_SCHEMA {
        let provider = information_schema::provider(name, context, &[]).await?;
        let rows: Vec<Vec<Cell>> = provider
            .schema()
            .fields()
            .iter()
            .map(|field| {
                vec![
                    field.name().as_str().into(),
                    type_name(field.data_type()).into(),
                    "YES".into(),
                    None.into(),
                    None.into(),
                    None.into(),
                ]
            })
            .collect();
        return rows::plan("columns", &NAMES, &rows);
    }
    let object = context.catalog.resolve(name, context.current_schema)?;
    context.note(seen(&object));
    let declared = object.columns();
    let rows: Vec<Vec<Cell>> = if declared.is_empty() {
        let schema = query::schema_of(&object, context, &[]).await?;
        schema
            .fields()
            .iter()
            .map(|field| {
                vec![
                    field.name().as_str().into(),
                    type_name(field.data_type()).into(),
                    yes_no(field.is_nullable()).into(),
                    None.into(),
                    None.into(),
                    None.into(),
                ]
            })
            .collect()
    } else {
        declared
            .iter()
            .map(|column| {
                vec![
                    column.name.as_str().into(),
                    column.data_type.sql().into(),
                    yes_no(column.nullable).into(),
                    roles(&object, &column.name).into(),
                    column.generated.clone().into(),
                    column.comment.clone().into(),
                ]
            })
            .collect()
    };
    rows::plan("columns", &NAMES, &rows)
}

/// What a column is to its table: part of the key, a partition, the shard key.
fn roles(object: &Object, name: &str) -> Option<String> {
    let mut roles = Vec::new();
    if object.primary_key().iter().any(|key| key == name) {
        roles.push("primary key");
    }
    match object {
        Object::Table(def) => {
            if def.layout.partition_by.iter().any(|column| column == name) {
                roles.push("partition");
            }
            if def
                .layout
                .sharding
                .as_ref()
                .is_some_and(|sharding| sharding.key == name)
            {
                roles.push("shard key");
            }
        }
        Object::External(def) if def.partition_by.iter().any(|column| column == name) => {
            roles.push("partition");
        }
        Object::External(_) | Object::View(_) | Object::Live(_) => {}
    }
    (!roles.is_empty()).then(|| roles.join(", "))
}

pub(super) fn yes_no(yes: bool) -> &'static str {
    if yes { "YES" } else { "NO" }
}

/// A type as SQL writes it, or as Arrow does where SQL has no word.
pub(super) fn type_name(data_type: &arrow::datatypes::DataType) -> String {
    ColumnType::from_arrow(data_type).map_or_else(|| data_type.to_string(), |kind| kind.sql())
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns() {
        fn check(text: &str, pattern: &str, expected: bool) {
            assert_eq!(like(text, pattern), expected, "{text} LIKE {pattern}");
        }
        check("cdn_logs", "cdn%", true);
        check("cdn_logs", "%logs", true);
        check("cdn_logs", "%n_l%", true);
        check("cdn_logs", "cdn", false);
        check("cdn_logs", "cdn_log_", true);
        check("cdn_logs", "", false);
        check("", "%%", true);
        check("abcabc", "%abc", true);
        check("ab", "a%b%c", false);
        check(&"a".repeat(1000), &"%a".repeat(500), true);
    }
}
