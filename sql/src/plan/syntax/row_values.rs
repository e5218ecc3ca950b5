//! Comparisons of rows: `(a, b) = (c, d)`, `(a, b) < (c, d)`, `(a, b) IN ((1, 2), …)` and
//! `(a, b) IN (SELECT …)`, as comparisons of their values. DataFusion compares rows as structures, for which
//! NULL is a value.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Ident, Query, SelectItem, TableAliasColumnDef, TableWithJoins,
    UnaryOperator, Value,
};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::columns::{alias, derived, query_of, quoted, select_of};

/// Rewrites a comparison of rows; anything else stays.
pub(super) fn rewrite(expr: &mut Expr) {
    let rewritten = match expr {
        Expr::BinaryOp { left, op, right } => match (row(left), row(right)) {
            (Some(left), Some(right)) if left.len() == right.len() => compared(left, op, right),
            _ => None,
        },
        Expr::InList { expr, list, negated } => in_list(expr, list, *negated),
        Expr::InSubquery {
            expr,
            subquery,
            negated,
        } => row(expr).map(|values| in_subquery(values, subquery, *negated)),
        _ => None,
    };
    if let Some(rewritten) = rewritten {
        *expr = Expr::Nested(Box::new(rewritten));
    }
}

fn row(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Tuple(values) if values.len() > 1 => Some(values),
        Expr::Nested(inner) => row(inner),
        _ => None,
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(Expr::Nested(Box::new(left))),
        op,
        right: Box::new(Expr::Nested(Box::new(right))),
    }
}

fn all(mut conditions: impl Iterator<Item = Expr>, op: &BinaryOperator) -> Option<Expr> {
    let first = conditions.next()?;
    Some(conditions.fold(first, |all, next| binary(all, op.clone(), next)))
}

fn equal(left: &[Expr], right: &[Expr]) -> Option<Expr> {
    let pairs = left.iter().zip(right);
    let each = pairs.map(|(l, r)| binary(l.clone(), BinaryOperator::Eq, r.clone()));
    all(each, &BinaryOperator::And)
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(Expr::Nested(Box::new(expr))),
    }
}

fn compared(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Option<Expr> {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    match op {
        Eq => equal(left, right),
        NotEq => equal(left, right).map(not),
        Lt | LtEq | Gt | GtEq => {
            // The first values that differ decide.
            let strict = match op {
                Lt | LtEq => Lt,
                _ => Gt,
            };
            let ((last_left, left), (last_right, right)) = (left.split_last()?, right.split_last()?);
            let mut expr = binary(last_left.clone(), op.clone(), last_right.clone());
            for (l, r) in left.iter().zip(right).rev() {
                let same = binary(l.clone(), Eq, r.clone());
                let differs = binary(l.clone(), strict.clone(), r.clone());
                expr = binary(differs, Or, binary(same, And, expr));
            }
            Some(expr)
        }
        _ => None,
    }
}

fn in_list(expr: &Expr, list: &[Expr], negated: bool) -> Option<Expr> {
    let values = row(expr)?;
    let mut each = Vec::with_capacity(list.len());
    for item in list {
        let other = row(item).filter(|other| other.len() == values.len())?;
        each.push(equal(values, other)?);
    }
    let any = all(each.into_iter(), &BinaryOperator::Or)?;
    Some(match negated {
        true => not(any),
        false => any,
    })
}

/// True where a row is equal, NULL where one might be.
fn in_subquery(values: &[Expr], subquery: &Query, negated: bool) -> Expr {
    let mut name = alias(quoted("__row"));
    let columns: Vec<Ident> = (0..values.len())
        .map(|index| quoted(&format!("__v{index}")))
        .collect();
    name.columns = columns
        .iter()
        .map(|name| TableAliasColumnDef {
            name: name.clone(),
            data_type: None,
        })
        .collect();
    let others: Vec<Expr> = columns.into_iter().map(Expr::Identifier).collect();
    let exists = |condition: Expr| {
        let from = TableWithJoins {
            relation: derived(subquery.clone(), false, name.clone()),
            joins: Vec::new(),
        };
        let one = Expr::Value(Value::Number("1".to_owned(), false).into());
        let mut select = select_of(vec![SelectItem::UnnamedExpr(one)], vec![from]);
        select.selection = Some(condition);
        Expr::Exists {
            subquery: Box::new(query_of(None, select)),
            negated: false,
        }
    };
    let Some(equal) = equal(values, &others) else {
        return constant(Some(negated));
    };
    let unknown = Expr::IsNull(Box::new(Expr::Nested(Box::new(equal.clone()))));
    let when = |condition: Expr, result: Option<bool>| CaseWhen {
        condition,
        result: constant(result),
    };
    Expr::Case {
        case_token: TokenWithSpan::wrap(Token::Comma).into(),
        end_token: TokenWithSpan::wrap(Token::Comma).into(),
        operand: None,
        conditions: vec![when(exists(equal), Some(!negated)), when(exists(unknown), None)],
        else_result: Some(Box::new(constant(Some(negated)))),
    }
}

fn constant(value: Option<bool>) -> Expr {
    Expr::Value(value.map_or(Value::Null, Value::Boolean).into())
}
