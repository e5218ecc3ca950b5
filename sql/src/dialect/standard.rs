//! Forms of the SQL standard and of other systems, brought into those that are planned: `FETCH FIRST` and
//! `TOP` become LIMIT, literals of other kinds plain texts.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Fetch, LimitClause, Query, Select, SetExpr, TopQuantity, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use watershed_core::error::{Error, Result};

use super::error::syntax;
use super::limits::with_room;

/// Rewrites a query and all queries within it.
pub(super) fn rewrite(query: &mut Query) -> Result<()> {
    match with_room(|| VisitMut::visit(query, &mut Rewrite)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        match limited(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Self::Break> {
        let text = match &mut value.value {
            Value::NationalStringLiteral(text) | Value::UnicodeStringLiteral(text) => {
                Some(std::mem::take(text))
            }
            Value::DollarQuotedString(quoted) => Some(std::mem::take(&mut quoted.value)),
            _ => None,
        };
        if let Some(text) = text {
            value.value = Value::SingleQuotedString(text);
        }
        ControlFlow::Continue(())
    }
}

/// Lets LIMIT and OFFSET say what `FETCH`, `TOP` and `LIMIT a, b` do.
fn limited(query: &mut Query) -> Result<()> {
    if let Some(LimitClause::OffsetCommaLimit { offset, limit }) = query
        .limit_clause
        .take_if(|clause| matches!(clause, LimitClause::OffsetCommaLimit { .. }))
    {
        query.limit_clause = Some(LimitClause::LimitOffset {
            limit: Some(limit),
            offset: Some(sqlparser::ast::Offset {
                value: offset,
                rows: sqlparser::ast::OffsetRows::None,
            }),
            limit_by: Vec::new(),
        });
    }
    let fetched = query.fetch.take().map(fetch).transpose()?;
    // A set operation is ordered as a whole, and TOP belongs to one of its operands.
    let top = match query.body.as_mut() {
        SetExpr::Select(select) => top(select)?,
        SetExpr::SetOperation { left, right, .. } => {
            operand(left)?;
            operand(right)?;
            None
        }
        _ => None,
    };
    let Some(count) = fetched.or(top) else {
        return Ok(());
    };
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit, .. }) if limit.is_none() => *limit = Some(count),
        None => {
            query.limit_clause = Some(LimitClause::LimitOffset {
                limit: Some(count),
                offset: None,
                limit_by: Vec::new(),
            });
        }
        Some(_) => {
            return Err(Error::new(
                watershed_core::error::SqlState::SyntaxError,
                "the number of rows is limited twice",
            )
            .with_hint("Write one of LIMIT, FETCH and TOP."));
        }
    }
    Ok(())
}

/// Makes a query of an operand with TOP.
fn operand(body: &mut Box<SetExpr>) -> Result<()> {
    match body.as_mut() {
        SetExpr::Select(select) => {
            let Some(limit) = top(select)? else {
                return Ok(());
            };
            let inner = std::mem::replace(body.as_mut(), SetExpr::Values(empty_values()));
            **body = SetExpr::Query(Box::new(Query {
                with: None,
                body: Box::new(inner),
                order_by: None,
                limit_clause: Some(LimitClause::LimitOffset {
                    limit: Some(limit),
                    offset: None,
                    limit_by: Vec::new(),
                }),
                fetch: None,
                locks: Vec::new(),
                for_clause: None,
                settings: None,
                format_clause: None,
                pipe_operators: Vec::new(),
            }));
            Ok(())
        }
        SetExpr::SetOperation { left, right, .. } => {
            operand(left)?;
            operand(right)
        }
        _ => Ok(()),
    }
}

fn empty_values() -> sqlparser::ast::Values {
    sqlparser::ast::Values {
        explicit_row: false,
        value_keyword: false,
        rows: Vec::new(),
    }
}

fn fetch(fetch: Fetch) -> Result<Expr> {
    refuse(fetch.percent, fetch.with_ties)?;
    Ok(fetch.quantity.unwrap_or_else(|| number(1)))
}

fn top(select: &mut Select) -> Result<Option<Expr>> {
    let Some(top) = select.top.take() else {
        return Ok(None);
    };
    refuse(top.percent, top.with_ties)?;
    match top.quantity {
        Some(TopQuantity::Expr(expr)) => Ok(Some(expr)),
        Some(TopQuantity::Constant(count)) => Ok(Some(number(count))),
        None => Err(syntax(
            "TOP needs a number of rows",
            sqlparser::tokenizer::Location::empty(),
        )),
    }
}

fn refuse(percent: bool, with_ties: bool) -> Result<()> {
    let what = match (percent, with_ties) {
        (false, false) => return Ok(()),
        (true, _) => "a number of rows in PERCENT",
        (false, true) => "WITH TIES",
    };
    Err(Error::unsupported(format!("{what} is not supported"))
        .with_hint("Write QUALIFY with rank() or percent_rank() OVER (ORDER BY …)."))
}

fn number(count: u64) -> Expr {
    Expr::value(Value::Number(count.to_string(), false))
}
