//! Parameters: `$1` to `$n`, their types inferred, their values put in their places.
//!
//! A parameter has the type that its place gives it, see [`infer`]. Where the place gives none, the
//! parameter is what a literal of the bound value would be there, and before a value is bound its type is
//! one that the statement can be planned with.

mod bind;
mod constant;
mod infer;
mod places;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::scalar::ScalarValue;
use datafusion::sql::planner::PlannerContext;
use parking_lot::Mutex;
use sqlparser::ast::Query;
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::error::from_datafusion;

use super::types::timestamp;
use super::{PlanContext, query};

use bind::give;
pub(super) use bind::{replace, values};
pub use constant::constants;

/// How firmly its places give a parameter its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Firmness {
    /// The type is a proposal; a bound value keeps its own.
    #[default]
    Free,
    /// The parameter is compared with something of that type. A number that the type does not hold keeps
    /// its own.
    Compared,
    /// A value is converted to the type, or refused.
    Fixed,
}

/// A parameter as a statement declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub data_type: DataType,
    pub firmness: Firmness,
}

/// The parameters of a statement while it is planned: the values that are bound, where they are known, and
/// what planning finds.
#[derive(Debug, Default)]
pub struct Parameters {
    values: Option<Vec<ScalarValue>>,
    found: Mutex<Vec<Parameter>>,
}

impl Parameters {
    pub fn bound(values: &[ScalarValue]) -> Self {
        Self {
            values: Some(values.to_vec()),
            found: Mutex::default(),
        }
    }

    /// One for each of `$1` to `$n`, after the statement was planned.
    pub fn found(&self) -> Vec<Parameter> {
        self.found.lock().clone()
    }

    pub fn values(&self) -> Option<&[ScalarValue]> {
        self.values.as_deref()
    }

