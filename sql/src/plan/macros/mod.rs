//! Functions that people know from elsewhere and that are other functions under a name of their own, or
//! expressions over their arguments. They are written out before a query is planned, so that all that is
//! done with the expressions is done with these.

mod arguments;
mod filtered;
mod list;
mod parts;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    Ident, ObjectName, Query, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::syntax::call;
use crate::dialect::{folded, parse_expression, with_room};

/// By name and number of arguments.
static TEMPLATES: LazyLock<HashMap<(&str, usize), Expr>> = LazyLock::new(|| {
    let templates = list::TEMPLATES.iter().filter_map(|(name, arity, template)| {
        // A test reads all of them.
        Some(((*name, *arity), parse_expression(template).ok()?))
    });
    templates.collect()
});

static RENAMED: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| list::RENAMED.into_iter().collect());

/// Arguments that a template repeats have at most so many parts, so that calls within calls do not grow
/// without bound.
const REPEATED_MAX: usize = 200;

/// The names of all functions that are written out.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let renamed = list::RENAMED.iter().map(|(name, _)| *name);
    let templates = list::TEMPLATES.iter().map(|(name, ..)| *name);
    renamed.chain(templates).chain(parts::NAMES)
}

/// Writes out all such functions in a query.
pub(super) fn expand(query: &mut Query) {
    let walked = with_room(|| VisitMut::visit(query, &mut Expand));
    debug_assert!(walked.is_continue(), "the visitor never breaks");
}

struct Expand;

impl VisitorMut for Expand {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(expanded) = expanded(function)
        {
            *expr = expanded;
        }
        if let Expr::Function(function) = expr {
            filtered::shield(function);
        }
        ControlFlow::Continue(())
    }
}

fn expanded(function: &mut Function) -> Option<Expr> {
    let [part] = function.name.0.as_slice() else {
        return None;
    };
    let name = folded(part.as_ident()?);
    if let Some(moved) = within_group(&name, function) {
        return Some(moved);
    }
    if name == "struct_pack" {
        return packed(function);
    }
    if name == "nth_value" {
        return nth_of_ordered(function);
    }
    arguments::order_arguments(&name, function);
    let args = arguments(function)?;
    if let Some(written) = parts::written(&name, function, &args) {
        return Some(written);
    }
    if let Some(extreme) = extreme_over(&name, &args, function) {
        return Some(extreme);
    }
    if let Some(template) = TEMPLATES.get(&(name.as_str(), args.len())) {
        return written(template, args, function);
    }
    if name == "encode" {
        arguments::padded(function);
        return None;
    }
    if name == "regexp_replace" {
        arguments::plain_dollars(function);
        return None;
    }
    if name == "decode" && args.len() > 2 {
        return Some(decoded(args));
    }
    let to = RENAMED.get(name.as_str())?;
    function.name = ObjectName::from(vec![Ident::new(*to)]);
    None
}

/// The arguments, if all of them are plain expressions.
fn arguments(function: &Function) -> Option<Vec<Expr>> {
    match &function.args {
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            })
            .collect(),
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::Subquery(_) => None,
    }
}

/// A template with arguments for its parameters. What stands around the call stands around its outermost
/// function.
fn written(template: &Expr, args: Vec<Expr>, call: &Function) -> Option<Expr> {
    let mut uses = Uses(HashMap::new());
    let walked = template.visit(&mut uses);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    let repeated = |(number, count): (&usize, &usize)| {
        *count > 1
            && number
                .checked_sub(1)
                .and_then(|index| args.get(index))
                .is_some_and(is_large)
    };
    if uses.0.iter().any(repeated) {
        return None;
    }
    let mut written = template.clone();
    let walked = VisitMut::visit(&mut written, &mut Fill(&args));
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    around(call, written)
}

/// `arg_max(x, key) OVER …` and its kin: of the greatest or least pair of a key and a value, the value. Windows have no
/// aggregates of ordered rows.
fn extreme_over(name: &str, args: &[Expr], function: &Function) -> Option<Expr> {
    let [value, key] = args else {
        return None;
    };
    function.over.as_ref()?;
    let template = match name {
        "arg_max" | "argmax" | "max_by" => list::GREATEST_PAIR,
        "arg_min" | "argmin" | "min_by" => list::LEAST_PAIR,
        _ => return None,
    };
    let template = parse_expression(template).ok()?;
    let pair = written(&template, vec![value.clone(), key.clone()], function)?;
    let field = Expr::value(Value::SingleQuotedString("value".to_owned()));
    Some(call("get_field", vec![pair, field]))
}

