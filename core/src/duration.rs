//! Durations as people write them in settings: `'300ms'`, `'30s'`, `'5m'`, `'1h'`.

use std::time::Duration;

use crate::error::{Error, Result, SqlState};

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads a whole number with a unit; `0` needs none.
pub fn parse(text: &str) -> Result<Duration> {
    let invalid = || {
        Error::new(
            SqlState::InvalidParameterValue,
            format!("invalid duration: {text:?}"),
        )
        .with_hint("Write a whole number and a unit: '300ms', '30s', '5m', '1h' or '2d'.")
    };
    let trimmed = text.trim();
    let digits = trimmed
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let unit = unit.trim();
    if unit.is_empty() && number == 0 {
        return Ok(Duration::ZERO);
    }
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
    number
        .checked_mul(*factor)
        .map(Duration::from_millis)
        .ok_or_else(invalid)
}

/// Writes a duration in the largest unit that keeps it whole.
pub fn format(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0".to_owned();
    }
    UNITS
        .iter()
        .rev()
        .find(|(_, factor)| millis.is_multiple_of(*factor))
        .map_or_else(
            || format!("{millis}ms"),
            |(unit, factor)| format!("{}{unit}", millis / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["0", "1ms", "300ms", "30s", "5m", "1h", "2d", "90s"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(parse(" 1500 ms ").unwrap(), Duration::from_millis(1500));
        for text in ["", "5", "s", "-1s", "1.5s", "1w", "99999999999999999999s"] {
            assert_eq!(
                parse(text).unwrap_err().code(),
                SqlState::InvalidParameterValue,
                "{text}"
            );
        }
    }
}
