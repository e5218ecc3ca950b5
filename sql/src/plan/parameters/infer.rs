//! What the places of parameters say about their types.
//!
//! An operand of a comparison is like the other operand, a condition is a boolean, LIMIT takes a whole
//! number. An argument of a function, a branch of CASE and an operand of arithmetic are proposals only: a
//! bound value keeps its type there, as a literal does.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::expr::{
    AggregateFunction, Between, BinaryExpr, Case, Cast, InList, InSubquery, Like, Placeholder,
    ScalarFunction, SetComparison, WindowFunction,
};
use datafusion::logical_expr::type_coercion::functions::{UDFCoercionExt, fields_with_udf};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, WindowFunctionDefinition};
use watershed_core::error::Result;
use watershed_storage::error::from_datafusion;

use super::{Firmness, Known, Parameter, common, number, told};

/// Arguments without a type for which all combinations of types are tried; more get one type together.
const COMBINED_MAX: usize = 4;

/// The plan with a type for every parameter whose place gives one.
pub(super) fn inferred(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let (is_limit, is_filter) = (
            matches!(node, LogicalPlan::Limit(_)),
            matches!(node, LogicalPlan::Filter(_)),
        );
        node.map_expressions(|expr| {
            expr.transform_up(|mut expr| {
                operand(&mut expr, &schema);
                Ok(Transformed::yes(expr))
            })?
            .transform_data(|mut expr| {
                if is_limit {
                    set(&mut expr, &DataType::Int64);
                } else if is_filter {
                    set(&mut expr, &DataType::Boolean);
                }
                Ok(Transformed::yes(expr))
            })
        })
    })
    .map(|transformed| transformed.data)
    .map_err(from_datafusion)
}

fn is_open(expr: &Expr) -> bool {
    matches!(expr, Expr::Placeholder(placeholder) if told(placeholder).is_none())
}

fn set(expr: &mut Expr, data_type: &DataType) {
    if let Expr::Placeholder(placeholder) = expr
        && told(placeholder).is_none()
    {
        placeholder.field = Some(Arc::new(Field::new(&placeholder.id, data_type.clone(), true)));
    }
}

fn type_of(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    let data_type = expr.get_type(schema).ok()?;
    (data_type != DataType::Null).then_some(data_type)
}

fn alike(expr: &mut Expr, other: &Expr, schema: &DFSchema) {
    if is_open(expr)
        && let Some(data_type) = type_of(other, schema)
    {
        set(expr, &data_type);
    }
}

/// Gives the parameters that are direct operands of an expression their types.
fn operand(expr: &mut Expr, schema: &DFSchema) {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And | Operator::Or => {
                set(left, &DataType::Boolean);
                set(right, &DataType::Boolean);
            }
            Operator::StringConcat => {
                concatenated(left, right, schema);
                concatenated(right, left, schema);
            }
            op if is_arithmetic(*op) => {
                arithmetic(left, right, schema);
                arithmetic(right, left, schema);
            }
            _ => {
                alike(left, right, schema);
                alike(right, left, schema);
            }
        },
        Expr::Not(inner) => set(inner, &DataType::Boolean),
        Expr::Between(Between { expr, low, high, .. }) => {
            alike(low, expr, schema);
            alike(high, expr, schema);
            alike(expr, low, schema);
            alike(expr, high, schema);
        }
        Expr::InList(InList { expr, list, .. }) => {
            for item in list.iter_mut() {
                alike(item, expr, schema);
            }
            if let Some(item) = list.iter().find(|item| type_of(item, schema).is_some()) {
                alike(expr, item, schema);
            }
        }
        Expr::Like(Like { expr, pattern, .. }) | Expr::SimilarTo(Like { expr, pattern, .. }) => {
            alike(pattern, expr, schema);
            alike(expr, pattern, schema);
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. })
        | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            if let [field] = &subquery.subquery.schema().fields()[..] {
                set(expr, field.data_type());
            }
        }
        // What TRY_CAST cannot convert is NULL: the value stays what it is until then.
        Expr::Cast(Cast { expr, field }) => set(expr, field.data_type()),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "array_has" => {
            let [array, element] = args.as_mut_slice() else {
                return;
            };
            match type_of(array, schema) {
                Some(DataType::List(field)) => set(element, field.data_type()),
                Some(_) => {}
                None => {
                    if let Some(element) = type_of(element, schema) {
                        set(array, &DataType::new_list(element, true));
                    }
                }
            }
        }
        Expr::Case(case) => branches(case, schema),
        Expr::ScalarFunction(ScalarFunction { func, args }) => arguments(func.as_ref(), args, schema),
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            arguments(func.as_ref(), &mut params.args, schema);
        }
        Expr::WindowFunction(window) => {
            let WindowFunction { fun, params } = window.as_mut();
            match fun {
                WindowFunctionDefinition::AggregateUDF(func) => {
                    arguments(func.as_ref(), &mut params.args, schema);
                }
                WindowFunctionDefinition::WindowUDF(func) => {
                    arguments(func.as_ref(), &mut params.args, schema);
                }
            }
        }
        _ => {}
    }
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(
        op,
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo
    )
}

