//! The types in which numbers meet, where DataFusion's coercion would lose digits.
//!
//! - A decimal beside a float becomes a float, in comparisons and where values of several types become one,
//!   as in PostgreSQL. DataFusion would make DECIMAL(30, 15) of both.
//! - Division of decimals gives a DOUBLE, as in DuckDB: every DECIMAL type cuts the quotient somewhere.
//! - A product of more than 38 digits behind the point is computed as a DOUBLE.
//! - Decimals that no type of 38 digits holds together are compared in 76 digits.
//! - An integer literal beside a decimal has as many digits as are written, not the 20 of its type.
//! - A cast to an integer or to fewer digits rounds.
//! - Functions over floats alone get their decimals as floats.

use std::sync::Arc;

use arrow::datatypes::{DataType, Decimal128Type, DecimalType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, Between, InList, InSubquery, ScalarFunction};
use datafusion::logical_expr::{
    BinaryExpr, Case, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, cast, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::kinds::{FLOAT_FUNCTIONS, UNITING_FUNCTIONS, kind_of, typed_nulls};
use super::nested::is_nested;
use super::{arithmetic, exprs, united, whole, within};
use crate::functions::bounded::guarded;

#[derive(Debug)]
pub(super) struct NumericTypes;

impl AnalyzerRule for NumericTypes {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let node = match node {
                LogicalPlan::Union(union) => united::with_united_types(union)?,
                LogicalPlan::Join(mut join) => {
                    let (left, right) = (Arc::clone(&join.left), Arc::clone(&join.right));
                    for (l, r) in &mut join.on {
                        let types = (kind_of(l, left.schema()), kind_of(r, right.schema()));
                        if let (Some(of_left), Some(of_right)) = types {
                            let with = comparison_casts(&of_left, &of_right);
                            *l = with.0.of(std::mem::take(l));
                            *r = with.1.of(std::mem::take(r));
                        }
                    }
                    Transformed::yes(LogicalPlan::Join(join))
                }
                other => Transformed::no(other),
            };
            node.transform_data(|node| exprs::rewrite(node, &with_numeric_types))
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "numeric_types"
    }
}

/// What an operand needs before DataFusion's coercion sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Double,
    /// A decimal of 76 digits with that many behind the point.
    Wide(i8),
}

impl Need {
    fn of(self, expr: Expr) -> Expr {
        match self {
            Self::Nothing => expr,
            Self::Double => double(expr),
            Self::Wide(scale) => cast(expr, DataType::Decimal256(76, scale)),
        }
    }
}

/// An expression as a DOUBLE. A literal is read as the DOUBLE nearest to it.
pub(super) fn double(expr: Expr) -> Expr {
    nearest(&expr, &DataType::Float64).unwrap_or_else(|| cast(expr, DataType::Float64))
}

/// A literal that is no float as the float nearest to it. A cast of many digits would round twice.
fn nearest(expr: &Expr, kind: &DataType) -> Option<Expr> {
    let text = match expr {
        Expr::Literal(ScalarValue::Decimal128(Some(value), precision, scale), _) => {
            Decimal128Type::format_decimal(*value, *precision, *scale)
        }
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => value.to_string(),
        _ => return None,
    };
    match kind {
        DataType::Float64 => text.parse::<f64>().ok().map(lit),
        DataType::Float32 => text.parse::<f32>().ok().map(lit),
        _ => None,
    }
}

/// What the sides of a comparison need.
fn comparison_casts(left: &DataType, right: &DataType) -> (Need, Need) {
    match (left.is_decimal(), right.is_decimal()) {
        _ if left == right => (Need::Nothing, Need::Nothing),
        (true, _) if right.is_floating() => (Need::Double, Need::Nothing),
        (_, true) if left.is_floating() => (Need::Nothing, Need::Double),
        (false, false) => (Need::Nothing, Need::Nothing),
        _ => match (digits(left), digits(right)) {
            (Some((p, s)), Some((q, t))) if s.max(t) + (p - s).max(q - t) > 38 => {
                let wide = i8::try_from(s.max(t)).map_or(Need::Nothing, Need::Wide);
                (wide, wide)
            }
            _ => (Need::Nothing, Need::Nothing),
        },
    }
}

/// Precision and scale of a number that is no float.
fn digits(kind: &DataType) -> Option<(i16, i16)> {
    Some(match kind {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => (i16::from(*p), i16::from(*s)),
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        _ => return None,
    })
}

