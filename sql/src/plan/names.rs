//! Names become tables: what a query reads is found before it is planned, views with all they read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::TableReference;
use datafusion::datasource::{cte_worktable::CteWorkTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use futures::future::BoxFuture;
use sqlparser::ast::{self, Visit, Visitor};
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::error::{from_datafusion, into_datafusion};
use watershed_storage::guard::Guard;

use super::json::Json;
use super::power::Power;
use super::relations::Relations;
use super::scans::Scans;
use super::types::Types;
use super::{PlanContext, information_schema, now, query, scopes, session_words, size, temporal, views};
use crate::authorize::{Need, validate};
use crate::catalog::{
    CATALOG_NAME, ExternalDef, INFORMATION_SCHEMA, Object, ObjectName, Privilege, TEMPORARY_SCHEMA, ViewDef,
};
use crate::dialect::{definition, parse_query, read_name, with_room};

/// Views that may read one another in a row.
const VIEW_DEPTH_MAX: usize = 32;

/// A schema, where one is given, and a name.
type Key = (Option<String>, String);

/// What a statement's names mean: what `SqlToRel` asks for.
pub(super) struct Names<'a> {
    state: &'a SessionState,
    types: Arc<dyn TypePlanner>,
    operators: Vec<Arc<dyn ExprPlanner>>,
    relations: [Arc<dyn RelationPlanner>; 1],
    /// By schema and name as the statement gives them. An error is told only if the name is used, as
    /// it may be that of a common table expression.
    sources: HashMap<Key, Result<Arc<dyn TableSource>>>,
    scans: &'a Scans,
    /// Who asks.
    principal: &'a str,
    /// The session's current schema.
    schema: &'a str,
}

/// The views being expanded, outermost first.
pub(super) type Expanding<'v> = &'v [(String, String)];

impl<'a> Names<'a> {
    /// Without any table: for expressions.
    pub(super) fn none(context: &PlanContext<'a>) -> Self {
        Self {
            state: context.state,
            types: Arc::new(Types),
            operators: [Arc::new(Power) as Arc<dyn ExprPlanner>, Arc::new(Json)]
                .into_iter()
                .chain(temporal::operators(context.state))
                .collect(),
            relations: [Arc::new(Relations::default())],
            sources: HashMap::new(),
            scans: context.scans,
            principal: context.access.principal(),
            schema: context.current_schema,
        }
    }

    /// All that a part of a statement names, as seen from a schema.
    pub(super) async fn load(
        node: &impl Visit,
        schema: &str,
        context: &PlanContext<'a>,
        expanding: Expanding<'_>,
    ) -> Result<Self> {
        let mut names = Self::none(context);
        let reads = scopes::reads(node);
        // DataFusion's planner itself walks plans with the subqueries in them.
        if reads.expanded > size::PLAN_LIMIT {
            return Err(size::too_large());
        }
        note(&reads.tables, schema, context);
        for name in relations(node) {
            let files = definition(&name);
            let Ok(name) = read_name(&name) else {
                continue;
            };
            let key = (name.schema.clone(), name.name.clone());
            let Entry::Vacant(unknown) = names.sources.entry(key) else {
                continue;
            };
            unknown.insert(match files {
                Some(def) => files_of(def?, context).await,
                None => source(&name, schema, context, expanding).await,
            });
        }
        Ok(names)
    }
}

/// The relations that a part of a statement names, in order.
pub(super) fn relations(node: &impl Visit) -> Vec<ast::ObjectName> {
    struct Relations(Vec<ast::ObjectName>);
    impl Visitor for Relations {
        type Break = ();
        fn pre_visit_relation(&mut self, name: &ast::ObjectName) -> ControlFlow<()> {
            self.0.push(name.clone());
            ControlFlow::Continue(())
        }
    }
    let mut relations = Relations(Vec::new());
    let walked = with_room(|| node.visit(&mut relations));
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    relations.0
}

/// Takes down what reading these needs. What is not there needs nothing: that is told later, if it is
/// not a common table expression after all.
fn note(names: &[ObjectName], schema: &str, context: &PlanContext<'_>) {
    for name in names {
        // One that may not be known of is as one that is not there.
        if let Some(object) = context.catalog.find(name, schema)
            && context.access.sees(object)
        {
            context.note(Need::on(Privilege::Select, object));
        }
    }
}

/// The rows of files that a query names itself. They are looked at only for those who may make external tables.
async fn files_of(def: ExternalDef, context: &PlanContext<'_>) -> Result<Arc<dyn TableSource>> {
    let need = Need::Admin("read files by their paths");
    // What is within a view was allowed when the view was made.
    if context.noted.is_some() {
        validate(context.access, std::slice::from_ref(&need))?;
    }
    context.note(need.clone());
    let provider = context.tables.provider(&Object::External(Arc::new(def))).await?;
    let source = provider_as_source(provider);
    context.scans.guarded(&source, need);
    Ok(source)
}

