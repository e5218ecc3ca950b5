//! Session settings: every name that `SET` takes, what it may be, and what it is by default.
//!
//! They are declared once, in [`SETTINGS`]; `SHOW ALL`, `system.settings`, the documentation and the
//! checks all read that list. The values of one session are a [`Settings`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::duration;
use crate::error::{Error, Result, SqlState, nearest};

/// What a setting's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A duration such as `'300ms'`; `'0'` means none.
    Duration,
    /// A whole number within these bounds.
    Integer { min: u64, max: u64 },
    /// A part of a whole: a number from 0 to 1.
    Fraction,
    /// A size such as `'32MiB'`.
    Bytes,
    /// A time zone: a name of the IANA database or an offset.
    TimeZone,
}

/// The declaration of one setting.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub description: &'static str,
}

pub const TIME_ZONE: &str = "timezone";
pub const STATEMENT_TIMEOUT: &str = "statement_timeout";
pub const EXECUTION: &str = "watershed.execution";
pub const TARGET_PARTITIONS: &str = "watershed.target_partitions";
pub const BATCH_SIZE: &str = "watershed.batch_size";
pub const LOCAL_LIMIT: &str = "watershed.local_limit";
pub const BROADCAST_LIMIT: &str = "watershed.broadcast_limit";
pub const DEADLINE: &str = "watershed.deadline";
pub const HEDGING: &str = "watershed.hedging";
pub const MIN_COMPLETENESS: &str = "watershed.min_completeness";
pub const PARTIAL_RESULTS: &str = "watershed.partial_results";
pub const FRAGMENT_CACHE: &str = "watershed.fragment_cache";
pub const RESULT_CACHE: &str = "watershed.result_cache";
pub const MAX_STALENESS: &str = "watershed.max_staleness";
pub const HOLD_BACK: &str = "watershed.hold_back";
pub const FLIGHT_COMPRESSION: &str = "watershed.flight_compression";
pub const FLIGHT_ENDPOINTS: &str = "watershed.flight_endpoints";
pub const FLIGHT_VIEW_TYPES: &str = "watershed.flight_view_types";

/// Every session setting, in alphabetical order.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: STATEMENT_TIMEOUT,
        kind: Kind::Duration,
        default: "0",
        description: "Cancels a statement that runs longer than this; 0 lets it run.",
    },
    Setting {
        name: TIME_ZONE,
        kind: Kind::TimeZone,
        default: "UTC",
        description: "The time zone in which texts are read as timestamps and dates are cut.",
    },
    Setting {
        name: BATCH_SIZE,
        kind: Kind::Integer {
            min: 64,
            max: 1 << 20,
        },
        default: "8192",
        description: "Rows that operators hand on at a time.",
    },
    Setting {
        name: BROADCAST_LIMIT,
        kind: Kind::Bytes,
        default: "16MiB",
        description: "The largest side of a join that every executor reads whole instead of exchanging rows.",
    },
    Setting {
        name: DEADLINE,
        kind: Kind::Duration,
        default: "0",
        description: "A statement has its answer within this: the rows of the shards that have finished where \
                      watershed.partial_results allows it, else an error; 0 lets it run.",
    },
    Setting {
        name: EXECUTION,
        kind: Kind::Choice(&["auto", "local", "pipelined", "staged"]),
        default: "auto",
        description: "Where a query runs: in the scheduler, streaming over the executors, or in stages with \
                      their results on disk.",
    },
    Setting {
        name: FLIGHT_COMPRESSION,
        kind: Kind::Choice(&["none", "lz4", "zstd"]),
        default: "none",
        description: "How rows are compressed on their way to the client; not every driver can read that.",
    },
    Setting {
        name: FLIGHT_ENDPOINTS,
        kind: Kind::Integer { min: 1, max: 64 },
        default: "1",
        description: "Streams over which a client may fetch the rows of an unordered query at the same time; \
                      not every driver reads more than one.",
    },
    Setting {
        name: FLIGHT_VIEW_TYPES,
        kind: Kind::Choice(&["off", "on"]),
        default: "off",
        description: "Sends texts and bytes as Arrow's view types; not every driver knows them.",
    },
    Setting {
        name: FRAGMENT_CACHE,
        kind: Kind::Choice(&["off", "on"]),
        default: "on",
        description: "Reuses what a part of a query came to over each file, as files never change.",
    },
    Setting {
        name: HEDGING,
        kind: Kind::Choice(&["on", "off"]),
        default: "on",
        description: "Asks a second executor for a shard that takes far longer than the others of its query, \
                      and takes the answer that comes first.",
    },
    Setting {
        name: HOLD_BACK,
        kind: Kind::Bytes,
        default: "32MiB",
        description: "Rows of a query that may still be retried are held back in memory up to this size, \
                      beyond it on disk. A result of an exchange that is 32 times larger is given out as it \
                      comes, and not retried.",
    },
    Setting {
        name: LOCAL_LIMIT,
        kind: Kind::Bytes,
        default: "4MiB",
        description: "A query that scans less than this runs in the scheduler.",
    },
    Setting {
        name: MAX_STALENESS,
        kind: Kind::Duration,
        default: "0",
        description: "A query whose tables have changed may be answered as it was so long ago, while it is \
                      computed anew; the answer says how old it is. 0 takes nothing that is not so any more.",
    },
    Setting {
        name: MIN_COMPLETENESS,
        kind: Kind::Fraction,
        default: "0",
        description: "The part of the shards, from 0 to 1, that a partial answer has at least; with less the \
                      statement fails.",
    },
    Setting {
        name: PARTIAL_RESULTS,
        kind: Kind::Choice(&["forbid", "allow"]),
        default: "forbid",
        description: "Whether an answer may lack shards that have not finished at watershed.deadline, or whose \
                      executors were lost; it says which.",
    },
    Setting {
        name: RESULT_CACHE,
        kind: Kind::Choice(&["off", "on"]),
        default: "on",
        description: "Answers a query from what it came to before, over the same versions of its tables.",
    },
    Setting {
        name: TARGET_PARTITIONS,
        kind: Kind::Integer { min: 0, max: 1024 },
        default: "0",
        description: "Parallel pipelines per process; 0 takes the process's number of threads.",
    },
];