/// What is added to a time is an interval and no time.
fn arithmetic(expr: &mut Expr, other: &Expr, schema: &DFSchema) {
    if is_open(expr)
        && let Some(data_type) = type_of(other, schema)
        && data_type.is_numeric()
    {
        set(expr, &data_type);
    }
}

/// What is joined to an array is one too, all else becomes a text.
fn concatenated(expr: &mut Expr, other: &Expr, schema: &DFSchema) {
    match type_of(other, schema) {
        Some(data_type) if data_type.is_nested() => set(expr, &data_type),
        _ => set(expr, &DataType::Utf8),
    }
}

fn branches(case: &mut Case, schema: &DFSchema) {
    if let Some(base) = &mut case.expr {
        for (when, _) in &mut case.when_then_expr {
            alike(when, base, schema);
        }
        if let Some((when, _)) = case.when_then_expr.iter().find(|(when, _)| !is_open(when)) {
            alike(base, when, schema);
        }
    } else {
        for (when, _) in &mut case.when_then_expr {
            set(when, &DataType::Boolean);
        }
    }
    let results = case
        .when_then_expr
        .iter()
        .map(|(_, then)| then)
        .chain(&case.else_expr);
    let Some(data_type) = results
        .filter(|result| !is_open(result))
        .find_map(|result| type_of(result, schema))
    else {
        return;
    };
    let results = case.when_then_expr.iter_mut().map(|(_, then)| then);
    for result in results.chain(&mut case.else_expr) {
        set(result, &data_type);
    }
}

/// Chooses types for the arguments that have none, such that the function takes them, if possible without
/// a conversion.
fn arguments<F: UDFCoercionExt>(function: &F, args: &mut [Expr], schema: &DFSchema) {
    let open: Vec<usize> = (0..args.len()).filter(|index| is_open(&args[*index])).collect();
    if open.is_empty() {
        return;
    }
    let mut fields: Vec<FieldRef> = Vec::with_capacity(args.len());
    for arg in args.iter() {
        match arg.to_field(schema) {
            Ok((_, field)) => fields.push(field),
            Err(_) => return,
        }
    }
    let mut candidates: Vec<DataType> = Vec::new();
    let known = fields.iter().map(|field| field.data_type());
    let usual = [DataType::Utf8, DataType::Float64, DataType::Int64];
    for candidate in known.chain(&usual) {
        if *candidate != DataType::Null && !candidates.contains(candidate) {
            candidates.push(candidate.clone());
        }
    }
    candidates.truncate(5);
    let mut fallback = None;
    for types in combinations(&candidates, open.len()) {
        for (index, data_type) in open.iter().zip(&types) {
            fields[*index] = Arc::new(Field::new("", data_type.clone(), true));
        }
        let Ok(taken) = fields_with_udf(&fields, function) else {
            continue;
        };
        let exact = taken
            .iter()
            .zip(&fields)
            .all(|(taken, field)| taken.data_type() == field.data_type());
        if exact {
            fallback = Some(types);
            break;
        }
        fallback.get_or_insert(types);
    }
    for (index, data_type) in open.iter().zip(fallback.iter().flatten()) {
        set(&mut args[*index], data_type);
    }
}

fn combinations(candidates: &[DataType], places: usize) -> Vec<Vec<DataType>> {
    if places > COMBINED_MAX {
        return candidates
            .iter()
            .map(|candidate| vec![candidate.clone(); places])
            .collect();
    }
    let mut combined: Vec<Vec<DataType>> = vec![Vec::new()];
    for _ in 0..places {
        combined = combined
            .into_iter()
            .flat_map(|types| {
                candidates.iter().map(move |candidate| {
                    let mut types = types.clone();
                    types.push(candidate.clone());
                    types
                })
            })
            .collect();
    }
    combined
}

/// Takes down the types that a plan's parameters have, and how firm they are.
pub(super) fn known(plan: &LogicalPlan, known: &mut Known) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let is_limit = matches!(node, LogicalPlan::Limit(_));
        node.apply_expressions(|expr| {
            if is_limit {
                note(expr, Firmness::Fixed, known);
            }
            expr.apply(|expr| {
                firm(expr, known)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map_err(from_datafusion)?;
    Ok(())
}

/// Takes down the direct operands of an expression.
fn firm(expr: &Expr, known: &mut Known) -> DfResult<()> {
    let firmness = match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) if is_arithmetic(*op) || *op == Operator::StringConcat => {
            Firmness::Free
        }
        Expr::BinaryExpr(_)
        | Expr::Not(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_) => Firmness::Compared,
        _ => Firmness::Free,
    };
    if let Expr::Placeholder(_) = expr {
        note(expr, Firmness::Free, known);
        return Ok(());
    }
    expr.apply_children(|child| {
        note(child, firmness, known);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn note(expr: &Expr, firmness: Firmness, known: &mut Known) {
    let Expr::Placeholder(placeholder) = expr else {
        return;
    };
    let Placeholder { id, .. } = placeholder;
    let Some(data_type) = told(placeholder) else {
        return;
    };
    known
        .entry(number(id))
        .and_modify(|known| {
            known.data_type = common(&known.data_type, data_type);
            known.firmness = known.firmness.max(firmness);
        })
        .or_insert_with(|| Parameter {
            data_type: data_type.clone(),
            firmness,
        });
}
