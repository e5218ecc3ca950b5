//! Calls whose arguments mean something else to DataFusion's function of the same name.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Value,
};

use crate::dialect::parse_expression;

/// `listagg(x, ',') WITHIN GROUP (ORDER BY y)` is `string_agg(x, ',' ORDER BY y)`.
pub(super) fn order_arguments(name: &str, function: &mut Function) {
    let ordered = ["array_agg", "list", "listagg", "string_agg"].contains(&name);
    if ordered
        && !function.within_group.is_empty()
        && let FunctionArguments::List(list) = &mut function.args
    {
        let order = std::mem::take(&mut function.within_group);
        list.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
}

/// DataFusion's `base64` is without the padding that the standard has.
pub(super) fn padded(function: &mut Function) {
    if let FunctionArguments::List(list) = &mut function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(format)))) = list.args.get_mut(1)
        && let Value::SingleQuotedString(text) = &mut format.value
        && text.eq_ignore_ascii_case("base64")
    {
        "base64pad".clone_into(text);
    }
}

/// In a replacement groups are `\1` and so on, and a dollar is one. DataFusion reads `$1` as a group, too.
pub(super) fn plain_dollars(function: &mut Function) {
    if let FunctionArguments::List(list) = &mut function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(replacement))) = list.args.get_mut(2)
    {
        match replacement {
            Expr::Value(value) => {
                if let Value::SingleQuotedString(text) = &mut value.value {
                    *text = text.replace('$', "$$");
                }
            }
            other => {
                if let Ok(Expr::Function(mut call)) = parse_expression("replace(x, '$', '$$')") {
                    if let FunctionArguments::List(list) = &mut call.args
                        && let Some(first) = list.args.first_mut()
                    {
                        *first = FunctionArg::Unnamed(FunctionArgExpr::Expr(other.clone()));
                    }
                    *other = Expr::Function(call);
                }
            }
        }
    }
}