/// Makes floats of the decimals among expressions that become one type, if one of them is a float.
fn united(exprs: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    let types: Vec<_> = exprs.iter().map(|expr| kind_of(expr, schema)).collect();
    let any = |test: fn(&DataType) -> bool| types.iter().flatten().any(test);
    if any(is_nested) {
        return within::united(exprs, schema);
    }
    if !any(DataType::is_floating) || !any(DataType::is_decimal) {
        return false;
    }
    for (expr, kind) in exprs.into_iter().zip(&types) {
        if kind.as_ref().is_some_and(DataType::is_decimal) {
            *expr = double(std::mem::take(expr));
        }
    }
    true
}

/// An expression, whose parts are so already, with the types in which numbers meet.
pub fn with_numeric_types(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(binary) => Ok(operator(binary, schema)),
        Expr::Between(mut between) => {
            let Between { expr, low, high, .. } = &mut between;
            let changed = compared(vec![expr.as_mut(), low.as_mut(), high.as_mut()], schema);
            Ok(Transformed::new_transformed(Expr::Between(between), changed))
        }
        Expr::InList(mut found) => {
            let InList { expr, list, .. } = &mut found;
            let all = std::iter::once(expr.as_mut()).chain(list).collect();
            let changed = compared(all, schema);
            Ok(Transformed::new_transformed(Expr::InList(found), changed))
        }
        Expr::InSubquery(found) => in_subquery(found, schema),
        Expr::Case(mut case) => {
            let Case {
                expr,
                when_then_expr,
                else_expr,
            } = &mut case;
            let (whens, thens): (Vec<_>, Vec<_>) = when_then_expr
                .iter_mut()
                .map(|(when, then)| (when.as_mut(), then.as_mut()))
                .unzip();
            let mut changed = match expr {
                Some(expr) => compared(std::iter::once(expr.as_mut()).chain(whens).collect(), schema),
                None => false,
            };
            let results = thens.into_iter().chain(else_expr.as_deref_mut()).collect();
            changed |= united(results, schema);
            Ok(Transformed::new_transformed(Expr::Case(case), changed))
        }
        Expr::ScalarFunction(ScalarFunction { func, mut args }) => {
            let mut changed = arguments(func.name(), &mut args, schema);
            // Calls that DataFusion's planner makes for ANY and ALL take the types that registered functions take.
            let registered = guarded(Arc::clone(&func));
            changed |= !Arc::ptr_eq(&registered, &func);
            let func = registered;
            let expr = Expr::ScalarFunction(ScalarFunction { func, args });
            Ok(Transformed::new_transformed(expr, changed))
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            let nulls = func.name() == "avg" && typed_nulls(&mut params.args, schema);
            let changed = arguments(func.name(), &mut params.args, schema) | nulls;
            let expr = Expr::AggregateFunction(AggregateFunction { func, params });
            Ok(Transformed::new_transformed(expr, changed))
        }
        Expr::Cast(found) => Ok(match nearest(&found.expr, found.field.data_type()) {
            Some(near) => Transformed::yes(near),
            None => match whole::rounded(&found.expr, found.field.data_type(), schema) {
                Some(whole) => Transformed::yes(cast(whole, found.field.data_type().clone())),
                None => Transformed::no(Expr::Cast(found)),
            },
        }),
        Expr::TryCast(mut found) => Ok(
            match whole::rounded(&found.expr, found.field.data_type(), schema) {
                Some(whole) => {
                    found.expr = Box::new(whole);
                    Transformed::yes(Expr::TryCast(found))
                }
                None => Transformed::no(Expr::TryCast(found)),
            },
        ),
        other => Ok(Transformed::no(other)),
    }
}

fn arguments(name: &str, args: &mut [Expr], schema: &DFSchema) -> bool {
    if UNITING_FUNCTIONS.contains(&name) {
        return united(args.iter_mut().collect(), schema);
    }
    if !FLOAT_FUNCTIONS.contains(&name) {
        return within::arguments(name, args, schema);
    }
    let mut changed = false;
    for arg in args {
        if arg.get_type(schema).is_ok_and(|kind| kind.is_decimal()) {
            *arg = double(std::mem::take(arg));
            changed = true;
        }
    }
    changed
}

