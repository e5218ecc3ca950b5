//! What makes two queries the same: their optimized plans without names that only people need, and the
//! pinned version of every table.
//!
//! The plan is written out as text and hashed. Columns are written as places in their input and aliases
//! not at all, so that neither the case nor the aliases of the SQL text matter. What has no place in that
//! text makes a query that is not cached, never one that is mistaken for another.

use chrono::TimeDelta;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use watershed_core::Result;
use watershed_core::settings::Settings;
use watershed_storage::error::from_datafusion;
use watershed_storage::table::Pin;

use super::encode::{Encoder, Stop, write_to};
use super::generic::Generic;

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

/// The fingerprint of a query, and its plan as it is asked now. `momentary` is what is known of it already.
pub(crate) fn of(
    generic: &Generic,
    state: &SessionState,
    settings: &Settings,
    momentary: Option<bool>,
) -> Result<std::result::Result<(Fingerprint, LogicalPlan), Bypass>> {
    let first = match encode(generic, state, settings, TimeDelta::zero())? {
        Ok(encoded) => encoded,
        Err(why) => return Ok(Err(why)),
    };
    // Whether the plan is another so many microseconds from now: if it is both before and after, this one is
    // never asked again, while date_trunc('hour', now()) folds to the same for an hour.
    let differs = |microseconds| -> Result<bool> {
        let other = encode(generic, state, settings, TimeDelta::microseconds(microseconds))?;
        Ok(other.map_or(true, |other| other.text != first.text))
    };
    let momentary = match (generic.clocked, momentary) {
        (false, _) => false,
        (true, Some(known)) => known,
        (true, None) => differs(1)? && differs(-1)?,
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
        clocked: generic.clocked,
        momentary,
    };
    Ok(Ok((print, first.plan)))
}

/// [`of`] for a plan that is bound and allowed.
pub(crate) fn of_plan(
    plan: &LogicalPlan,
    state: &SessionState,
    settings: &Settings,
) -> Result<std::result::Result<Fingerprint, Bypass>> {
    let generic = match Generic::of(plan, state).map_err(from_datafusion)? {
        Ok(generic) => generic,
        Err(why) => return Ok(Err(why)),
    };
    Ok(of(&generic, state, settings, None)?.map(|(print, _)| print))
}

struct Encoded {
    plan: LogicalPlan,
    text: String,
    pins: Vec<Pin>,
}

fn encode(
    generic: &Generic,
    state: &SessionState,
    settings: &Settings,
    later: TimeDelta,
) -> Result<std::result::Result<Encoded, Bypass>> {
    let plan = generic.at(state, later).map_err(from_datafusion)?;
    let mut encoder = Encoder::default();
    write_to(
        &mut encoder.text,
        format_args!("{VERSION} {:?}\n", settings.time_zone()),
    );
    match encoder.node(&plan) {
        Ok(()) => {
            // Types are not in every expression.
            for field in plan.schema().fields() {
                write_to(&mut encoder.text, format_args!("{:?};", field.data_type()));
            }
            Ok(Ok(Encoded {
                plan,
                text: encoder.text,
                pins: encoder.pins,
            }))
        }
        Err(Stop::Bypass(why)) => Ok(Err(why)),
        Err(Stop::Failed(error)) => Err(from_datafusion(error)),
    }
}
