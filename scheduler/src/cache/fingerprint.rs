//! What makes two queries the same: their optimized plans without names that only people need, and the
//! pinned version of every table.
//!
//! The plan is written out as text and hashed. Columns are written as places in their input and aliases
//! not at all, so that neither the case nor the aliases of the SQL text matter. What has no place in that
//! text makes a query that is not cached, never one that is mistaken for another.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use watershed_core::Result;
use watershed_core::settings::Settings;
use watershed_storage::error::from_datafusion;
use watershed_storage::table::Pin;

use super::encode::{Encoder, Stop, write_to};

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

/// The fingerprint of a query that is bound and allowed, and its optimized plan. `momentary` is what is known of
/// it already.
pub fn of(
    plan: &LogicalPlan,
    state: &SessionState,
    settings: &Settings,
    momentary: Option<bool>,
) -> Result<std::result::Result<(Fingerprint, LogicalPlan), Bypass>> {
    let functions = functions(plan).map_err(from_datafusion)?;
    if let Some(name) = functions.volatile {
        return Ok(Err(format!("{name}() gives another value every time")));
    }
    let first = match encode(plan, state, settings)? {
        Ok(encoded) => encoded,
        Err(why) => return Ok(Err(why)),
    };
    let momentary = match (functions.stable, momentary) {
        (false, _) => false,
        (true, Some(known)) => known,
        (true, None) => {
            differs(&first, plan, state, settings, 1)? && differs(&first, plan, state, settings, -1)?
        }
    };
    let mut text = first.text;
    let plan = Key::of(&text);
    for pin in &first.pins {
        write_to(&mut text, format_args!("\n{:?}@{:?}", pin.identity, pin.version));
    }
    let print = Fingerprint {
        key: Key::of(&text),
        plan,
        pins: first.pins,
        clocked: functions.stable,
        momentary,
    };
    Ok(Ok((print, first.optimized)))
}

/// Whether the plan is another so many microseconds from now. Clocks are folded by then: if it is both before
/// and after, this one is never asked again, while date_trunc('hour', now()) folds to the same for an hour.
fn differs(
    first: &Encoded,
    plan: &LogicalPlan,
    state: &SessionState,
    settings: &Settings,
    microseconds: i64,
) -> Result<bool> {
    let props = state.execution_props();
    let other = props
        .query_execution_start_time
        .and_then(|now| now.checked_add_signed(chrono::TimeDelta::microseconds(microseconds)));
    let Some(other) = other else { return Ok(true) };
    let state = SessionStateBuilder::new_from_existing(state.clone())
        .with_execution_props(props.clone().with_query_execution_start_time(other))
        .build();
    Ok(encode(plan, &state, settings)?.map_or(true, |second| second.text != first.text))
}

struct Encoded {
    optimized: LogicalPlan,
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
                optimized,
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
