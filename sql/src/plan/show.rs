//! `SHOW` and `DESCRIBE`: the catalog and the session, as rows.

use arrow::datatypes::{Field, Schema};
use datafusion::logical_expr::LogicalPlan;
use watershed_core::error::{Error, Result};
use watershed_core::settings::SETTINGS;
use watershed_storage::layout::{ColumnType, JSON_TYPE, TYPE_METADATA};

use super::rows::{self, Cell};
use super::{Plan, PlanContext, information_schema, query, routines, views};
use crate::authorize::Need;
use crate::catalog::{CATALOG_NAME, Object, ObjectName, Scope};
use crate::dialect::{Statement, parse_query, show_create};

pub(super) async fn plan(statement: Statement, context: &PlanContext<'_>) -> Result<Plan> {
    let plan = match statement {
        Statement::ShowVariable { name } => variable(&name, context)?,
        Statement::ShowAll => all(context)?,
        Statement::ShowTables { schema, pattern } => tables(schema.as_deref(), pattern.as_deref(), context)?,
        Statement::ShowViews { schema, pattern } => views_of(schema.as_deref(), pattern.as_deref(), context)?,
        Statement::ShowSchemas { pattern } => {
            let schemas = context.catalog.schemas().into_iter();
            let seen = schemas.filter(|schema| context.access.sees_schema(schema));
            names("schema_name", seen, pattern.as_deref())?
        }
        Statement::ShowCatalogs { pattern } => {
            names("catalog_name", std::iter::once(CATALOG_NAME), pattern.as_deref())?
        }
        Statement::ShowFunctions { pattern } => functions(pattern.as_deref(), context)?,
        Statement::ShowColumns { table } | Statement::Describe { table } => describe(&table, context).await?,
        Statement::ShowCreate { table } => {
            let object = context.resolve(&table, context.current_schema)?;
            context.note(seen(&object));
            if let Object::View(def) = &object
                && !views::shows_text(def, context, &[]).await
            {
                return Err(views::hidden_text(def));
            }
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
    context.check_schema(schema, None)?;
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (name, kind) in information_schema::tables_of(schema, context) {
        if pattern.is_none_or(|pattern| like(name, pattern)) {
            rows.push(vec![schema.into(), name.into(), kind.into()]);
        }
    }
    rows::plan("tables", &["table_schema", "table_name", "table_type"], &rows)
}

fn views_of(schema: Option<&str>, pattern: Option<&str>, context: &PlanContext<'_>) -> Result<LogicalPlan> {
    let schema = schema.unwrap_or(context.current_schema);
    context.check_schema(schema, None)?;
    let rows: Vec<Vec<Cell>> = information_schema::tables_of(schema, context)
        .into_iter()
        .filter(|(name, kind)| *kind == "VIEW" && pattern.is_none_or(|pattern| like(name, pattern)))
        .map(|(name, _)| vec![schema.into(), name.into()])
        .collect();
    rows::plan("views", &["table_schema", "view_name"], &rows)
}

fn functions(pattern: Option<&str>, context: &PlanContext<'_>) -> Result<LogicalPlan> {
    let rows: Vec<Vec<Cell>> = routines::all(context)
        .into_iter()
        .filter(|(name, _)| pattern.is_none_or(|pattern| like(name, pattern)))
        .map(|(name, kind)| vec![name.into(), kind.into()])
        .collect();
    rows::plan("functions", &["function_name", "function_type"], &rows)
}

/// One column of names, those that match the pattern.
fn names<'n>(
    column: &str,
    names: impl Iterator<Item = &'n str>,
    pattern: Option<&str>,
) -> Result<LogicalPlan> {
    let rows: Vec<Vec<Cell>> = names
        .filter(|name| pattern.is_none_or(|pattern| like(name, pattern)))
        .map(|name| vec![name.into()])
        .collect();
    rows::plan("names", &[column], &rows)
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

/// The columns of what `DESCRIBE` gives.
const NAMES: [&str; 6] = [
    "column_name",
    "data_type",
    "is_nullable",
    "key",
    "generated",
    "comment",
];

/// A row per column of a result.
pub(super) fn columns(schema: &Schema) -> Result<LogicalPlan> {
    let rows: Vec<Vec<Cell>> = schema
        .fields()
        .iter()
        .map(|field| {
            vec![
                field.name().as_str().into(),
                type_of(field).into(),
                yes_no(field.is_nullable()).into(),
                None.into(),
                None.into(),
                None.into(),
            ]
        })
        .collect();
    rows::plan("columns", &NAMES, &rows)
}

async fn describe(name: &ObjectName, context: &PlanContext<'_>) -> Result<LogicalPlan> {
    if name.schema_or(context.current_schema) == crate::catalog::INFORMATION_SCHEMA {
        let provider = information_schema::provider(name, context, &[]).await?;
        return columns(&provider.schema());
    }
    let object = context.resolve(name, context.current_schema)?;
    context.note(seen(&object));
    let declared = object.columns();
    if declared.is_empty() {
        return columns(query::schema_of(&object, context, &[]).await?.as_ref());
    }
    let rows: Vec<Vec<Cell>> = declared
        .iter()
        .map(|column| {
            vec![
                column.name.as_str().into(),
                column.sql_type().into(),
                yes_no(column.nullable).into(),
                roles(&object, &column.name).into(),
                column.generated.clone().into(),
                column.comment.clone().into(),
            ]
        })
        .collect();
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

/// The type of a column of a result. JSON is a text that is marked.
pub(super) fn type_of(field: &Field) -> String {
    match field.metadata().get(TYPE_METADATA) {
        Some(kind) if kind == JSON_TYPE => ColumnType::Json.sql(),
        _ => type_name(field.data_type()),
    }
}

/// A type as SQL writes it, or as Arrow does where SQL has no word.
pub(super) fn type_name(data_type: &arrow::datatypes::DataType) -> String {
    use arrow::datatypes::DataType::{Duration, Interval};
    match data_type {
        Interval(_) | Duration(_) => "INTERVAL".to_owned(),
        other => ColumnType::from_arrow(other).map_or_else(|| other.to_string(), |kind| kind.sql()),
    }
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
