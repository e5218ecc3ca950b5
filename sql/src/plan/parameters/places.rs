//! Where parameters stand in a query's text, and queries that are written with other parameters.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::scalar::ScalarValue;
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Query, Select, SelectItem,
    TableFactor, UnaryOperator, Value, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut, WindowFrameBound,
    WindowType,
};
use sqlparser::tokenizer::Span;

use super::number;
use crate::dialect::with_room;

/// The largest number of a parameter; zero without any.
pub(super) fn last(query: &Query) -> usize {
    struct Last(usize);
    impl Visitor for Last {
        type Break = ();
        fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
            if let Value::Placeholder(id) = &value.value {
                self.0 = self.0.max(number(id));
            }
            ControlFlow::Continue(())
        }
    }
    let mut last = Last(0);
    let walked = with_room(|| query.visit(&mut last));
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    last.0
}

fn placeholder(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(id) => Some(id),
            _ => None,
        },
        _ => None,
    }
}

fn name(expr: &mut Expr, number: usize) {
    if let Expr::Value(value) = expr {
        value.value = Value::Placeholder(format!("${number}"));
    }
}

/// The query with one number for all parameters whose values are the same. None if all differ.
pub(super) fn merge_equal(query: &Query, values: &[ScalarValue]) -> Option<Query> {
    let mut firsts: HashMap<&ScalarValue, usize> = HashMap::new();
    let mut numbers = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        numbers.push(*firsts.entry(value).or_insert(index + 1));
    }
    if firsts.len() == values.len() {
        return None;
    }
    Some(renumbered(query, |number| {
        number
            .checked_sub(1)
            .and_then(|index| numbers.get(index))
            .copied()
    }))
}

/// The query with one number for parameters that stand at the same place in a grouping expression and in an expression
/// of a column of the result or of HAVING: without values, they are taken to be the same. None if there are none.
pub(super) fn merge_grouped(query: &Query) -> Option<Query> {
    struct Grouped(HashMap<usize, usize>);
    impl Visitor for Grouped {
        type Break = ();
        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
            let GroupByExpr::Expressions(grouped, _) = &select.group_by else {
                return ControlFlow::Continue(());
            };
            let mut alike = Alike {
                keys: Vec::new(),
                numbers: &mut self.0,
            };
            for key in grouped.iter().flat_map(keys) {
                let (wanted, numbers) = shape(key);
                if !numbers.is_empty() && !alike.merge(&wanted, &numbers) {
                    alike.keys.push((wanted, numbers));
                }
            }
            if alike.keys.is_empty() {
                return ControlFlow::Continue(());
            }
            for item in &select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                    expr.visit(&mut alike)?;
                }
            }
            select.having.visit(&mut alike)
        }
    }
    let mut grouped = Grouped(HashMap::new());
    let walked = with_room(|| query.visit(&mut grouped));
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    let numbers = grouped.0;
    if numbers.is_empty() {
        return None;
    }
    // All get the least number of those that are one.
    let mut least: HashMap<usize, usize> = HashMap::new();
    for (from, to) in &numbers {
        let number = least.entry(*to).or_insert(*to);
        *number = (*number).min(*from);
    }
    Some(renumbered(query, |number| {
        let one = numbers.get(&number).copied().unwrap_or(number);
        least.get(&one).copied()
    }))
}

/// Finds the expressions that are grouping expressions but for the numbers of their parameters.
struct Alike<'n> {
    keys: Vec<(Expr, Vec<usize>)>,
    /// The numbers of parameters by those that they become.
    numbers: &'n mut HashMap<usize, usize>,
}

impl Alike<'_> {
    fn merge(&mut self, wanted: &Expr, numbers: &[usize]) -> bool {
        let same = self.keys.iter().find(|(key, _)| key == wanted);
        if let Some((_, firsts)) = same {
            self.numbers
                .extend(numbers.iter().copied().zip(firsts.iter().copied()));
        }
        same.is_some()
    }
}

impl Visitor for Alike<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let (wanted, numbers) = shape(expr);
        if !numbers.is_empty() {
            self.merge(&wanted, &numbers);
        }
        ControlFlow::Continue(())
    }
}

/// The expressions of a part of GROUP BY: all those of grouping sets, or the part itself.
fn keys(grouped: &Expr) -> Vec<&Expr> {
    match grouped {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => sets.iter().flatten().collect(),
        other => vec![other],
    }
}

/// An expression with its parameters nameless and without brackets, and the numbers of the parameters in order.
fn shape(expr: &Expr) -> (Expr, Vec<usize>) {
    struct Shape(Vec<usize>);
    impl VisitorMut for Shape {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Some(id) = placeholder(expr) {
                self.0.push(number(id));
                name(expr, 0);
            }
            if let Expr::Value(value) = expr {
                value.span = Span::empty();
            }
            ControlFlow::Continue(())
        }

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            while let Expr::Nested(inner) = expr {
                let inner = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
                *expr = inner;
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = expr.clone();
    let mut shape = Shape(Vec::new());
    let walked = VisitMut::visit(&mut expr, &mut shape);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    (expr, shape.0)
}

fn renumbered(query: &Query, of: impl Fn(usize) -> Option<usize>) -> Query {
    struct Renumber<F>(F);
    impl<F: Fn(usize) -> Option<usize>> VisitorMut for Renumber<F> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let renumbered = placeholder(expr).and_then(|id| (self.0)(number(id)));
            if let Some(renumbered) = renumbered {
                name(expr, renumbered);
            }
            ControlFlow::Continue(())
        }
    }
    let mut query = query.clone();
    let walked = with_room(|| VisitMut::visit(&mut query, &mut Renumber(of)));
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    query
}

