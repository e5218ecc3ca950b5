//! A logical plan as text: its nodes and expressions without names that only people need.

use std::fmt::Write as _;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, NullEquality};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, TableScan};
use datafusion::scalar::ScalarValue;
use watershed_sql::dialect::with_room;
use watershed_storage::guard::Guard;
use watershed_storage::scalar::nested_key;
use watershed_storage::table::Pin;

use super::fingerprint::Bypass;

/// Why a plan has no text.
pub(super) enum Stop {
    Bypass(Bypass),
    Failed(DataFusionError),
}

impl From<DataFusionError> for Stop {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(error)
    }
}

pub(super) type Step = std::result::Result<(), Stop>;

#[derive(Default)]
pub(super) struct Encoder {
    pub(super) text: String,
    /// The tables it reads, each once.
    pub(super) pins: Vec<Pin>,
}

/// Writing to a String does not fail.
pub(super) fn write_to(text: &mut String, what: std::fmt::Arguments<'_>) {
    if text.write_fmt(what).is_err() {
        debug_assert!(false, "a String takes everything");
    }
}

impl Encoder {
    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        write_to(&mut self.text, what);
    }

    pub(super) fn node(&mut self, plan: &LogicalPlan) -> Step {
        with_room(|| self.node_within(plan))
    }

    fn node_within(&mut self, plan: &LogicalPlan) -> Step {
        match plan {
            // A name, and nothing else.
            LogicalPlan::SubqueryAlias(alias) => return self.node(&alias.input),
            LogicalPlan::Projection(projection) => {
                let schema = projection.input.schema();
                let kept = projection.expr.iter().enumerate();
                let as_it_is = projection.expr.len() == schema.fields().len()
                    && kept
                        .into_iter()
                        .all(|(place, expr)| is_column(expr, schema, place));
                if as_it_is {
                    return self.node(&projection.input);
                }
                self.put(format_args!("(project"));
                self.expressions(&projection.expr, schema)?;
            }
            LogicalPlan::Filter(filter) => {
                self.put(format_args!("(filter"));
                self.expression(&filter.predicate, filter.input.schema())?;
            }
            LogicalPlan::Window(window) => {
                self.put(format_args!("(window"));
                self.expressions(&window.window_expr, window.input.schema())?;
            }
            LogicalPlan::Aggregate(aggregate) => {
                self.put(format_args!("(aggregate by"));
                self.expressions(&aggregate.group_expr, aggregate.input.schema())?;
                self.put(format_args!(" of"));
                self.expressions(&aggregate.aggr_expr, aggregate.input.schema())?;
            }
            LogicalPlan::Sort(sort) => {
                self.put(format_args!("(sort first {:?}", sort.fetch));
                for key in &sort.expr {
                    self.put(format_args!(" {} {}", key.asc, key.nulls_first));
                    self.expression(&key.expr, sort.input.schema())?;
                }
            }
            LogicalPlan::Join(join) => self.join(join)?,
            LogicalPlan::Union(_) => self.put(format_args!("(union")),
            LogicalPlan::TableScan(scan) => self.scan(scan)?,
            LogicalPlan::EmptyRelation(empty) => {
                self.put(format_args!("(empty {}", empty.produce_one_row));
            }
            LogicalPlan::Limit(limit) => {
                self.put(format_args!("(limit"));
                let nothing = DFSchema::empty();
                for expr in [&limit.skip, &limit.fetch] {
                    match expr {
                        Some(expr) => self.expression(expr, &nothing)?,
                        None => self.put(format_args!(" none")),
                    }
                }
            }
            LogicalPlan::Values(values) => {
                self.put(format_args!("(values"));
                let nothing = DFSchema::empty();
                for row in &values.values {
                    self.put(format_args!(" row"));
                    self.expressions(row, &nothing)?;
                }
                for field in values.schema.fields() {
                    self.put(format_args!(" {:?}", field.data_type()));
                }
            }
            LogicalPlan::Distinct(Distinct::All(_)) => self.put(format_args!("(distinct")),
            LogicalPlan::Distinct(Distinct::On(on)) => {
                self.put(format_args!("(distinct on"));
                self.expressions(&on.on_expr, on.input.schema())?;
                self.put(format_args!(" of"));
                self.expressions(&on.select_expr, on.input.schema())?;
                for key in on.sort_expr.iter().flatten() {
                    self.put(format_args!(" {} {}", key.asc, key.nulls_first));
                    self.expression(&key.expr, on.input.schema())?;
                }
            }
            plan if Guard::is(plan) => self.put(format_args!("(guard")),
            LogicalPlan::Unnest(unnest) => {
                // By places already; the options name columns where depths are asked for.
                self.put(format_args!(
                    "(unnest {:?} {:?} {:?} {:?}",
                    unnest.list_type_columns,
                    unnest.struct_type_columns,
                    unnest.dependency_indices,
                    unnest.options
                ));
            }
            other => {
                let what = other.display().to_string();
                let what = what.split([':', ' ']).next().unwrap_or_default();
                return Err(Stop::Bypass(format!("its plan has a {what}")));
            }
        }
        for input in plan.inputs() {
            self.put(format_args!("\n"));
            self.node(input)?;
        }
        self.put(format_args!(")"));
        Ok(())
    }

    fn join(&mut self, join: &Join) -> Step {
        let nulls = join.null_equality == NullEquality::NullEqualsNull;
        self.put(format_args!(
            "(join {:?} {nulls} {}",
            join.join_type, join.null_aware
        ));
        for (left, right) in &join.on {
            self.put(format_args!(" on"));
            self.expression(left, join.left.schema())?;
            self.expression(right, join.right.schema())?;
        }
        if let Some(filter) = &join.filter {
            // The join's own schema lacks a side where only one comes out.
            let both = join.left.schema().join(join.right.schema())?;
            self.put(format_args!(" if"));
            self.expression(filter, &both)?;
        }
        Ok(())
    }

    fn scan(&mut self, scan: &TableScan) -> Step {
        let provider = source_as_provider(&scan.source)?;
        let Some(pin) = Pin::of(provider.as_ref()) else {
            return Err(Stop::Bypass(format!(
                "{} has rows that no version names",
                scan.table_name
            )));
        };
        self.put(format_args!(
            "(scan {:?} {:?} first {:?}",
            pin.identity, scan.projection, scan.fetch
        ));
        if pin.may_change_columns() {
            // An answer over another version of the files is one to the same query only if it has the same columns.
            for field in scan.source.schema().fields() {
                self.put(format_args!(" {:?} {:?}", field.name(), field.data_type()));
            }
        }
        // Filters may name columns that are not read.
        let full = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        self.expressions(&scan.filters, &full)?;
        if !self.pins.contains(&pin) {
            self.pins.push(pin);
        }
        Ok(())
    }

    fn expressions(&mut self, exprs: &[Expr], schema: &DFSchema) -> Step {
        exprs.iter().try_for_each(|expr| self.expression(expr, schema))
    }

    /// Every part of an expression shows in its `Debug` form, and strings in it are quoted, but not those in lists.
    fn expression(&mut self, expr: &Expr, schema: &DFSchema) -> Step {
        let mut stop = None;
        let plain = expr.clone().transform_up(|expr| {
            Ok(match expr {
                Expr::Column(column) => {
                    let place = schema.index_of_column(&column)?;
                    Transformed::yes(Expr::Column(Column::new_unqualified(format!("#{place}"))))
                }
                Expr::Alias(alias) => Transformed::yes(*alias.expr),
                Expr::Literal(value, _) if value.data_type().is_nested() => match nested_key(&value)? {
                    Some(bytes) => Transformed::yes(Expr::Literal(ScalarValue::Binary(Some(bytes)), None)),
                    None => {
                        stop = Some(Stop::Bypass(format!(
                            "values of type {} have no cache key",
                            value.data_type()
                        )));
                        Transformed::no(Expr::Literal(value, None))
                    }
                },
                Expr::ScalarSubquery(subquery) if subquery.outer_ref_columns.is_empty() => {
                    let mut inner = Encoder {
                        text: String::new(),
                        pins: std::mem::take(&mut self.pins),
                    };
                    let encoded = inner.node(&subquery.subquery);
                    self.pins = inner.pins;
                    match encoded {
                        Ok(()) => {
                            let text = format!("subquery {}", inner.text);
                            Transformed::yes(Expr::Literal(ScalarValue::Binary(Some(text.into())), None))
                        }
                        Err(Stop::Failed(error)) => return Err(error),
                        Err(why) => {
                            stop = Some(why);
                            Transformed::no(Expr::ScalarSubquery(subquery))
                        }
                    }
                }
                Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_) => {
                    stop = Some(Stop::Bypass("its plan has a correlated subquery".to_owned()));
                    Transformed::no(expr)
                }
                other => Transformed::no(other),
            })
        })?;
        match stop {
            Some(why) => Err(why),
            None => {
                self.put(format_args!(" {:?}", plain.data));
                Ok(())
            }
        }
    }
}

fn is_column(expr: &Expr, schema: &DFSchema, place: usize) -> bool {
    match expr {
        Expr::Column(column) => schema.index_of_column(column).is_ok_and(|found| found == place),
        Expr::Alias(alias) => is_column(&alias.expr, schema, place),
        _ => false,
    }
}
