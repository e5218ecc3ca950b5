//! Intervals read from texts and written as texts, as PostgreSQL does.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, DurationMicrosecondType, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::{Result, internal_err};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A text in the form that arrow reads; none of a text that is no interval.
pub fn usual(text: &str) -> Option<String> {
    let interval = read(text)?;
    let (months, days, nanos) = (interval.months, interval.days, interval.nanoseconds);
    Some(format!("{months} months {days} days {nanos} nanoseconds"))
}

/// The parts of an interval, which may be fractions of days and months on the way.
#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    nanos: i64,
}

impl Sum {
    /// Adds so many of a unit. A part of a month becomes days and a part of a day becomes time.
    fn add(&mut self, number: &str, unit: &str) -> Option<()> {
        let unit = unit.to_ascii_lowercase();
        let unit = match unit.as_str() {
            // Short names that are no plurals.
            "s" | "ms" | "us" | "ns" => unit.as_str(),
            other => other.strip_suffix('s').unwrap_or(other),
        };
        let months = match unit {
            "y" | "yr" | "year" => 12,
            "mon" | "month" => 1,
            "quarter" | "qtr" => 3,
            "decade" | "dec" => 120,
            "century" | "centurie" | "c" | "cent" => 1_200,
            "millennium" | "millennia" | "mil" | "mill" => 12_000,
            _ => 0,
        };
        if months > 0 {
            let (whole, part) = split(number)?;
            self.months = self.months.checked_add(whole.checked_mul(months)?)?;
            let rest = part * months as f64;
            self.months = self.months.checked_add(rest.trunc() as i64)?;
            return self.add_days(rest.fract() * 30.0);
        }
        let days = match unit {
            "d" | "day" => 1,
            "w" | "week" => 7,
            _ => 0,
        };
        if days > 0 {
            let (whole, part) = split(number)?;
            self.days = self.days.checked_add(whole.checked_mul(days)?)?;
            return self.add_days(part * days as f64);
        }
        let nanos = match unit {
            "h" | "hr" | "hour" => 3_600 * SECOND,
            "m" | "min" | "minute" => 60 * SECOND,
            "s" | "sec" | "second" => SECOND,
            "ms" | "msec" | "millisecond" => 1_000_000,
            "us" | "usec" | "microsecond" => 1_000,
            "ns" | "nsec" | "nanosecond" => 1,
            _ => return None,
        };
        self.add_time(number, nanos)
    }

    fn add_time(&mut self, number: &str, unit: i64) -> Option<()> {
        let (whole, part) = split(number)?;
        let nanos = whole
            .checked_mul(unit)?
            .checked_add((part * unit as f64).round() as i64)?;
        self.nanos = self.nanos.checked_add(nanos)?;
        Some(())
    }

    fn add_days(&mut self, days: f64) -> Option<()> {
        // Whole microseconds, as PostgreSQL keeps them.
        let micros = (days.fract() * (DAY / 1_000) as f64).round() as i64;
        self.days = self.days.checked_add(days.trunc() as i64)?;
        self.nanos = self.nanos.checked_add(micros * 1_000)?;
        Some(())
    }

    /// `hours:minutes[:seconds]`, or `years-months`.
    fn add_pair(&mut self, text: &str) -> Option<()> {
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", text.strip_prefix('+').unwrap_or(text)),
        };
        if let Some((years, months)) = unsigned.split_once('-') {
            self.add(&format!("{sign}{years}"), "year")?;
            return self.add(&format!("{sign}{months}"), "month");
        }
        let mut fields = unsigned.split(':');
        let units = [3_600 * SECOND, 60 * SECOND, SECOND];
        for unit in units {
            match fields.next() {
                Some(number) if unit == SECOND || !number.contains('.') => {
                    self.add_time(&format!("{sign}{number}"), unit)?;
                }
                Some(_) => return None,
                None => break,
            }
        }
        fields.next().is_none().then_some(())
    }

    fn interval(self, ago: bool) -> Option<IntervalMonthDayNano> {
        let sign = if ago { -1 } else { 1 };
        Some(IntervalMonthDayNano::new(
            i32::try_from(self.months.checked_mul(sign)?).ok()?,
            i32::try_from(self.days.checked_mul(sign)?).ok()?,
            self.nanos.checked_mul(sign)?,
        ))
    }
}

/// A number before and behind its point.
fn split(number: &str) -> Option<(i64, f64)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    if !digits(unsigned) || !digits(fraction) || unsigned.is_empty() && fraction.is_empty() {
        return None;
    }
    let sign = if whole.starts_with('-') { -1.0 } else { 1.0 };
    let part = match fraction.is_empty() {
        true => 0.0,
        false => format!("0.{fraction}").parse::<f64>().ok()? * sign,
    };
    let whole = match unsigned.is_empty() {
        true => 0,
        false => whole.parse().ok()?,
    };
    Some((whole, part))
}

