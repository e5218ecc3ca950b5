//! Lambdas: their depth is bounded, and their parameters get names that no column has.
//!
//! DataFusion's planner plans the body of a lambda twice, so that each level doubles the time, and nothing interrupts it
//! (`sql_fn_name_to_expr` of DataFusion 55; no issue is known upstream). A parameter hides a column of its name, but not
//! in predicates, where DataFusion takes the two for one ambiguous name.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use sqlparser::ast::{
    AccessExpr, Expr, Ident, LambdaFunction, OneOrManyWithParens, Query, Subscript, Value, Visit, VisitMut,
    Visitor, VisitorMut,
};
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use super::columns::quoted;
use crate::dialect::{folded, with_room};

/// More make a statement slow.
const DEPTH_MAX: usize = 6;

/// An error for lambdas that are nested deeper.
pub(super) fn check(query: &Query) -> Result<(), DataFusionError> {
    match with_room(|| query.visit(&mut Depth(0))) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(into_datafusion(
            Error::new(
                SqlState::StatementTooComplex,
                format!("lambdas are nested deeper than {DEPTH_MAX} levels"),
            )
            .with_hint("Compute the inner lists in a subquery or a common table expression."),
        )),
    }
}

struct Depth(usize);

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Lambda(_)) {
            self.0 += 1;
        }
        match self.0 > DEPTH_MAX {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Lambda(_)) {
            self.0 -= 1;
        }
        ControlFlow::Continue(())
    }
}

/// Renames the parameters of all lambdas in a query. Lambdas that are written alike stay alike, so that GROUP BY finds
/// an expression again.
pub(super) fn rename(query: &mut Query) {
    let mut rename = Rename { open: Vec::new() };
    let walked = with_room(|| VisitMut::visit(query, &mut rename));
    debug_assert!(walked.is_continue(), "the visitor never breaks");
}

/// The parameters of the lambdas around a place, each list from the outermost lambda in. A subquery reads none.
struct Rename {
    open: Vec<Scope>,
}

enum Scope {
    Lambda(Vec<(String, String)>),
    Query,
}

impl Rename {
    fn enter(&mut self, lambda: &mut LambdaFunction) {
        let depth = self.open.len();
        let params = match &mut lambda.params {
            OneOrManyWithParens::One(param) => std::slice::from_mut(param),
            OneOrManyWithParens::Many(params) => params.as_mut_slice(),
        };
        let mut renamed = Vec::with_capacity(params.len());
        for param in params {
            let name = folded(&param.name);
            let unique = format!("__lambda_{depth}_{name}");
            param.name = quoted(&unique);
            renamed.push((name, unique));
        }
        self.open.push(Scope::Lambda(renamed));
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.open
            .iter()
            .rev()
            .map_while(|scope| match scope {
                Scope::Lambda(params) => Some(params),
                Scope::Query => None,
            })
            .flatten()
            .find(|(known, _)| known == name)
            .map(|(_, unique)| unique.as_str())
    }
}

/// `x.a` of a parameter `x`, whose fields DataFusion takes in brackets alone.
fn field_of(unique: &str, fields: &[Ident]) -> Expr {
    let access_chain = fields.iter().map(|field| {
        let index = Expr::value(Value::SingleQuotedString(folded(field)));
        AccessExpr::Subscript(Subscript::Index { index })
    });
    Expr::CompoundFieldAccess {
        root: Box::new(Expr::Identifier(quoted(unique))),
        access_chain: access_chain.collect(),
    }
}

impl VisitorMut for Rename {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.open.push(Scope::Query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.open.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Lambda(lambda) => self.enter(lambda),
            Expr::Identifier(ident) => {
                if let Some(unique) = self.find(&folded(ident)) {
                    *ident = quoted(unique);
                }
            }
            Expr::CompoundIdentifier(parts) => {
                if let Some((first, fields)) = parts.split_first()
                    && let Some(unique) = self.find(&folded(first))
                {
                    *expr = field_of(unique, fields);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Lambda(_)) {
            self.open.pop();
        }
        ControlFlow::Continue(())
    }
}
