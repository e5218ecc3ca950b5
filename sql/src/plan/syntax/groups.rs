//! `ROLLUP ((a, b), c)` and `CUBE` over several columns at a time, and `GROUP BY ()`, as grouping sets.

use sqlparser::ast::{Expr, GroupByExpr, Select};

/// Columns at a time in CUBE: each doubles the sets.
const CUBE_MAX: usize = 12;

pub(super) fn expand(select: &mut Select) {
    let GroupByExpr::Expressions(exprs, _) = &mut select.group_by else {
        return;
    };
    for expr in exprs {
        match expr {
            Expr::Rollup(parts) if parts.iter().any(|part| part.len() != 1) => {
                let sets = (0..=parts.len()).rev().map(|count| parts[..count].concat());
                *expr = Expr::GroupingSets(sets.collect());
            }
            Expr::Cube(parts) if parts.iter().any(|part| part.len() != 1) && parts.len() <= CUBE_MAX => {
                let sets = (0..1_usize << parts.len()).rev().map(|chosen| {
                    let part = |index: &usize| chosen & (1 << (parts.len() - 1 - index)) != 0;
                    let taken = (0..parts.len()).filter(part);
                    taken.flat_map(|index| parts[index].clone()).collect()
                });
                *expr = Expr::GroupingSets(sets.collect());
            }
            Expr::Tuple(parts) if parts.is_empty() => *expr = Expr::GroupingSets(vec![Vec::new()]),
            _ => {}
        }
    }
}