/// The declaration of `name`, or an error that names the nearest one.
pub fn declaration(name: &str) -> Result<&'static Setting> {
    let lower = name.to_lowercase();
    SETTINGS
        .iter()
        .find(|setting| setting.name == lower)
        .ok_or_else(|| {
            let error = Error::new(SqlState::UndefinedObject, format!("unknown setting \"{name}\""));
            match nearest(&lower, SETTINGS.iter().map(|setting| setting.name)) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error.with_hint("SHOW ALL lists every setting."),
            }
        })
}

/// A session's values. What was never set has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Settings {
    changed: BTreeMap<String, String>,
}

impl Settings {
    /// Sets a value, after checking it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = declaration(name)?;
        let value = check(setting, value)?;
        self.changed.insert(setting.name.to_owned(), value);
        Ok(())
    }

    /// Goes back to the default.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        self.changed.remove(declaration(name)?.name);
        Ok(())
    }

    /// The value as text.
    pub fn get(&self, name: &str) -> Result<&str> {
        let setting = declaration(name)?;
        Ok(self
            .changed
            .get(setting.name)
            .map_or(setting.default, String::as_str))
    }

    /// Those that differ from their defaults.
    pub fn changed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.changed
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn execution(&self) -> &str {
        self.text(EXECUTION)
    }

    /// Whether a setting that is on or off is on.
    pub fn is_on(&self, name: &'static str) -> bool {
        self.text(name) == "on"
    }

    /// The value of a [`Kind::Choice`] setting.
    pub fn choice(&self, name: &'static str) -> &str {
        self.text(name)
    }

    pub fn time_zone(&self) -> &str {
        self.text(TIME_ZONE)
    }

    /// `None` when statements may run for ever.
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.duration(STATEMENT_TIMEOUT)
    }

    /// The value of a [`Kind::Duration`] setting; `None` for 0.
    pub fn duration(&self, name: &'static str) -> Option<Duration> {
        duration::parse(self.text(name))
            .ok()
            .filter(|duration| !duration.is_zero())
    }

    /// The value of a [`Kind::Fraction`] setting.
    pub fn fraction(&self, name: &'static str) -> f64 {
        parse_fraction(self.text(name)).unwrap_or_default()
    }

    /// The value of an [`Kind::Integer`] or [`Kind::Bytes`] setting.
    pub fn number(&self, name: &str) -> usize {
        let parsed = declaration(name).ok().and_then(|setting| match setting.kind {
            Kind::Integer { .. } => self.text(setting.name).parse().ok(),
            Kind::Bytes => parse_bytes(self.text(setting.name)).and_then(|bytes| usize::try_from(bytes).ok()),
            Kind::Choice(_) | Kind::Duration | Kind::Fraction | Kind::TimeZone => None,
        });
        debug_assert!(parsed.is_some(), "{name} is no number");
        parsed.unwrap_or_default()
    }

    fn text(&self, name: &'static str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

fn check(setting: &Setting, value: &str) -> Result<String> {
    let invalid = |hint: String| {
        Error::new(
            SqlState::InvalidParameterValue,
            format!("invalid value for setting \"{}\": {value:?}", setting.name),
        )
        .with_hint(hint)
    };
    match setting.kind {
        Kind::Choice(words) => {
            let lower = value.to_lowercase();
            if words.contains(&lower.as_str()) {
                Ok(lower)
            } else {
                Err(invalid(format!("It takes one of: {}.", words.join(", "))))
            }
        }
        Kind::Duration => duration::parse(value).map(duration::format),
        Kind::Integer { min, max } => match value.trim().parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            Ok(_) | Err(_) => Err(invalid(format!("It takes a whole number from {min} to {max}."))),
        },
        Kind::Fraction => match parse_fraction(value) {
            Some(fraction) => Ok(fraction.to_string()),
            None => Err(invalid("It takes a number from 0 to 1, such as 0.9.".to_owned())),
        },
        Kind::Bytes => match parse_bytes(value) {
            Some(_) => Ok(value.trim().to_owned()),
            None => Err(invalid("Write a size such as '32MiB'.".to_owned())),
        },
        Kind::TimeZone => canonical_zone(value).ok_or_else(|| {
            invalid("Write a name such as 'Europe/Berlin', an offset such as '+02:00', or 'UTC'.".to_owned())
        }),
    }
}

