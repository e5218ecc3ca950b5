//! What makes two queries the same: their optimized plans without names that only people need, and the
//! pinned version of every table.
//!
//! The plan is written out as text and hashed. Columns are written as places in their input and aliases
//! not at all, so that neither the case nor the aliases of the SQL text matter. What has no place in that
//! text makes a query that is not cached, never one that is mistaken for another.

use std::fmt::Write as _;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, NullEquality};
use datafusion::datasource::source_as_provider;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, TableScan, Volatility};
use datafusion::scalar::ScalarValue;
use watershed_core::Result;
use watershed_core::settings::Settings;
use watershed_sql::dialect::with_room;
use watershed_storage::error::from_datafusion;
use watershed_storage::table::Pin;

/// The encoding below, and what else an entry's meaning hangs on.
const VERSION: &str = concat!("1/", env!("CARGO_PKG_VERSION"));

/// Names one query over one version of every table it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    fn of(text: &str) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(digest.as_ref());
        Self(key)
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut key = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (place, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self(key))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is known of a query before it runs.
#[derive(Debug, Clone)]
pub struct Fingerprint {
    pub key: Key,
    /// Of the plan alone, whatever versions its tables have.
    pub plan: Key,
    /// The tables it reads, each once.
    pub pins: Vec<Pin>,
    /// Whether it asks a clock, so that the same text may be another query later.
    pub clocked: bool,
    /// Whether it hangs on an instant that does not come again.
    pub momentary: bool,
}

/// Why a query has no fingerprint, as words for people.
pub type Bypass = String;

/// The fingerprint of a query that is bound and allowed.
pub fn of(
    plan: &LogicalPlan,
    state: &SessionState,
    settings: &Settings,
) -> Result<std::result::Result<Fingerprint, Bypass>> {
    let functions = functions(plan).map_err(from_datafusion)?;
    if let Some(name) = functions.volatile {
        return Ok(Err(format!("{name}() gives another value every time")));
    }
    let first = match encode(plan, state, settings)? {
        Ok(encoded) => encoded,
        Err(why) => return Ok(Err(why)),
    };
    // Clocks are folded by now. If a microsecond more makes another plan, this one is never asked again;
    // date_trunc('hour', now()) folds to the same for an hour.
    let momentary = match (
        functions.stable,
        &state.execution_props().query_execution_start_time,
    ) {
        (true, Some(now)) => {
            let later = now
                .checked_add_signed(chrono::TimeDelta::microseconds(1))
                .unwrap_or(*now);
            let props = state
                .execution_props()
                .clone()
                .with_query_execution_start_time(later);
            let state = SessionStateBuilder::new_from_existing(state.clone())
                .with_execution_props(props)
                .build();
            encode(plan, &state, settings)?.map_or(true, |second| second.text != first.text)
        }
        (true, None) => true,
        (false, _) => false,
    };
    let mut text = first.text;
    let plan = Key::of(&text);
    for pin in &first.pins {
        write_to(&mut text, format_args!("\n{:?}@{:?}", pin.identity, pin.version));
    }
    Ok(Ok(Fingerprint {
        key: Key::of(&text),
        plan,
        pins: first.pins,
        clocked: functions.stable,
        momentary,
    }))
}

struct Encoded {
    text: String,
    pins: Vec<Pin>,
}

fn encode(
    plan: &LogicalPlan,
    state: &SessionState,
    settings: &Settings,
) -> Result<std::result::Result<Encoded, Bypass>> {
    let optimized = state.optimize(plan).map_err(from_datafusion)?;
    let mut encoder = Encoder::default();
    write_to(
        &mut encoder.text,
        format_args!("{VERSION} {:?}\n", settings.time_zone()),
    );
    match encoder.node(&optimized) {
        Ok(()) => {
            // Types are not in every expression.
            for field in optimized.schema().fields() {
                write_to(&mut encoder.text, format_args!("{:?};", field.data_type()));
            }
            Ok(Ok(Encoded {
                text: encoder.text,
                pins: encoder.pins,
            }))
        }
        Err(Stop::Bypass(why)) => Ok(Err(why)),
        Err(Stop::Failed(error)) => Err(from_datafusion(error)),
    }
}

#[derive(Default)]
struct Functions {
    volatile: Option<String>,
    stable: bool,
}

/// The functions of a plan that are not the same for ever.
fn functions(plan: &LogicalPlan) -> datafusion::common::Result<Functions> {
    let mut found = Functions::default();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let (name, volatility) = match expr {
                    Expr::ScalarFunction(call) => (call.func.name(), call.func.signature().volatility),
                    Expr::AggregateFunction(call) => (call.func.name(), call.func.signature().volatility),
                    other => {
                        if other.is_volatile_node() {
                            found.volatile = Some(other.schema_name().to_string());
                        }
                        return Ok(TreeNodeRecursion::Continue);
                    }
                };
                match volatility {
                    Volatility::Volatile => found.volatile = Some(name.to_owned()),
                    Volatility::Stable => found.stable = true,
                    Volatility::Immutable => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

enum Stop {
    Bypass(Bypass),
    Failed(DataFusionError),
}

impl From<DataFusionError> for Stop {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(error)
    }
}

type Step = std::result::Result<(), Stop>;

#[derive(Default)]
struct Encoder {
    text: String,
    pins: Vec<Pin>,
}

/// Writing to a String does not fail.
fn write_to(text: &mut String, what: std::fmt::Arguments<'_>) {
    if text.write_fmt(what).is_err() {
        debug_assert!(false, "a String takes everything");
    }
}

impl Encoder {
    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        write_to(&mut self.text, what);
    }

    fn node(&mut self, plan: &LogicalPlan) -> Step {
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

    /// Every part of an expression shows in its `Debug` form, and texts in it are quoted.
    fn expression(&mut self, expr: &Expr, schema: &DFSchema) -> Step {
        let mut stop = None;
        let plain = expr.clone().transform_up(|expr| {
            Ok(match expr {
                Expr::Column(column) => {
                    let place = schema.index_of_column(&column)?;
                    Transformed::yes(Expr::Column(Column::new_unqualified(format!("#{place}"))))
                }
                Expr::Alias(alias) => Transformed::yes(*alias.expr),
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
