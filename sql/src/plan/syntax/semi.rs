//! `a SEMI JOIN b ON …` and `a ANTI JOIN b ON …`, as DuckDB has them: DataFusion knows them by their side.

use sqlparser::ast::{JoinConstraint, JoinOperator, Select};

pub(super) fn rewrite(select: &mut Select) {
    let joins = select.from.iter_mut().flat_map(|from| &mut from.joins);
    for join in joins {
        let on = |constraint: &JoinConstraint| matches!(constraint, JoinConstraint::On(_));
        join.join_operator = match std::mem::replace(
            &mut join.join_operator,
            JoinOperator::CrossJoin(JoinConstraint::None),
        ) {
            JoinOperator::Semi(constraint) if on(&constraint) => JoinOperator::LeftSemi(constraint),
            JoinOperator::Anti(constraint) if on(&constraint) => JoinOperator::LeftAnti(constraint),
            other => other,
        };
    }
}