fn source<'f>(
    name: &'f ObjectName,
    schema: &'f str,
    context: &'f PlanContext<'_>,
    expanding: Expanding<'f>,
) -> BoxFuture<'f, Result<Arc<dyn TableSource>>> {
    // Boxed, as views read views.
    Box::pin(async move {
        if name.schema_or(schema) == INFORMATION_SCHEMA {
            let source = provider_as_source(information_schema::provider(name, context, expanding).await?);
            context.scans.open_to_all(&source);
            return Ok(source);
        }
        let object = context.resolve(name, schema)?;
        let provider: Arc<dyn TableProvider> = match &object {
            // A source with a plan is never scanned itself: the scans are those of the plan.
            Object::View(def) => {
                let plan = expand(def, context, expanding).await?;
                Arc::new(ViewTable::new(plan, Some(def.sql.clone())))
            }
            object => context.tables.provider(object).await?,
        };
        let source = provider_as_source(provider);
        let need = Need::on(Privilege::Select, &object);
        context.scans.of_object(&source, &object, need);
        Ok(source)
    })
}

/// The plan of a view.
pub(super) async fn expand(
    def: &ViewDef,
    context: &PlanContext<'_>,
    expanding: Expanding<'_>,
) -> Result<datafusion::logical_expr::LogicalPlan> {
    let me = (def.schema.clone(), def.name.clone());
    if expanding.contains(&me) || expanding.len() >= VIEW_DEPTH_MAX {
        return Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!("view \"{}\" reads itself, or views are nested too deep", def.name),
        ));
    }
    let mut inner = expanding.to_vec();
    inner.push(me);
    let query = parse_query(&def.sql)?;
    // What a view means does not depend on who reads it, and what it reads in turn was allowed when it
    // was made. One of the session's own is no more than a name for its query.
    let lasting = PlanContext {
        catalog: context.catalog.without_temporary(),
        noted: None,
        ..context.clone()
    };
    let temporary = def.schema == TEMPORARY_SCHEMA;
    let context = if temporary { context } else { &lasting };
    let plan = query::plan_body(&query, &def.schema, context, &inner)
        .await
        .map_err(|error| {
            // Its positions are places in the view's text, not in the statement's.
            let mut told = Error::new(error.code(), format!("view \"{}\": {error}", def.name));
            if let Some(detail) = error.detail() {
                told = told.with_detail(detail);
            }
            match error.hint() {
                Some(hint) => told.with_hint(hint),
                None => told,
            }
        })?;
    context.scans.expand(&plan)?;
    let plan = query::rename(plan, &def.columns)?;
    if temporary {
        return Ok(plan);
    }
    views::check_reads(def, &plan, context)?;
    // Who may read what the view reads has nothing to find out.
    let is_open = validate(context.access, &context.scans.needs(&plan)?).is_ok();
    context.scans.within_view(&plan, def)?;
    match is_open {
        true => Ok(plan),
        false => {
            let view = TableReference::partial(def.schema.as_str(), def.name.as_str());
            Guard::plan(view, plan).map_err(from_datafusion)
        }
    }
}

fn key(name: &TableReference) -> Result<Key> {
    match name.catalog() {
        Some(catalog) if catalog != CATALOG_NAME => Err(Error::new(
            SqlState::InvalidCatalogName,
            format!("catalog \"{catalog}\" does not exist"),
        )),
        Some(_) | None => Ok((name.schema().map(str::to_owned), name.table().to_owned())),
    }
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> datafusion::common::Result<Arc<dyn TableSource>> {
        let found = key(&name).and_then(|key| match self.sources.get(&key) {
            Some(found) => found.clone(),
            None => Err(Error::new(
                SqlState::UndefinedTable,
                format!("table or view \"{name}\" does not exist"),
            )),
        });
        found.map_err(into_datafusion)
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> datafusion::common::Result<Arc<dyn TableSource>> {
        let source = query::table_function(self.state, name, args)?;
        self.scans.open_to_all(&source);
        Ok(source)
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: arrow::datatypes::SchemaRef,
    ) -> datafusion::common::Result<Arc<dyn TableSource>> {
        let source = provider_as_source(Arc::new(CteWorkTable::new(name, schema)));
        self.scans.open_to_all(&source);
        Ok(source)
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.operators
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relations
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::clone(&self.types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if session_words::names_user(name) {
            self.scans.depend_on_user();
        }
        now::function(name)
            .or_else(|| watershed_storage::windows::mark(name))
            .or_else(|| session_words::function(name, self.principal, self.schema))
            .or_else(|| self.state.scalar_functions().get(name).cloned())
            .filter(|_| !watershed_storage::functions::is_of_plans(name))
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<arrow::datatypes::DataType> {
        None
    }

    fn options(&self) -> &datafusion::config::ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        let names = self.state.scalar_functions().keys();
        let called = names.filter(|name| !watershed_storage::functions::is_of_plans(name));
        called.cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        let names = self.state.aggregate_functions().keys();
        let called = names.filter(|name| !watershed_storage::functions::is_of_plans(name));
        called.cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
