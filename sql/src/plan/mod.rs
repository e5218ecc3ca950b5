//! Statements become plans: typed, checked against one catalog snapshot, and not yet run.
//!
//! Names become tables in [`names`], queries plans in [`query`]. What DataFusion decides otherwise than
//! we promise is put right in [`temporal`], before its own rules see the plan.

mod arrays;
mod change;
mod context;
mod ddl;
mod describe;
mod distinct_names;
mod error;
mod explain;
mod generated;
mod groupings;
mod information_schema;
mod ingest;
mod insert;
mod json;
mod literals;
mod macros;
mod names;
mod now;
mod numerals;
mod parameters;
mod patterns;
mod power;
mod principals;
mod query;
mod registered;
mod relations;
mod routines;
mod rows;
mod scans;
mod scopes;
mod session;
mod session_words;
mod set_operations;
mod show;
mod size;
mod subquery;
mod syntax;
mod temporal;
mod totals;
mod types;
mod units;
mod values;
mod views;
mod wide;

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::id::StatementId;
use watershed_storage::layout::TableLayout;

use crate::catalog::{LiveDef, Op, TableDef};
use crate::dialect::Statement;

pub use context::{PlanContext, Tables};
pub use explain::{explain_cache_schema, explain_schema};
pub use ingest::{Ingest, IngestMode, ingest};
pub use parameters::{Firmness, Parameter, Parameters, constants};
pub use principals::Credential;
pub use query::object_schema;
pub use scans::Scans;

pub(crate) use generated::expression_columns;

/// What is to be done for a statement.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one plan per statement, and it is moved a few times only"
)]
pub enum Plan {
    /// Gives rows. `SHOW` and `DESCRIBE` are queries too.
    Query(LogicalPlan),
    Explain {
        analyze: bool,
        verbose: bool,
        plan: Box<Plan>,
    },
    /// Says where the answer to a query would come from.
    ExplainCache(LogicalPlan),
    Ddl(Op),
    /// `input` gives exactly the layout's columns.
    CreateTableAs {
        op: Op,
        layout: TableLayout,
        input: LogicalPlan,
    },
    /// `input` gives exactly the layout's columns, generated ones computed.
    Insert {
        table: Arc<TableDef>,
        input: LogicalPlan,
    },
    /// `input` gives exactly the table's columns.
    InsertLive {
        table: Arc<LiveDef>,
        input: LogicalPlan,
    },
    /// `input` gives the rows that go, with exactly the table's columns.
    DeleteLive {
        table: Arc<LiveDef>,
        input: LogicalPlan,
    },
    /// `input` gives each row that changes twice over: the table's columns as they are, then as they
    /// will be.
    UpdateLive {
        table: Arc<LiveDef>,
        input: LogicalPlan,
    },
    /// `None` goes back to the default.
    Set {
        name: String,
        value: Option<String>,
    },
    Use {
        schema: String,
    },
    /// Ends a statement that runs.
    Kill {
        statement: StatementId,
    },
    Prepare {
        name: String,
        text: String,
    },
    /// `None` forgets all of them.
    Deallocate {
        name: Option<String>,
    },
    Credential(Credential),
}

impl Plan {
    /// The schema of what `CREATE TOKEN` answers.
    pub fn token_schema() -> SchemaRef {
        principals::token_schema()
    }

    /// The plan of the rows that it gives or writes.
    pub(crate) fn rows(&self) -> Option<&LogicalPlan> {
        match self {
            Self::Query(plan) | Self::ExplainCache(plan) => Some(plan),
            Self::Explain { plan, .. } => plan.rows(),
            Self::CreateTableAs { input, .. }
            | Self::Insert { input, .. }
            | Self::InsertLive { input, .. }
            | Self::DeleteLive { input, .. }
            | Self::UpdateLive { input, .. } => Some(input),
            Self::Ddl(_)
            | Self::Set { .. }
            | Self::Use { .. }
            | Self::Kill { .. }
            | Self::Prepare { .. }
            | Self::Deallocate { .. }
            | Self::Credential(_) => None,
        }
    }

    /// Whether it gives rows and changes nothing.
    pub fn is_query(&self) -> bool {
        matches!(
            self,
            Self::Query(_) | Self::Explain { .. } | Self::ExplainCache(_)
        )
    }

    /// Whether the order of its rows means something.
    pub fn is_ordered(&self) -> bool {
        match self {
            Self::Query(plan) => is_ordered(plan),
            Self::Explain { .. } | Self::ExplainCache(_) => true,
            Self::Ddl(_)
            | Self::CreateTableAs { .. }
            | Self::Insert { .. }
            | Self::InsertLive { .. }
            | Self::DeleteLive { .. }
            | Self::UpdateLive { .. }
            | Self::Set { .. }
            | Self::Use { .. }
            | Self::Kill { .. }
            | Self::Prepare { .. }
            | Self::Deallocate { .. }
            | Self::Credential(_) => false,
        }
    }

    /// The schema of its rows; empty where it gives none.
    pub fn schema(&self) -> SchemaRef {
        match self {
            Self::Query(plan) => Arc::clone(plan.schema().inner()),
            Self::Explain { .. } => explain_schema(),
            Self::ExplainCache(_) => explain_cache_schema(),
            Self::Credential(Credential::CreateToken { .. }) => principals::token_schema(),
            Self::Ddl(_)
            | Self::CreateTableAs { .. }
            | Self::Insert { .. }
            | Self::InsertLive { .. }
            | Self::DeleteLive { .. }
            | Self::UpdateLive { .. }
            | Self::Set { .. }
            | Self::Use { .. }
            | Self::Kill { .. }
            | Self::Prepare { .. }
            | Self::Deallocate { .. }
            | Self::Credential(_) => Arc::new(Schema::empty()),
        }
    }

