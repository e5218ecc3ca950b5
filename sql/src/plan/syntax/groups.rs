//! `GROUPING SETS`, `ROLLUP` and `CUBE` as one list of sets.
//!
//! Several of them in a GROUP BY, and expressions beside them, give every combination of their sets. They may
//! hold one another, lists of columns, positions in the select list, and one expression several times, of
//! which DataFusion knows but a part.

use datafusion::common::DataFusionError;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, GroupByWithModifier,
    Select, SelectItem, Value,
};
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use super::titles::{is_called, text};

/// The sets that one GROUP BY may have, as in PostgreSQL.
const SETS_MAX: usize = 4096;

type Sets = Vec<Vec<Expr>>;

pub(super) fn expand(select: &mut Select) -> Result<(), DataFusionError> {
    let (exprs, modifiers) = match &mut select.group_by {
        GroupByExpr::Expressions(exprs, modifiers) => (exprs, std::mem::take(modifiers)),
        GroupByExpr::All(modifiers) if modifiers.is_empty() => return Ok(()),
        GroupByExpr::All(_) => return Err(refused("GROUP BY ALL with a modifier")),
    };
    for modifier in modifiers {
        let parts = std::mem::take(exprs).into_iter().map(|expr| vec![expr]).collect();
        exprs.push(match modifier {
            GroupByWithModifier::Rollup => Expr::Rollup(parts),
            GroupByWithModifier::Cube => Expr::Cube(parts),
            GroupByWithModifier::Totals => return Err(refused("WITH TOTALS")),
            GroupByWithModifier::GroupingSets(_) => {
                return Err(refused("GROUPING SETS behind a list of expressions"));
            }
        });
    }
    if !exprs.iter().any(has_sets) {
        return Ok(());
    }
    let mut all: Sets = vec![Vec::new()];
    for expr in std::mem::take(exprs) {
        let sets = sets_of(expr)?;
        bounded(all.len().saturating_mul(sets.len()))?;
        all = all
            .iter()
            .flat_map(|begun| sets.iter().map(move |set| [begun.as_slice(), set].concat()))
            .collect();
    }
    for set in &mut all {
        distinct(set, &select.projection);
    }
    *exprs = match <[Vec<Expr>; 1]>::try_from(all) {
        Ok([set]) if !set.is_empty() => set,
        Ok([empty]) => vec![Expr::GroupingSets(vec![empty])],
        Err(sets) => vec![Expr::GroupingSets(sets)],
    };
    Ok(())
}

fn refused(what: &str) -> DataFusionError {
    into_datafusion(
        Error::unsupported(format!("{what} is not supported"))
            .with_hint("Write GROUP BY GROUPING SETS, ROLLUP or CUBE."),
    )
}

fn bounded(sets: usize) -> Result<(), DataFusionError> {
    if sets <= SETS_MAX {
        return Ok(());
    }
    Err(into_datafusion(Error::new(
        SqlState::StatementTooComplex,
        format!("a GROUP BY has at most {SETS_MAX} grouping sets"),
    )))
}

/// Whether an item of GROUP BY may give other sets than one of its expressions.
fn has_sets(expr: &Expr) -> bool {
    match expr {
        Expr::GroupingSets(_) | Expr::Rollup(_) | Expr::Cube(_) => true,
        Expr::Tuple(parts) => parts.is_empty(),
        _ => false,
    }
}

/// The sets that an item of GROUP BY stands for.
fn sets_of(expr: Expr) -> Result<Sets, DataFusionError> {
    match expr {
        Expr::Rollup(parts) => rollup(&parts),
        Expr::Cube(parts) => cube(&parts),
        Expr::GroupingSets(parts) => {
            let mut sets = Vec::new();
            for part in parts {
                match <[Expr; 1]>::try_from(part) {
                    Ok([Expr::Function(function)]) if is_called(&function.name, "rollup") => {
                        sets.extend(rollup(&arguments(function)?)?);
                    }
                    Ok([Expr::Function(function)]) if is_called(&function.name, "cube") => {
                        sets.extend(cube(&arguments(function)?)?);
                    }
                    Ok([single]) => sets.push(columns(single)),
                    Err(several) => sets.push(several.into_iter().flat_map(columns).collect()),
                }
                bounded(sets.len())?;
            }
            Ok(sets)
        }
        other => Ok(vec![columns(other)]),
    }
}

/// The parts of a ROLLUP or CUBE within GROUPING SETS, which is read as the call of a function.
fn arguments(function: Function) -> Result<Sets, DataFusionError> {
    let FunctionArguments::List(list) = function.args else {
        return Err(refused("a subquery in GROUPING SETS"));
    };
    let parts = list.args.into_iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(columns(expr)),
        _ => Err(refused("a named argument in GROUPING SETS")),
    });
    parts.collect()
}

/// `(a, b)` as the list of its expressions.
fn columns(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::Tuple(parts) => parts,
        Expr::Nested(inner) => vec![*inner],
        other => vec![other],
    }
}

fn rollup(parts: &[Vec<Expr>]) -> Result<Sets, DataFusionError> {
    bounded(parts.len() + 1)?;
    Ok((0..=parts.len())
        .rev()
        .map(|count| parts[..count].concat())
        .collect())
}

fn cube(parts: &[Vec<Expr>]) -> Result<Sets, DataFusionError> {
    let count = u32::try_from(parts.len())
        .ok()
        .and_then(|parts| 1_usize.checked_shl(parts));
    let count = count.filter(|_| parts.len() < 64).unwrap_or(usize::MAX);
    bounded(count)?;
    let sets = (0..count).rev().map(|chosen| {
        let part = |index: &usize| chosen & (1 << (parts.len() - 1 - index)) != 0;
        let taken = (0..parts.len()).filter(part);
        taken.flat_map(|index| parts[index].clone()).collect()
    });
    Ok(sets.collect())
}

/// Takes what stands for the same expression twice out of a set, and writes positions as what they stand for.
fn distinct(set: &mut Vec<Expr>, projection: &[SelectItem]) {
    let mut texts = Vec::with_capacity(set.len());
    let exprs = std::mem::take(set);
    for expr in exprs {
        let expr = place(&expr, projection).unwrap_or(expr);
        let text = text(&expr);
        if !texts.contains(&text) {
            texts.push(text);
            set.push(expr);
        }
    }
}

/// What a number in GROUP BY stands for.
pub(super) fn place(expr: &Expr, projection: &[SelectItem]) -> Option<Expr> {
    let Expr::Value(value) = expr else { return None };
    let Value::Number(number, _) = &value.value else {
        return None;
    };
    let mut known = projection.iter().map_while(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    known.nth(number.parse::<usize>().ok()?.checked_sub(1)?).cloned()
}
