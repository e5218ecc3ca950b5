//! The columns of what stands in FROM, with the common table expressions that are seen from there.

use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError, TableReference};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::ContextProvider as _;
use datafusion::sql::planner::PlannerContext;
use sqlparser::ast::{
    Cte, Expr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor,
    TableWithJoins, WildcardAdditionalOptions, With,
};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::recursive::Typed;
use crate::dialect::folded;
use crate::plan::names::Names;
use crate::plan::query::planner_of;
use crate::plan::temporal;

/// A column as an expression reads it.
#[derive(Debug, Clone)]
pub(super) struct InputColumn {
    pub(super) name: String,
    pub(super) expr: Expr,
}

/// The queries around a place, and their common table expressions that are rewritten already.
pub(super) struct Scopes<'n, 's> {
    names: &'n Names<'s>,
    open: Vec<Scope>,
}

struct Scope {
    recursive: bool,
    /// Where the queries of common table expressions are, and their names.
    places: Vec<(*const Query, TableAlias)>,
    seen: Vec<Cte>,
}

impl<'n, 's> Scopes<'n, 's> {
    pub(super) fn new(names: &'n Names<'s>) -> Self {
        Self {
            names,
            open: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self, query: &Query) {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.open.push(Scope {
            recursive: query.with.as_ref().is_some_and(|with| with.recursive),
            places: ctes
                .map(|cte| (&raw const *cte.query, cte.alias.clone()))
                .collect(),
            seen: Vec::new(),
        });
    }

    pub(super) fn leave(&mut self, query: &Query) {
        self.open.pop();
        let Some(parent) = self.open.last() else {
            return;
        };
        let place = parent
            .places
            .iter()
            .find(|(address, _)| std::ptr::eq(*address, query));
        let Some((_, alias)) = place else { return };
        let mut alias = alias.clone();
        super::repeated::name_columns(&mut alias, query, self);
        if let Some(parent) = self.open.last_mut() {
            parent.seen.push(Cte {
                alias,
                query: Box::new(query.clone()),
                from: None,
                materialized: None,
                closing_paren_token: TokenWithSpan::wrap(Token::RParen).into(),
            });
        }
    }

    /// Whether the query here is part of another one.
    pub(super) fn within_another(&self) -> bool {
        self.open.len() > 1
    }

    /// The columns of a table or a query in FROM, in order, or why it cannot be planned by itself.
    pub(super) fn of(&self, factor: &TableFactor) -> Result<Vec<InputColumn>, DataFusionError> {
        let from = TableWithJoins {
            relation: factor.clone(),
            joins: Vec::new(),
        };
        let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
        let schema = self.schema(&all, &[from], None)?;
        Ok(input_columns(&schema))
    }

    /// The columns that an item of a select list stands for, such as `*`. `with` are common table expressions that
    /// are seen beside those seen here. `None` if it cannot be planned by itself.
    pub(super) fn columns_of_item(
        &self,
        item: &SelectItem,
        from: &[TableWithJoins],
        with: Option<&With>,
    ) -> Option<Vec<InputColumn>> {
        let schema = self.schema(item, from, with).ok()?;
        Some(input_columns(&schema))
    }

    /// The columns of a query with their types. `None` if it cannot be planned by itself.
    pub(super) fn types_of(&self, query: &Query) -> Option<Vec<Typed>> {
        let plan = self.planned(query.clone(), None).ok()?;
        let schema = Arc::clone(plan.schema());
        // Types do not depend on the zone.
        let united = temporal::rewrite(plan, "UTC").ok()?;
        let fields = schema.fields().iter().zip(united.schema().fields());
        let columns = fields.map(|(planned, united)| Typed {
            name: planned.name().clone(),
            planned: planned.data_type().clone(),
            united: united.data_type().clone(),
        });
        Some(columns.collect())
    }

    /// The name of the common table expression that a query is of, if it may read itself.
    pub(super) fn recursive_name(&self, query: &Query) -> Option<String> {
        let [.., parent, _] = self.open.as_slice() else {
            return None;
        };
        let mut places = parent.places.iter().filter(|_| parent.recursive);
        let (_, alias) = places.find(|(address, _)| std::ptr::eq(*address, query))?;
        Some(folded(&alias.name))
    }

    /// The schema of `WITH … SELECT item FROM from`.
    fn schema(
        &self,
        item: &SelectItem,
        from: &[TableWithJoins],
        own: Option<&With>,
    ) -> Result<DFSchemaRef, DataFusionError> {
        let select = select_of(vec![item.clone()], from.to_vec());
        let plan = self.planned(query_of(None, select), own)?;
        Ok(Arc::clone(plan.schema()))
    }

    /// The plan of a query with the common table expressions that are seen here, and `own`.
    fn planned(&self, mut query: Query, own: Option<&With>) -> Result<LogicalPlan, DataFusionError> {
        let seen = self.open.iter().flat_map(|scope| &scope.seen);
        let ctes: Vec<Cte> = seen
            .chain(own.iter().flat_map(|with| &with.cte_tables))
            .cloned()
            .collect();
        let recursive =
            self.open.iter().any(|scope| scope.recursive) || own.is_some_and(|with| with.recursive);
        let with = (!ctes.is_empty()).then(|| With {
            with_token: TokenWithSpan::wrap(Token::Comma).into(),
            recursive,
            cte_tables: ctes,
        });
        query.with = with;
        planner_of(self.names).sql_statement_to_plan_with_context(
            sqlparser::ast::Statement::Query(Box::new(query)),
            &mut PlannerContext::new(),
        )
    }

    /// Whether a function is an aggregate.
    pub(super) fn is_aggregate(&self, name: &ObjectName) -> bool {
        match name.0.as_slice() {
            [part] => part
                .as_ident()
                .is_some_and(|ident| self.names.get_aggregate_meta(&folded(ident)).is_some()),
            _ => false,
        }
    }

    /// How many common table expressions are seen here.
    pub(super) fn count(&self) -> usize {
        self.open.iter().map(|scope| scope.seen.len()).sum()
    }

    /// The common table expression that a name means where the first `count` of them are seen, and how many are seen
    /// within it: those before it, so that one that reads a table of its own name does not mean itself.
    pub(super) fn common(&self, name: &str, count: usize) -> Option<(&Cte, usize)> {
        let seen: Vec<&Cte> = self.open.iter().flat_map(|scope| &scope.seen).collect();
        let before = seen
            .iter()
            .take(count)
            .rposition(|cte| folded(&cte.alias.name) == name)?;
        Some((seen[before], before))
    }
}

fn input_columns(schema: &DFSchema) -> Vec<InputColumn> {
    let columns = schema.iter().map(|(qualifier, field)| InputColumn {
        name: field.name().clone(),
        expr: reference(qualifier, field.name()),
    });
    columns.collect()
}

fn reference(qualifier: Option<&TableReference>, name: &str) -> Expr {
    let mut parts: Vec<Ident> = Vec::new();
    if let Some(qualifier) = qualifier {
        parts.extend(qualifier.schema().map(quoted));
        parts.push(quoted(qualifier.table()));
    }
    parts.push(quoted(name));
    match parts.len() {
        1 => Expr::Identifier(quoted(name)),
        _ => Expr::CompoundIdentifier(parts),
    }
}

/// A name that is not folded.
pub(super) fn quoted(name: &str) -> Ident {
    let mut ident = Ident::with_quote('"', name);
    ident.span = Span::new(Location::empty(), Location::empty());
    ident
}

/// `SELECT items FROM from`.
pub(super) fn select_of(projection: Vec<SelectItem>, from: Vec<TableWithJoins>) -> Select {
    Select {
        select_token: TokenWithSpan::wrap(Token::Comma).into(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from,
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: sqlparser::ast::GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: sqlparser::ast::SelectFlavor::Standard,
    }
}

pub(super) fn query_of(with: Option<With>, select: Select) -> Query {
    Query {
        with,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// A query in FROM under a name.
pub(super) fn derived(subquery: Query, lateral: bool, alias: TableAlias) -> TableFactor {
    TableFactor::Derived {
        lateral,
        subquery: Box::new(subquery),
        alias: Some(alias),
        sample: None,
    }
}

pub(super) fn alias(name: Ident) -> TableAlias {
    TableAlias {
        explicit: true,
        name,
        columns: Vec::new(),
        at: None,
    }
}