    /// The plan with its parameters replaced by the values that it was planned with, cast to the parameters'
    /// types; times without a zone are in the session's.
    pub fn bind(self, parameters: &Parameters, zone: &str) -> Result<Plan> {
        let given = parameters.values().unwrap_or_default();
        let expected = parameters.found().len();
        if expected != given.len() {
            return Err(Error::new(
                SqlState::UndefinedParameter,
                format!(
                    "the statement has {expected} parameters, but {} values were given",
                    given.len()
                ),
            ));
        }
        let Some(plan) = self.logical().filter(|_| expected > 0) else {
            return Ok(self);
        };
        let values = parameters::values(&parameters::types(plan)?, given, zone)?;
        self.map_logical(|plan| crate::dialect::with_room(|| parameters::replace(plan, &values)))
    }

    fn logical(&self) -> Option<&LogicalPlan> {
        match self {
            Self::Query(plan)
            | Self::ExplainCache(plan)
            | Self::CreateTableAs { input: plan, .. }
            | Self::Insert { input: plan, .. }
            | Self::InsertLive { input: plan, .. }
            | Self::DeleteLive { input: plan, .. }
            | Self::UpdateLive { input: plan, .. } => Some(plan),
            Self::Explain { plan, .. } => plan.logical(),
            Self::Ddl(_)
            | Self::Set { .. }
            | Self::Use { .. }
            | Self::Kill { .. }
            | Self::Prepare { .. }
            | Self::Deallocate { .. }
            | Self::Credential(_) => None,
        }
    }

    fn map_logical(self, f: impl FnOnce(LogicalPlan) -> Result<LogicalPlan>) -> Result<Self> {
        Ok(match self {
            Self::Query(plan) => Self::Query(f(plan)?),
            Self::ExplainCache(plan) => Self::ExplainCache(f(plan)?),
            Self::CreateTableAs { op, layout, input } => Self::CreateTableAs {
                op,
                layout,
                input: f(input)?,
            },
            Self::Insert { table, input } => Self::Insert {
                table,
                input: f(input)?,
            },
            Self::InsertLive { table, input } => Self::InsertLive {
                table,
                input: f(input)?,
            },
            Self::DeleteLive { table, input } => Self::DeleteLive {
                table,
                input: f(input)?,
            },
            Self::UpdateLive { table, input } => Self::UpdateLive {
                table,
                input: f(input)?,
            },
            Self::Explain {
                analyze,
                verbose,
                plan,
            } => {
                // A box for the closure, as the type of an inner call would hold that of the outer.
                let f: Box<dyn FnOnce(LogicalPlan) -> Result<LogicalPlan>> = Box::new(f);
                Self::Explain {
                    analyze,
                    verbose,
                    plan: Box::new(plan.map_logical(f)?),
                }
            }
            Self::Ddl(_)
            | Self::Set { .. }
            | Self::Use { .. }
            | Self::Kill { .. }
            | Self::Prepare { .. }
            | Self::Deallocate { .. }
            | Self::Credential(_) => self,
        })
    }
}

/// Whether a query's rows come in an order that it asks for.
fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Filter(_) => plan.inputs().into_iter().any(is_ordered),
        _ => false,
    }
}

/// Plans one statement.
pub async fn plan(statement: Statement, context: &PlanContext<'_>) -> Result<Plan> {
    match statement {
        Statement::Query(statement) => Ok(Plan::Query(query::plan(&statement, context).await?)),
        Statement::Insert(insert) => insert::plan(*insert, context).await,
        Statement::Delete(delete) => change::delete(*delete, context).await,
        Statement::Update(update) => change::update(*update, context).await,
        Statement::Explain {
            analyze,
            verbose,
            statement,
        } => explain::plan(analyze, verbose, *statement, context).await,
        Statement::ExplainCache(statement) => explain::cache(*statement, context).await,
        Statement::CreateTable(table) => ddl::create_table(*table, context).await,
        Statement::CreateTableAs { table, names, query } => {
            ddl::create_table_as(*table, names, query, context).await
        }
        Statement::CreateExternalTable(table) => ddl::create_external(*table, context),
        Statement::CreateView(view) => views::create(*view, context).await,
        Statement::CreateSchema { .. }
        | Statement::DropTable { .. }
        | Statement::DropView { .. }
        | Statement::DropSchema { .. }
        | Statement::AlterTable { .. } => ddl::simple(statement, context),
        Statement::Set { .. } | Statement::Use { .. } | Statement::Kill { .. } => {
            session::plan(statement, context)
        }
        Statement::DescribeQuery(query) => describe::query(&query, context).await,
        Statement::Summarize(query) => describe::summarize(&query, context).await,
        Statement::Prepare { .. } | Statement::Deallocate { .. } => session::plan(statement, context),
        Statement::Execute { .. } => Err(Error::internal("EXECUTE was planned without its statement")),
        Statement::ShowSessions => show::sessions(context).await,
        Statement::ShowVariable { .. }
        | Statement::ShowAll
        | Statement::ShowTables { .. }
        | Statement::ShowViews { .. }
        | Statement::ShowSchemas { .. }
        | Statement::ShowCatalogs { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowCreate { .. }
        | Statement::Describe { .. } => show::plan(statement, context).await,
        Statement::Principal(statement) => principals::plan(*statement, context),
    }
}

#[cfg(test)]
mod tests;