fn read(text: &str) -> Option<IntervalMonthDayNano> {
    let text = text.trim();
    if let Some(iso) = text.strip_prefix(['P', 'p']) {
        return iso_8601(iso);
    }
    let mut words = Vec::new();
    for word in text.strip_prefix('@').unwrap_or(text).split_whitespace() {
        // Numbers and units may be one word, such as 1h30m.
        let mut rest = word;
        while let Some(first) = rest.chars().next() {
            let is_unit = first.is_ascii_alphabetic();
            let end = rest.find(|sign: char| sign.is_ascii_alphabetic() != is_unit);
            let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
            words.push(part);
            rest = behind;
        }
    }
    let ago = words.last().is_some_and(|word| word.eq_ignore_ascii_case("ago"));
    if ago {
        words.pop();
    }
    let mut sum = Sum::default();
    let mut words = words.into_iter().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        let inner = word.get(1..).unwrap_or_default();
        if word.contains(':') || inner.contains('-') {
            sum.add_pair(word)?;
            continue;
        }
        match words.peek() {
            Some(unit) if unit.starts_with(|sign: char| sign.is_ascii_alphabetic()) => {
                sum.add(word, unit)?;
                words.next();
            }
            // `1 02:03:04`: days before a time.
            Some(time) if time.contains(':') => sum.add(word, "day")?,
            // A number alone is of seconds.
            None => sum.add(word, "second")?,
            Some(_) => return None,
        }
    }
    sum.interval(ago)
}

/// What follows the P: `1Y2M3DT4H5M6.7S`, or `2W`.
fn iso_8601(text: &str) -> Option<IntervalMonthDayNano> {
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let mut sum = Sum::default();
    for (part, units) in [
        (
            date,
            [('Y', "year"), ('M', "month"), ('W', "week"), ('D', "day")].as_slice(),
        ),
        (time, [('H', "hour"), ('M', "minute"), ('S', "second")].as_slice()),
    ] {
        let mut rest = part;
        while !rest.is_empty() {
            let end = rest.find(|sign: char| sign.is_ascii_alphabetic())?;
            let (number, behind) = rest.split_at(end);
            let mut signs = behind.chars();
            let sign = signs.next()?.to_ascii_uppercase();
            let (_, unit) = units.iter().find(|(letter, _)| *letter == sign)?;
            sum.add(number, unit)?;
            rest = signs.as_str();
        }
    }
    sum.interval(false)
}

/// Texts such as `1 year 2 mons 3 days 04:05:06.7`.
pub(super) fn texts(intervals: &ArrayRef) -> Result<ArrayRef> {
    let texts: StringArray = match intervals.data_type() {
        DataType::Interval(_) => {
            let values = intervals.as_primitive::<IntervalMonthDayNanoType>();
            values.iter().map(|value| value.map(text)).collect()
        }
        DataType::Duration(_) => {
            let values = intervals.as_primitive::<DurationMicrosecondType>();
            let micros_of_day = DAY / 1_000;
            let written = |value: i64| {
                let days = i32::try_from(value / micros_of_day).unwrap_or(i32::MAX);
                let micros = value % micros_of_day;
                text(IntervalMonthDayNano::new(0, days, micros * 1_000))
            };
            values.iter().map(|value| value.map(written)).collect()
        }
        other => return internal_err!("{other} is no interval"),
    };
    Ok(Arc::new(texts))
}

fn text(interval: IntervalMonthDayNano) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut negative = false;
    let mut put = |number: i32, one: &str, many: &str| {
        if number == 0 {
            return;
        }
        // What follows a negative part has a sign in any case.
        let sign = if negative && number > 0 { "+" } else { "" };
        parts.push(format!("{sign}{number} {}", if number == 1 { one } else { many }));
        negative = number < 0;
    };
    put(interval.months / 12, "year", "years");
    put(interval.months % 12, "mon", "mons");
    put(interval.days, "day", "days");
    let nanos = interval.nanoseconds;
    if nanos != 0 || parts.is_empty() {
        let sign = match (nanos < 0, negative) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let nanos = nanos.unsigned_abs();
        let seconds = nanos / SECOND.unsigned_abs();
        let digits = format!("{:09}", nanos % SECOND.unsigned_abs());
        let fraction = digits.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        parts.push(format!(
            "{sign}{:02}:{:02}:{:02}{point}{fraction}",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60
        ));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        for (given, expected) in [
            ("1 day 02:03:04", "1 day 02:03:04"),
            ("02:03:04", "02:03:04"),
            ("1 hour ago", "-01:00:00"),
            ("14 months", "1 year 2 mons"),
            ("26 hours 3 minutes", "26:03:00"),
            ("26 hours 3 mins", "26:03:00"),
            ("1-2", "1 year 2 mons"),
            ("-1-2", "-1 years -2 mons"),
            ("1 02:03", "1 day 02:03:00"),
            ("1.5 days", "1 day 12:00:00"),
            ("1.5 months", "1 mon 15 days"),
            ("1.5 years", "1 year 6 mons"),
            ("2 weeks", "14 days"),
            ("-1 days +02:03:00", "-1 days +02:03:00"),
            ("1 day -00:00:01.5", "1 day -00:00:01.5"),
            ("90", "00:01:30"),
            ("P1Y2M3DT4H5M6.5S", "1 year 2 mons 3 days 04:05:06.5"),
            ("1h30m", "01:30:00"),
            ("3 ms", "00:00:00.003"),
            ("0 days", "00:00:00"),
            ("@ 1 minute", "00:01:00"),
        ] {
            let found = read(given).map(text);
            assert_eq!(found.as_deref(), Some(expected), "{given}");
        }
        for wrong in ["", "x", "1 fortnight", "day", "1:2:3:4", "P", "1..5 days", "ago"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