/// Puts FILTER, OVER and DISTINCT of a call to the function that it became. None if it became none and the
/// call has any.
fn around(call: &Function, mut written: Expr) -> Option<Expr> {
    let (distinct, clauses) = match &call.args {
        FunctionArguments::List(list) => (list.duplicate_treatment, list.clauses.clone()),
        _ => (None, Vec::new()),
    };
    let plain = distinct.is_none()
        && clauses.is_empty()
        && call.filter.is_none()
        && call.over.is_none()
        && call.null_treatment.is_none();
    if plain {
        return Some(written);
    }
    let Expr::Function(function) = &mut written else {
        return None;
    };
    function.filter = match (function.filter.take(), call.filter.clone()) {
        (Some(own), Some(given)) => Some(Box::new(Expr::BinaryOp {
            left: own,
            op: BinaryOperator::And,
            right: Box::new(Expr::Nested(given)),
        })),
        (own, given) => own.or(given),
    };
    function.over.clone_from(&call.over);
    function.null_treatment = call.null_treatment;
    if let FunctionArguments::List(list) = &mut function.args {
        list.duplicate_treatment = distinct;
        for clause in clauses {
            match clause {
                FunctionArgumentClause::Separator(separator) => {
                    let separator = FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(separator)));
                    if let Some(last) = list.args.get_mut(1) {
                        *last = separator;
                    }
                }
                clause => list.clauses.push(clause),
            }
        }
    }
    Some(written)
}

fn is_large(arg: &Expr) -> bool {
    struct Size(usize);
    impl Visitor for Size {
        type Break = ();
        fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
            self.0 += 1;
            if self.0 > REPEATED_MAX {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    arg.visit(&mut Size(0)).is_break()
}

/// How often each parameter of a template is used.
struct Uses(HashMap<usize, usize>);

impl Visitor for Uses {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Some(number) = parameter(expr) {
            *self.0.entry(number).or_default() += 1;
        }
        ControlFlow::Continue(())
    }
}

/// Puts arguments in the places of parameters, and looks no further into them.
struct Fill<'a>(&'a [Expr]);

impl VisitorMut for Fill<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let arg = parameter(expr).and_then(|number| self.0.get(number.checked_sub(1)?));
        if let Some(arg) = arg {
            *expr = Expr::Nested(Box::new(arg.clone()));
        }
        ControlFlow::Continue(())
    }
}

fn parameter(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(id) => id.strip_prefix('$')?.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// `mode() WITHIN GROUP (ORDER BY x)` and `percentile_disc(p) WITHIN GROUP (ORDER BY x)` as plain calls.
fn within_group(name: &str, function: &mut Function) -> Option<Expr> {
    let [order] = function.within_group.as_slice() else {
        return None;
    };
    let to = match (name, order.options.asc == Some(false)) {
        ("mode", false) => "mode",
        ("mode", true) => "__mode_descending",
        ("percentile_disc", false) => "quantile_disc",
        ("percentile_disc", true) => "__quantile_disc_descending",
        _ => return None,
    };
    let column = FunctionArg::Unnamed(FunctionArgExpr::Expr(order.expr.clone()));
    let mut call = function.clone();
    call.within_group.clear();
    call.name = ObjectName::from(vec![Ident::new(to)]);
    let FunctionArguments::List(list) = &mut call.args else {
        return None;
    };
    list.args.insert(0, column);
    Some(Expr::Function(call))
}

/// `nth_value(x, n ORDER BY …)` as an element of `array_agg(x ORDER BY …)`, which sorts itself: two that require rows in
/// different orders are refused by DataFusion.
fn nth_of_ordered(function: &Function) -> Option<Expr> {
    let mut collected = function.clone();
    let FunctionArguments::List(list) = &mut collected.args else {
        return None;
    };
    let ordered = |clause: &FunctionArgumentClause| matches!(clause, FunctionArgumentClause::OrderBy(_));
    let plain = function.over.is_none() && function.null_treatment.is_none();
    if !plain || list.args.len() != 2 || !list.clauses.iter().any(ordered) {
        return None;
    }
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(number))) = list.args.pop() else {
        return None;
    };
    collected.name = ObjectName::from(vec![Ident::new("array_agg")]);
    Some(call("array_element", vec![Expr::Function(collected), number]))
}