/// The query with literals for parameters that are arguments of functions, some of which take nothing but
/// constants. None if no literal is written.
pub(super) fn write_arguments(query: &Query, values: &[Option<ScalarValue>]) -> Option<Query> {
    struct Write<'v> {
        values: &'v [Option<ScalarValue>],
        written: bool,
    }
    impl Write<'_> {
        fn arg(&mut self, arg: &mut FunctionArg) {
            let (FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
            | FunctionArg::Named {
                arg: FunctionArgExpr::Expr(expr),
                ..
            }) = arg
            else {
                return;
            };
            self.expr(expr);
        }

        fn expr(&mut self, expr: &mut Expr) {
            let value = placeholder(expr)
                .and_then(|id| number(id).checked_sub(1))
                .and_then(|index| self.values.get(index))
                .and_then(Option::as_ref);
            if let Some(literal) = value.and_then(literal) {
                *expr = literal;
                self.written = true;
            }
        }
    }
    impl VisitorMut for Write<'_> {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let Expr::Function(function) = expr else {
                return ControlFlow::Continue(());
            };
            if let FunctionArguments::List(list) = &mut function.args {
                for arg in &mut list.args {
                    self.arg(arg);
                }
            }
            if let Some(WindowType::WindowSpec(spec)) = &mut function.over
                && let Some(frame) = &mut spec.window_frame
            {
                for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
                    if let WindowFrameBound::Preceding(Some(distance))
                    | WindowFrameBound::Following(Some(distance)) = bound
                    {
                        self.expr(distance);
                    }
                }
            }
            ControlFlow::Continue(())
        }
        fn post_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
            match table {
                TableFactor::Table { args: Some(args), .. } => {
                    for arg in &mut args.args {
                        self.arg(arg);
                    }
                }
                TableFactor::Function { args, .. } => {
                    for arg in args {
                        self.arg(arg);
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    if values.iter().all(Option::is_none) {
        return None;
    }
    let mut query = query.clone();
    let mut write = Write {
        values,
        written: false,
    };
    let walked = with_room(|| VisitMut::visit(&mut query, &mut write));
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    write.written.then_some(query)
}

/// A literal that is read as exactly this value; for the types that constants have.
fn literal(value: &ScalarValue) -> Option<Expr> {
    let (value, negative) = match value {
        // The smallest number is not the negative of any.
        ScalarValue::Int64(Some(number)) if *number > i64::MIN => (
            Value::Number(number.unsigned_abs().to_string(), false),
            number.is_negative(),
        ),
        ScalarValue::Utf8(Some(text)) => (Value::SingleQuotedString(text.clone()), false),
        ScalarValue::Boolean(Some(truth)) => (Value::Boolean(*truth), false),
        _ => return None,
    };
    let literal = Expr::value(value);
    Some(if negative {
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(literal),
        }
    } else {
        literal
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::parse_query;

    #[test]
    fn parameters_of_one_value_are_one() {
        let query = parse_query("SELECT x / ? FROM t GROUP BY x / ?").unwrap();
        let ten = || ScalarValue::from(10_i64);
        let merged = merge_equal(&query, &[ten(), ten()]).unwrap();
        assert_eq!(merged.to_string(), "SELECT x / $1 FROM t GROUP BY x / $1");
        assert_eq!(merge_equal(&query, &[ten(), ScalarValue::from(2_i64)]), None);
        assert_eq!(last(&query), 2);
    }

    #[test]
    fn a_grouping_expression_is_that_of_the_result() {
        let query =
            parse_query("SELECT y = ?, round(x / ?, ?) FROM t GROUP BY round(x / ?, ?), y = 1").unwrap();
        assert_eq!(
            merge_grouped(&query).unwrap().to_string(),
            "SELECT y = $1, round(x / $2, $3) FROM t GROUP BY round(x / $2, $3), y = 1"
        );
    }

    #[test]
    fn arguments_are_written_as_literals() {
        let query = parse_query("SELECT f(?, x + ?, ?) FROM generate_series(?, 9)").unwrap();
        let values = [
            Some(ScalarValue::from("it's")),
            Some(ScalarValue::from(1_i64)),
            Some(ScalarValue::from(1.5)),
            Some(ScalarValue::from(-3_i64)),
        ];
        assert_eq!(
            write_arguments(&query, &values).unwrap().to_string(),
            "SELECT f('it''s', x + $2, $3) FROM generate_series(-3, 9)"
        );
    }
}