/// Brings expressions that are compared with the first of them to types that lose nothing.
fn compared(exprs: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    let types: Vec<_> = exprs.iter().map(|expr| kind_of(expr, schema)).collect();
    if types.iter().flatten().any(is_nested) {
        return within::united(exprs, schema);
    }
    if !types.iter().flatten().any(DataType::is_decimal) {
        return false;
    }
    if types.iter().flatten().any(DataType::is_floating) {
        return united(exprs, schema);
    }
    if types.windows(2).all(|pair| pair[0] == pair[1]) {
        return false;
    }
    let digits: Vec<_> = types.iter().flatten().filter_map(digits).collect();
    let scale = digits.iter().map(|(_, scale)| *scale).max().unwrap_or_default();
    let whole = digits.iter().map(|(digits, scale)| digits - scale).max();
    if whole.unwrap_or_default() + scale <= 38 {
        return false;
    }
    let Ok(scale) = i8::try_from(scale) else {
        return false;
    };
    for (expr, kind) in exprs.into_iter().zip(&types) {
        if kind.as_ref().is_some_and(DataType::is_numeric) {
            *expr = Need::Wide(scale).of(std::mem::take(expr));
        }
    }
    true
}

fn operator(binary: BinaryExpr, schema: &DFSchema) -> Transformed<Expr> {
    let BinaryExpr { left, op, right } = binary;
    let arithmetic = matches!(
        op,
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo
    );
    let types = match arithmetic || op.supports_propagation() {
        true => kind_of(&left, schema).zip(kind_of(&right, schema)),
        false => None,
    };
    let unchanged = |left, right| Transformed::no(Expr::BinaryExpr(BinaryExpr::new(left, op, right)));
    let Some((of_left, of_right)) = types else {
        return unchanged(left, right);
    };
    if !arithmetic && is_nested(&of_left) && is_nested(&of_right) {
        let (mut left, mut right) = (left, right);
        let changed = within::united(vec![left.as_mut(), right.as_mut()], schema);
        return Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr::new(left, op, right)), changed);
    }
    if !of_left.is_decimal() && !of_right.is_decimal() {
        return unchanged(left, right);
    }
    let numbers = of_left.is_numeric() && of_right.is_numeric();
    let needs = match op {
        _ if !arithmetic => comparison_casts(&of_left, &of_right),
        _ if !numbers => (Need::Nothing, Need::Nothing),
        Operator::Divide => {
            let quotient = arithmetic::quotient(double(*left), double(*right));
            return Transformed::yes(quotient);
        }
        _ if of_left.is_floating() || of_right.is_floating() => (Need::Double, Need::Double),
        Operator::Multiply if scale(&of_left) + scale(&of_right) > 38 => (Need::Double, Need::Double),
        _ => {
            let left_literal = brief(&left);
            let right_literal = brief(&right);
            if left_literal.is_none() && right_literal.is_none() {
                return unchanged(left, right);
            }
            let left = left_literal.map_or(left, Box::new);
            let right = right_literal.map_or(right, Box::new);
            return Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(left, op, right)));
        }
    };
    match needs {
        (Need::Nothing, Need::Nothing) => unchanged(left, right),
        (of_left, of_right) => Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(
            Box::new(of_left.of(*left)),
            op,
            Box::new(of_right.of(*right)),
        ))),
    }
}

fn scale(kind: &DataType) -> i16 {
    digits(kind).map_or(0, |(_, scale)| scale)
}

/// An integer literal as a decimal of no more digits than it has.
fn brief(expr: &Expr) -> Option<Expr> {
    let Expr::Literal(ScalarValue::Int64(Some(value)), _) = expr else {
        return None;
    };
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or_default() + 1;
    let precision = u8::try_from(digits).ok()?;
    Some(lit(ScalarValue::Decimal128(
        Some(i128::from(*value)),
        precision,
        0,
    )))
}

/// `x IN (SELECT …)` with a decimal on one side and a float on the other.
fn in_subquery(mut found: InSubquery, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let field = found.subquery.subquery.schema().fields().first().cloned();
    let types = found.expr.get_type(schema).ok().zip(field);
    let Some((of_expr, field)) = types else {
        return Ok(Transformed::no(Expr::InSubquery(found)));
    };
    let (of_left, of_right) = comparison_casts(&of_expr, field.data_type());
    if (of_left, of_right) == (Need::Nothing, Need::Nothing) {
        return Ok(Transformed::no(Expr::InSubquery(found)));
    }
    found.expr = Box::new(of_left.of(*found.expr));
    if of_right != Need::Nothing {
        let plan = Arc::unwrap_or_clone(found.subquery.subquery);
        let column = Expr::Column(Column::from(plan.schema().qualified_field(0)));
        let plan = LogicalPlanBuilder::from(plan)
            .project([of_right.of(column).alias(field.name())])?
            .build()?;
        found.subquery.subquery = Arc::new(plan);
    }
    Ok(Transformed::yes(Expr::InSubquery(found)))
}