/// `decode(value, a, x, b, y, …, otherwise)`.
fn decoded(args: Vec<Expr>) -> Expr {
    let mut args = args.into_iter();
    let value = args.next().unwrap_or(Expr::Value(Value::Null.into()));
    let rest: Vec<Expr> = args.collect();
    let (pairs, otherwise) = rest.as_chunks::<2>();
    let conditions = pairs.iter().map(|[key, result]| sqlparser::ast::CaseWhen {
        condition: Expr::IsNotDistinctFrom(
            Box::new(Expr::Nested(Box::new(value.clone()))),
            Box::new(Expr::Nested(Box::new(key.clone()))),
        ),
        result: result.clone(),
    });
    Expr::Case {
        case_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        end_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: conditions.collect(),
        else_result: otherwise.first().cloned().map(Box::new),
    }
}

/// `struct_pack(a := 1)` as `named_struct('a', 1)`.
fn packed(function: &mut Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &mut function.args else {
        return None;
    };
    let mut args = Vec::with_capacity(list.args.len() * 2);
    for arg in &list.args {
        let FunctionArg::Named { name, arg, .. } = arg else {
            return None;
        };
        let name = Expr::Value(Value::SingleQuotedString(folded(name)).into());
        args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(name)));
        args.push(FunctionArg::Unnamed(arg.clone()));
    }
    list.args = args;
    function.name = ObjectName::from(vec![Ident::new("named_struct")]);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::parse_query;

    fn check(sql: &str, expected: &str) {
        let mut query = parse_query(sql).unwrap();
        expand(&mut query);
        assert_eq!(query.to_string(), expected);
    }

    #[test]
    fn all_templates_are_read() {
        assert_eq!(TEMPLATES.len(), list::TEMPLATES.len());
    }

    #[test]
    fn functions_are_written_out() {
        check(
            "SELECT ceiling(x), \"Ceiling\"(x)",
            "SELECT ceil(x), \"Ceiling\"(x)",
        );
        check(
            "SELECT iff(a, mod(b, 2), $1)",
            "SELECT CASE WHEN (a) THEN (((b) % (2))) ELSE ($1) END",
        );
        check(
            "SELECT count_if(a) FILTER (WHERE b) OVER (PARTITION BY c)",
            "SELECT count(CASE WHEN (a) THEN 1 END) FILTER (WHERE b) OVER (PARTITION BY c)",
        );
        check(
            "SELECT max_by(a, b) FILTER (WHERE c OR d)",
            "SELECT first_value((a) ORDER BY (b) DESC NULLS LAST) \
             FILTER (WHERE (a) IS NOT NULL AND (b) IS NOT NULL AND (c OR d))",
        );
        check("SELECT mode() WITHIN GROUP (ORDER BY x)", "SELECT mode(x)");
        check(
            "SELECT percentile_disc(0.9) WITHIN GROUP (ORDER BY x DESC)",
            "SELECT __quantile_disc_descending(x, 0.9)",
        );
        check(
            "SELECT nth_value(a, 2 ORDER BY b), nth_value(a, 2) OVER (ORDER BY b)",
            "SELECT array_element(array_agg(a ORDER BY b), 2), nth_value(a, 2) OVER (ORDER BY b)",
        );
        check("SELECT struct_pack(a := 1)", "SELECT named_struct('a', 1)");
    }

    #[test]
    fn arguments_that_are_repeated_do_not_grow_without_bound() {
        let nested = (0..400).fold("x".to_owned(), |inner, _| format!("regexp_extract({inner}, 'a')"));
        let mut query = parse_query(&format!("SELECT {nested}")).unwrap();
        expand(&mut query);
        assert!(query.to_string().len() < 1 << 20);
    }
}