fn canonical_zone(value: &str) -> Option<String> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("utc") || value.eq_ignore_ascii_case("z") {
        return Some("UTC".to_owned());
    }
    if let Some(rest) = value.strip_prefix(['+', '-']) {
        let (hours, minutes) = rest.split_once(':')?;
        let valid = hours.len() == 2
            && minutes.len() == 2
            && hours.parse::<u8>().is_ok_and(|h| h <= 14)
            && minutes.parse::<u8>().is_ok_and(|m| m < 60);
        return valid.then(|| value.to_owned());
    }
    chrono_tz::TZ_VARIANTS
        .iter()
        .find(|zone| zone.name().eq_ignore_ascii_case(value))
        .map(|zone| zone.name().to_owned())
}

fn parse_fraction(text: &str) -> Option<f64> {
    let fraction = text.trim().parse::<f64>().ok()?;
    // Adding 0 makes of -0 what it is.
    (0.0..=1.0).contains(&fraction).then_some(fraction + 0.0)
}

/// Reads `32MiB`, `4 MB`, `1GiB` or a number of bytes.
pub fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("b", 1),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
    ];
    let text = text.trim().to_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" => "b",
        unit => unit,
    };
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid_and_the_list_is_sorted() {
        for setting in SETTINGS {
            check(setting, setting.default).unwrap();
        }
        assert!(SETTINGS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn unknown_names_get_the_nearest() {
        let error = Settings::default()
            .set("watershed.exection", "local")
            .unwrap_err();
        assert_eq!(error.code(), SqlState::UndefinedObject);
        assert_eq!(error.hint(), Some("Did you mean \"watershed.execution\"?"));
    }

    #[test]
    fn values_are_checked_and_bad_ones_change_nothing() {
        let mut settings = Settings::default();
        settings.set("TimeZone", "europe/berlin").unwrap();
        assert_eq!(settings.time_zone(), "Europe/Berlin");
        for (name, value) in [
            (EXECUTION, "remote"),
            (TIME_ZONE, "Mars"),
            (BATCH_SIZE, "1"),
            (HOLD_BACK, "much"),
            (STATEMENT_TIMEOUT, "soon"),
            (MIN_COMPLETENESS, "1.1"),
            (MIN_COMPLETENESS, "-0.1"),
            (MIN_COMPLETENESS, "NaN"),
            (MIN_COMPLETENESS, "90%"),
        ] {
            assert_eq!(
                settings.set(name, value).unwrap_err().code(),
                SqlState::InvalidParameterValue
            );
        }
        assert_eq!(settings.changed().count(), 1);
        assert_eq!(settings.number(HOLD_BACK), 32 << 20);
    }

    #[test]
    fn fractions() {
        let mut settings = Settings::default();
        for (text, stored, value) in [
            ("0.90", "0.9", 0.9),
            (" 1 ", "1", 1.0),
            ("-0", "0", 0.0),
            ("1e-3", "0.001", 0.001),
        ] {
            settings.set(MIN_COMPLETENESS, text).unwrap();
            assert_eq!(settings.get(MIN_COMPLETENESS).unwrap(), stored);
            assert!((settings.fraction(MIN_COMPLETENESS) - value).abs() < f64::EPSILON);
        }
    }
}
