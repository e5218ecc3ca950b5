//! The types of expressions before they are coerced, and the functions whose arguments have others than given.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};

/// Functions that compute in floats.
pub(super) const FLOAT_FUNCTIONS: &[&str] = &[
    "acos",
    "acosh",
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "cos",
    "cosh",
    "cot",
    "degrees",
    "exp",
    "isnan",
    "iszero",
    "ln",
    "log",
    "log10",
    "log2",
    "nanvl",
    "percentile_cont",
    "pow",
    "power",
    "quantile_cont",
    "radians",
    "signum",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "to_timestamp",
    "to_timestamp_seconds",
    "to_timestamp_millis",
];

/// Functions that give one of their arguments, or compare them.
pub(super) const UNITING_FUNCTIONS: &[&str] =
    &["coalesce", "greatest", "least", "make_array", "nullif", "array"];

/// The type of an expression. That of CASE is the one that its results become, where DataFusion says the type of
/// the first until they are coerced.
pub(super) fn kind_of(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    match expr {
        Expr::Alias(alias) => kind_of(&alias.expr, schema),
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            let kinds: Option<Vec<_>> = results
                .chain(case.else_expr.as_deref())
                .map(|result| kind_of(result, schema))
                .collect();
            let mut kinds = kinds?;
            kinds.retain(|kind| *kind != DataType::Null);
            let numbers = kinds.iter().all(DataType::is_numeric);
            let first = kinds.first()?.clone();
            if !numbers || kinds.iter().all(|kind| *kind == first) {
                return expr.get_type(schema).ok();
            }
            kinds
                .into_iter()
                .try_fold(first, |all, kind| common_type(&all, &kind))
        }
        other => other.get_type(schema).ok(),
    }
}

/// The type that values of two types become.
pub(crate) fn common_type(a: &DataType, b: &DataType) -> Option<DataType> {
    match a.is_floating() != b.is_floating() && (a.is_decimal() || b.is_decimal()) {
        true => Some(DataType::Float64),
        false => type_union_resolution(&[a.clone(), b.clone()]),
    }
}

/// Gives NULLs of no type that of a DOUBLE. DataFusion has no average of no type.
pub(super) fn typed_nulls(args: &mut [Expr], schema: &DFSchema) -> bool {
    let mut changed = false;
    for arg in args {
        if kind_of(arg, schema).is_some_and(|kind| kind.is_null()) {
            *arg = cast(std::mem::take(arg), DataType::Float64);
            changed = true;
        }
    }
    changed
}
