//! Texts in the one form in which arrow reads them. A text that is of no known form stays, so that it is refused as it
//! was written.

use std::borrow::Cow;

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use datafusion::common::Result;
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

/// A date with a time that may lack its seconds, be 24:00, or have more digits than a microsecond has.
pub(crate) fn time(text: &str) -> Cow<'_, str> {
    match parts(text).and_then(|parts| parts.usual()) {
        Some(usual) => usual.into(),
        None => text.trim().into(),
    }
}

/// A date, of which a time behind it is left out.
pub(super) fn date(text: &str) -> Cow<'_, str> {
    match parts(text) {
        Some(parts) if parts.time.is_none() || parts.usual().is_some() => {
            parts.date.format("%Y-%m-%d").to_string().into()
        }
        _ => text.trim().into(),
    }
}

struct Parts<'t> {
    date: NaiveDate,
    /// The time and what is behind it: a zone.
    time: Option<(&'t str, &'t str)>,
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let text = text.trim();
    let end = text.find(|sign: char| !sign.is_ascii_digit() && sign != '-');
    let (date, rest) = text.split_at(end.unwrap_or(text.len()));
    let mut numbers = date.split('-');
    let (year, month, day) = (numbers.next()?, numbers.next()?, numbers.next()?);
    if numbers.next().is_some() || year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
    if rest.is_empty() {
        return Some(Parts { date, time: None });
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?.trim_start();
    let end = rest.find(|sign: char| !sign.is_ascii_digit() && !matches!(sign, ':' | '.'));
    Some(Parts {
        date,
        time: Some(rest.split_at(end.unwrap_or(rest.len()))),
    })
}

impl Parts<'_> {
    fn usual(&self) -> Option<String> {
        let Some((time, zone)) = self.time else {
            return Some(self.date.format("%Y-%m-%d").to_string());
        };
        let mut fields = time.split(':');
        let (hour, minute) = (fields.next()?, fields.next()?);
        let second = fields.next().unwrap_or("00");
        if fields.next().is_some() || hour.len() > 2 || minute.len() != 2 {
            return None;
        }
        let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if second.len() != 2 || !digits(second) || !digits(fraction) {
            return None;
        }
        let (hour, minute, second): (u32, u32, u32) =
            (hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?);
        let ends_day =
            hour == 24 && minute == 0 && second == 0 && fraction.bytes().all(|digit| digit == b'0');
        let local = match ends_day {
            true => self.date.checked_add_days(Days::new(1))?.and_time(NaiveTime::MIN),
            false => {
                let local = self.date.and_hms_opt(hour, minute, second)?;
                rounded(local, fraction)?
            }
        };
        let zone = zone.trim();
        let zone = match zone.strip_prefix(['+', '-']) {
            // An offset of hours alone.
            Some(hours) if hours.len() <= 2 && digits(hours) => format!("{}{hours:0>2}:00", &zone[..1]),
            Some(_) => zone.to_owned(),
            None if zone.is_empty() || zone == "Z" => zone.to_owned(),
            None => format!(" {zone}"),
        };
        Some(format!("{}{zone}", local.format("%Y-%m-%d %H:%M:%S%.f")))
    }
}

/// The nearest microsecond, a half up.
fn rounded(local: NaiveDateTime, fraction: &str) -> Option<NaiveDateTime> {
    let head: String = fraction.chars().chain("0000000".chars()).take(7).collect();
    let tenths: i64 = head.parse().ok()?;
    local
        .with_nanosecond(0)?
        .checked_add_signed(TimeDelta::microseconds((tenths + 5) / 10))
}

/// Digits and a point, where a number has an exponent.
pub(crate) fn decimal(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    let plain = trimmed.strip_prefix('+').unwrap_or(trimmed);
    match plain.contains(['e', 'E']).then(|| shifted(plain)).flatten() {
        Some(digits) => digits.into(),
        None => plain.into(),
    }
}

pub(super) fn whole(text: &str) -> Cow<'_, str> {
    text.trim().into()
}

/// More zeros than any decimal has digits.
const SHIFT_MAX: i32 = 80;

fn shifted(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let exponent: i32 = exponent.parse().ok().filter(|by: &i32| by.abs() <= SHIFT_MAX)?;
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let Ok(point) = usize::try_from(point) else {
        let zeros = usize::try_from(point.unsigned_abs()).ok()?;
        return Some(format!("{sign}0.{}{digits}", "0".repeat(zeros)));
    };
    let digits = format!("{digits:0<point$}");
    let (whole, fraction) = digits.split_at(point);
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match fraction.is_empty() {
        true => format!("{sign}{whole}"),
        false => format!("{sign}{whole}.{fraction}"),
    })
}

/// `\x00ff` is two bytes, as in PostgreSQL; of any other text they are those of its characters.
pub(super) fn bytes(text: &str) -> Result<Cow<'_, [u8]>> {
    let Some(digits) = text.strip_prefix("\\x") else {
        return Ok(text.as_bytes().into());
    };
    let refused = || {
        let error = Error::new(
            SqlState::InvalidTextRepresentation,
            "a text that begins with \\x has no two hexadecimal digits for each byte",
        );
        into_datafusion(error)
    };
    let digits: Vec<char> = digits
        .chars()
        .filter(|sign| !sign.is_ascii_whitespace())
        .collect();
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => {
            let byte = 16 * high.to_digit(16)? + low.to_digit(16)?;
            u8::try_from(byte).ok()
        }
        _ => None,
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes.map(Cow::Owned).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("2024-01-01 10:00", "2024-01-01 10:00:00"),
            (" 2024-01-01 ", "2024-01-01"),
            ("2024-1-5", "2024-01-05"),
            ("2024-01-01T10:00Z", "2024-01-01 10:00:00Z"),
            ("2024-01-01 10:00:00.5+02", "2024-01-01 10:00:00.500+02:00"),
            ("2024-12-31 24:00:00", "2025-01-01 00:00:00"),
            (
                "2024-01-01 10:00 Europe/Berlin",
                "2024-01-01 10:00:00 Europe/Berlin",
            ),
            ("2024-01-01 23:59:59.9999995", "2024-01-02 00:00:00"),
            ("2024-01-01 23:59:59.99999949", "2024-01-01 23:59:59.999999"),
            ("2024-01-01 24:01", "2024-01-01 24:01"),
            ("2024-02-30", "2024-02-30"),
            ("x", "x"),
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
        assert_eq!(date("2024-01-01 10:00"), "2024-01-01");
        assert_eq!(date("2024-01-01 10:99"), "2024-01-01 10:99");
    }

    #[test]
    fn decimals() {
        for (text, expected) in [
            ("1e3", "1000"),
            ("-1.25E1", "-12.5"),
            ("1.5e-3", "0.0015"),
            ("12e-1", "1.2"),
            (" +7 ", "7"),
            ("1e999", "1e999"),
            ("e3", "e3"),
        ] {
            assert_eq!(decimal(text), expected, "{text}");
        }
    }

    #[test]
    fn bytes_of_texts() {
        assert_eq!(bytes("\\x00fF").unwrap().as_ref(), [0, 255]);
        assert_eq!(bytes("ü").unwrap().as_ref(), "ü".as_bytes());
        for text in ["\\x0", "\\xzz"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