    fn check_count(&self, expected: usize) -> Result<()> {
        match &self.values {
            Some(values) if values.len() != expected => Err(Error::new(
                SqlState::UndefinedParameter,
                format!(
                    "the statement has {expected} parameters, but {} values were given",
                    values.len()
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// Each parameter's number and what its places say about its type.
type Known = BTreeMap<usize, Parameter>;

fn number(id: &str) -> usize {
    // The dialect lets nothing else through.
    id.trim_start_matches('$').parse().unwrap_or_default()
}

pub(super) fn any(source: &Query) -> bool {
    places::last(source) > 0
}

/// Plans a statement's query with types for its parameters. `make` plans the query as far as it can be
/// planned before it is typed; `assigned` are the types of parameters that go into columns of a table.
pub(super) fn plan(
    source: &Query,
    assigned: &[Option<FieldRef>],
    context: &PlanContext<'_>,
    make: impl Fn(&Query, &mut PlannerContext) -> Result<LogicalPlan>,
) -> Result<LogicalPlan> {
    let last = places::last(source);
    if last == 0 {
        return query::typed(make(source, &mut PlannerContext::new())?, context);
    }
    context.parameters.check_count(last)?;
    let planner = Planner {
        source,
        last,
        context,
        make: &make,
    };
    let (plan, found) = planner.plan(assigned)?;
    *context.parameters.found.lock() = found;
    Ok(plan)
}

struct Planner<'a, F> {
    source: &'a Query,
    last: usize,
    context: &'a PlanContext<'a>,
    make: &'a F,
}

impl<F: Fn(&Query, &mut PlannerContext) -> Result<LogicalPlan>> Planner<'_, F> {
    fn plan(&self, assigned: &[Option<FieldRef>]) -> Result<(LogicalPlan, Vec<Parameter>)> {
        let values = self.context.parameters.values();
        let mut first = self.first(self.source, assigned);
        // `SELECT x / ? … GROUP BY x / ?` is right if the two values are one.
        let merged = match (&first, values) {
            (Ok(_), _) => None,
            (Err(_), Some(values)) => places::merge_equal(self.source, values),
            (Err(_), None) => places::merge_grouped(self.source),
        };
        // What is wrong beside that is the error: the two being different is none then.
        if let Some(merged) = &merged {
            first = self.first(merged, assigned);
        }
        let source = merged.as_ref().unwrap_or(self.source);
        let mut known = assigned_types(assigned);
        let (first, mut failed) = match first {
            Ok(plan) => {
                infer::known(&plan, &mut known)?;
                (Some(plan), None)
            }
            Err(error) => (None, Some(error)),
        };
        let mut types: Vec<Option<DataType>> = (1..=self.last)
            .map(|number| {
                let value = values.and_then(|values| values.get(number - 1));
                chosen(known.get(&number), value)
            })
            .collect();
        if let Some(plan) = first
            && as_inferred(&types, &known)
        {
            match give(plan, &types).and_then(|plan| query::typed(plan, self.context)) {
                Ok(plan) => return Ok((plan, declared(&known, &types))),
                Err(error) => failed = Some(error),
            }
            // What is added to a time is no time, though the other operand is one.
            known.retain(|_, parameter| parameter.firmness > Firmness::Free);
            if values.is_none() {
                types = (1..=self.last)
                    .map(|number| chosen(known.get(&number), None))
                    .collect();
            }
        }
        self.attempts(source, &types, &known, failed)
    }

    /// The plan with parameters of the types that the query's own text gives at once.
    fn first(&self, source: &Query, assigned: &[Option<FieldRef>]) -> Result<LogicalPlan> {
        let mut planner = PlannerContext::new().with_prepare_param_data_types(assigned.to_vec());
        infer::inferred((self.make)(source, &mut planner)?)
    }

    /// Plans with one type after the other for the parameters that have none yet.
    fn attempts(
        &self,
        source: &Query,
        types: &[Option<DataType>],
        known: &Known,
        failed: Option<Error>,
    ) -> Result<(LogicalPlan, Vec<Parameter>)> {
        let mut error = failed;
        let values = self.context.parameters.values();
        for (guess, example) in guesses(values.is_none()) {
            let tried: Vec<Option<DataType>> = types
                .iter()
                .map(|data_type| data_type.clone().or_else(|| Some(guess.clone())))
                .collect();
            let literals: Vec<Option<ScalarValue>> = tried
                .iter()
                .enumerate()
                .map(|(index, data_type)| match values {
                    Some(values) => values
                        .get(index)
                        .filter(|value| Some(value.data_type()) == *data_type)
                        .cloned(),
                    None => example
                        .as_ref()
                        .filter(|_| types.get(index).is_some_and(Option::is_none))
                        .cloned(),
                })
                .collect();
            let written = places::write_arguments(source, &literals);
            let fields = tried.iter().enumerate().map(|(index, data_type)| {
                let name = format!("${}", index + 1);
                data_type
                    .as_ref()
                    .map(|data_type| Arc::new(Field::new(name, data_type.clone(), true)))
            });
            let mut planner = PlannerContext::new().with_prepare_param_data_types(fields.collect());
            let planned = (self.make)(written.as_ref().unwrap_or(source), &mut planner)
                .and_then(infer::inferred)
                .and_then(|plan| give(plan, &tried))
                .and_then(|plan| query::typed(plan, self.context));
            match planned {
                Ok(plan) => return Ok((plan, declared(known, &tried))),
                Err(found) => {
                    error.get_or_insert(found);
                }
            }
            if types.iter().all(Option::is_some) {
                break;
            }
        }
        Err(error.unwrap_or_else(|| Error::internal("a statement with parameters was not planned")))
    }
}

/// The types to try for parameters without one. Where no value is bound, example values are written last, in
/// the places that take constants only.
fn guesses(examples: bool) -> Vec<(DataType, Option<ScalarValue>)> {
    let types = [
        DataType::Utf8,
        DataType::Float64,
        DataType::Int64,
        DataType::Boolean,
        DataType::Interval(IntervalUnit::MonthDayNano),
    ];
    let typed = types.into_iter().map(|guess| (guess, None));
    let examples = examples.then(|| [ScalarValue::from("day"), ScalarValue::from(1_i64)]);
    let written = examples
        .into_iter()
        .flatten()
        .map(|example| (example.data_type(), Some(example)));
    typed.chain(written).collect()
}

fn assigned_types(assigned: &[Option<FieldRef>]) -> Known {
    let fixed = assigned.iter().enumerate().filter_map(|(index, field)| {
        let parameter = Parameter {
            data_type: field.as_ref()?.data_type().clone(),
            firmness: Firmness::Fixed,
        };
        Some((index + 1, parameter))
    });
    fixed.collect()
}

/// The type of a parameter whose place and value are known, or one of both. A NULL without a type says
/// nothing.
fn chosen(known: Option<&Parameter>, value: Option<&ScalarValue>) -> Option<DataType> {
    let given = value
        .map(ScalarValue::data_type)
        .filter(|data_type| *data_type != DataType::Null);
    match (known, given) {
        (None, given) => given,
        (Some(known), None) => Some(known.data_type.clone()),
        (Some(known), Some(given)) => Some(match known.firmness {
            // The time of day counts.
            Firmness::Compared if is_date(&known.data_type) && matches!(given, DataType::Timestamp(_, _)) => {
                timestamp()
            }
            Firmness::Compared if !(given.is_numeric() && known.data_type.is_numeric()) => {
                known.data_type.clone()
            }
            // A date becomes an instant in the session's zone when it is bound.
            Firmness::Free if given.is_string() || is_time(&given) && is_time(&known.data_type) => {
                known.data_type.clone()
            }
            Firmness::Fixed => known.data_type.clone(),
            Firmness::Compared | Firmness::Free => given,
        }),
    }
}

fn is_date(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64)
}

fn is_time(data_type: &DataType) -> bool {
    is_date(data_type) || matches!(data_type, DataType::Timestamp(_, _))
}

fn as_inferred(types: &[Option<DataType>], known: &Known) -> bool {
    types.iter().enumerate().all(|(index, data_type)| {
        known
            .get(&(index + 1))
            .is_some_and(|known| Some(&known.data_type) == data_type.as_ref())
    })
}

fn declared(known: &Known, types: &[Option<DataType>]) -> Vec<Parameter> {
    types
        .iter()
        .enumerate()
        .map(|(index, data_type)| Parameter {
            data_type: data_type.clone().unwrap_or(DataType::Utf8),
            firmness: known
                .get(&(index + 1))
                .map_or(Firmness::Free, |known| known.firmness),
        })
        .collect()
}

/// Every placeholder of a plan.
fn each(plan: &LogicalPlan, mut visit: impl FnMut(&Placeholder)) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(placeholder) = expr {
                    visit(placeholder);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map_err(from_datafusion)?;
    Ok(())
}

fn told(placeholder: &Placeholder) -> Option<&DataType> {
    placeholder
        .field
        .as_ref()
        .map(|field| field.data_type())
        .filter(|data_type| **data_type != DataType::Null)
}

/// One type for two places of a parameter.
fn common(a: &DataType, b: &DataType) -> DataType {
    if a == b {
        return a.clone();
    }
    comparison_coercion(a, b).unwrap_or_else(|| a.clone())
}

/// The types of `$1` to the last, in order.
pub(super) fn types(plan: &LogicalPlan) -> Result<Vec<Option<DataType>>> {
    let mut types: Vec<Option<DataType>> = Vec::new();
    each(plan, |placeholder| {
        let number = number(&placeholder.id);
        if types.len() < number {
            types.resize(number, None);
        }
        if let Some(slot) = number.checked_sub(1).and_then(|index| types.get_mut(index))
            && let Some(told) = told(placeholder)
        {
            *slot = Some(
                slot.as_ref()
                    .map_or_else(|| told.clone(), |known| common(known, told)),
            );
        }
    })?;
    Ok(types)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn a_value_keeps_its_type_where_the_place_lets_it() {
        use DataType::{Float64, Int32, Int64, Timestamp, Utf8};
        fn check(
            known: Option<(DataType, Firmness)>,
            value: Option<ScalarValue>,
            expected: Option<DataType>,
        ) {
            let known = known.map(|(data_type, firmness)| Parameter { data_type, firmness });
            assert_eq!(
                chosen(known.as_ref(), value.as_ref()),
                expected,
                "{known:?}, {value:?}"
            );
        }
        let (number, float, text) = (
            Some(ScalarValue::from(7_i64)),
            Some(ScalarValue::from(0.5)),
            Some(ScalarValue::from("7")),
        );
        let instant = Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        check(None, number.clone(), Some(Int64));
        check(None, Some(ScalarValue::Null), None);
        check(Some((Int32, Firmness::Fixed)), float.clone(), Some(Int32));
        check(Some((Int32, Firmness::Compared)), float.clone(), Some(Float64));
        check(Some((Int32, Firmness::Compared)), text.clone(), Some(Int32));
        check(
            Some((instant.clone(), Firmness::Compared)),
            text.clone(),
            Some(instant),
        );
        let noon = Some(ScalarValue::TimestampMicrosecond(Some(43_200_000_000), None));
        check(
            Some((DataType::Date32, Firmness::Compared)),
            noon,
            Some(timestamp()),
        );
        check(Some((Int32, Firmness::Free)), float, Some(Float64));
        check(Some((Float64, Firmness::Free)), text.clone(), Some(Float64));
        check(Some((Utf8, Firmness::Free)), number, Some(Int64));
        check(None, text, Some(Utf8));
    }
}
