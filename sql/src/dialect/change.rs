//! DELETE and UPDATE: each is a query for the rows that it changes.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    Expr, GroupByExpr, Ident, Query, Select, SelectFlavor, SelectItem, SetExpr, TableFactor, TableWithJoins,
    WildcardAdditionalOptions,
};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;
use watershed_core::error::{Error, Result};

use super::ast::{Delete, Statement, Update};
use super::error::{at, position, syntax};
use super::parser::Parser;
use super::query::{check, read_name};
use super::types::folded;
use crate::catalog::ObjectName;

impl Parser {
    /// `DELETE FROM table [[AS] alias] [WHERE condition]`.
    pub(super) fn delete(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::DELETE)?;
        self.expect_keyword(Keyword::FROM)?;
        let (table, from) = self.changed_table()?;
        let rows = self.changed_rows("DELETE", from, Vec::new())?;
        Ok(Statement::Delete(Box::new(Delete { table, rows })))
    }

    /// `UPDATE table [[AS] alias] SET column = value, … [WHERE condition]`.
    pub(super) fn update(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::UPDATE)?;
        let (table, from) = self.changed_table()?;
        self.expect_keyword(Keyword::SET)?;
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        loop {
            if self.inner.peek_token_ref().token == Token::LParen {
                return Err(at(
                    Error::unsupported("UPDATE … SET (a, b) = … is not supported")
                        .with_hint("Give each column its own value: SET a = 1, b = 2."),
                    self.here(),
                ));
            }
            let place = self.here();
            let column = self.inner(|parser| parser.parse_identifier())?;
            let column = folded(&column);
            self.expect_token(&Token::Eq)?;
            let expr = self.inner(|parser| parser.parse_expr())?;
            // A name that no column of a table has, as what it has now comes under its own.
            let alias = Ident::with_quote('"', format!("new {column}"));
            values.push(SelectItem::ExprWithAlias { expr, alias });
            columns.push((column, position(place)));
            if !self.token(&Token::Comma) {
                break;
            }
        }
        let rows = self.changed_rows("UPDATE", from, values)?;
        Ok(Statement::Update(Box::new(Update { table, columns, rows })))
    }

    /// The one table that a statement changes, as its name and as a query reads it.
    fn changed_table(&mut self) -> Result<(ObjectName, TableWithJoins)> {
        let start = self.here();
        let relation = self.inner(|parser| parser.parse_table_factor())?;
        let TableFactor::Table { name, args: None, .. } = &relation else {
            return Err(syntax("expected a table's name", start));
        };
        let name = read_name(name)?;
        if self.inner.peek_token_ref().token == Token::Comma {
            return Err(at(
                Error::unsupported("a statement changes one table"),
                self.here(),
            ));
        }
        Ok((
            name,
            TableWithJoins {
                relation,
                joins: Vec::new(),
            },
        ))
    }

    /// The query for the rows that are changed, and behind their columns `values`.
    fn changed_rows(
        &mut self,
        statement: &str,
        from: TableWithJoins,
        values: Vec<SelectItem>,
    ) -> Result<Box<Query>> {
        let selection = match self.keyword(Keyword::WHERE) {
            true => Some(self.inner(|parser| parser.parse_expr())?),
            false => None,
        };
        for clause in [
            Keyword::FROM,
            Keyword::USING,
            Keyword::RETURNING,
            Keyword::ORDER,
            Keyword::LIMIT,
        ] {
            if self.inner.peek_keyword(clause) {
                return Err(at(
                    Error::unsupported(format!("{statement} … {clause:?} is not supported"))
                        .with_hint("Say in WHERE which rows are meant; it may hold subqueries."),
                    self.here(),
                ));
            }
        }
        let mut projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
        projection.extend(values);
        let mut query = select(projection, from, selection);
        super::balance::balance(&mut *query);
        super::sources::rewrite(&mut *query)?;
        check(&query)?;
        Ok(query)
    }
}

/// `SELECT projection FROM from WHERE selection`.
fn select(projection: Vec<SelectItem>, from: TableWithJoins, selection: Option<Expr>) -> Box<Query> {
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from: vec![from],
        lateral_views: Vec::new(),
        prewhere: None,
        selection,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    Box::new(Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    })
}
