//! Times written by a pattern.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike, Weekday};

use super::field::Field;
use super::pattern::{Case, Piece, written};

/// What is written: a time as the clock shows it, or an interval.
pub(super) struct Shown {
    pub(super) year: i64,
    pub(super) month: u32,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) nanos: u32,
    /// What an interval does not have.
    pub(super) date: Option<NaiveDate>,
    pub(super) zone: Option<ShownZone>,
}

/// The zone of a time with one.
pub(super) struct ShownZone {
    pub(super) name: String,
    /// Seconds east of UTC.
    pub(super) offset: i32,
}

impl Shown {
    pub(super) fn time(time: NaiveDateTime, zone: Option<ShownZone>) -> Self {
        Self {
            year: i64::from(time.year()),
            month: time.month(),
            day: i64::from(time.day()),
            hour: i64::from(time.hour()),
            minute: time.minute(),
            second: time.second(),
            nanos: time.nanosecond() % 1_000_000_000,
            date: Some(time.date()),
            zone,
        }
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const ROMAN: [&str; 12] = [
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII",
];

pub(super) fn month_name(month: u32) -> &'static str {
    MONTHS
        .get(month.saturating_sub(1) as usize)
        .copied()
        .unwrap_or_default()
}

pub(super) fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "Monday",
        Weekday::Tue => "Tuesday",
        Weekday::Wed => "Wednesday",
        Weekday::Thu => "Thursday",
        Weekday::Fri => "Friday",
        Weekday::Sat => "Saturday",
        Weekday::Sun => "Sunday",
    }
}

/// Writes a time by a pattern's pieces.
pub(super) fn write(shown: &Shown, pieces: &[Piece], out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Separator(sign) => out.push(*sign),
            Piece::Field { field, fill, ordinal } => {
                let text = field_text(shown, *field, *fill);
                out.push_str(&text);
                if let Some(case) = ordinal {
                    out.push_str(&written(ordinal_of(&text), *case));
                }
            }
        }
    }
}

fn ordinal_of(number: &str) -> &'static str {
    let digits: Vec<u8> = number.bytes().filter(u8::is_ascii_digit).collect();
    match digits.as_slice() {
        [.., b'1', _] => "th",
        [.., b'1'] => "st",
        [.., b'2'] => "nd",
        [.., b'3'] => "rd",
        _ => "th",
    }
}

fn field_text(shown: &Shown, field: Field, fill: bool) -> String {
    let number = |value: i64, width: usize| match fill {
        true => value.to_string(),
        false if value < 0 => format!("-{:0width$}", value.unsigned_abs()),
        false => format!("{value:0width$}"),
    };
    let name = |name: &str, case: Case, width: usize| match fill {
        true => written(name, case),
        false => format!("{:width$}", written(name, case)),
    };
    // Years before the first are counted without a year 0.
    let year = match shown.date {
        Some(_) if shown.year <= 0 => 1 - shown.year,
        _ => shown.year,
    };
    let digits = |year: i64, digits: u8| match digits {
        4 => number(year, 4),
        digits => number(
            year.rem_euclid(10_i64.pow(u32::from(digits))),
            usize::from(digits),
        ),
    };
    let date = |of: &dyn Fn(NaiveDate) -> String| shown.date.map(of).unwrap_or_default();
    match field {
        Field::Year(count) => digits(year, count),
        Field::YearWithComma => format!("{},{:03}", year / 1000, year % 1000),
        Field::IsoYear(count) => date(&|date| digits(i64::from(date.iso_week().year()), count)),
        Field::Century => number((year + 99).div_euclid(100), 2),
        Field::Era { dots, upper } => {
            let text = match (shown.year <= 0, dots) {
                (true, true) => "B.C.",
                (true, false) => "BC",
                (false, true) => "A.D.",
                (false, false) => "AD",
            };
            cased(text, upper)
        }
        Field::Quarter => date(&|date| (date.month0() / 3 + 1).to_string()),
        Field::Month => number(i64::from(shown.month), 2),
        Field::MonthName(case) => date(&|date| name(month_name(date.month()), case, 9)),
        Field::MonthShort(case) => date(&|date| name(&month_name(date.month())[..3], case, 3)),
        Field::MonthRoman { upper } => date(&|date| {
            let roman = cased(
                ROMAN.get(date.month0() as usize).copied().unwrap_or_default(),
                upper,
            );
            name(&roman, Case::Capitalized, 4)
        }),
        Field::WeekOfMonth => date(&|date| (date.day0() / 7 + 1).to_string()),
        Field::WeekOfYear => date(&|date| number(i64::from(date.ordinal0() / 7 + 1), 2)),
        Field::IsoWeek => date(&|date| number(i64::from(date.iso_week().week()), 2)),
        Field::Day => number(shown.day, 2),
        Field::DayOfYear => date(&|date| number(i64::from(date.ordinal()), 3)),
        Field::IsoDayOfYear => date(&|date| {
            let days = (i64::from(date.iso_week().week()) - 1) * 7;
            number(days + i64::from(date.weekday().number_from_monday()), 3)
        }),
        Field::DayName(case) => date(&|date| name(day_name(date.weekday()), case, 9)),
        Field::DayShort(case) => date(&|date| name(&day_name(date.weekday())[..3], case, 3)),
        Field::DayOfWeek => date(&|date| date.weekday().number_from_sunday().to_string()),
        Field::IsoDayOfWeek => date(&|date| date.weekday().number_from_monday().to_string()),
        Field::Julian => date(&|date| julian(date).to_string()),
        Field::Hour24 => number(shown.hour, 2),
        Field::Hour12 => number(
            match shown.hour % 12 {
                0 => 12,
                hour => hour,
            },
            2,
        ),
        Field::HalfDay { dots, upper } => {
            let text = match (shown.hour.rem_euclid(24) < 12, dots) {
                (true, true) => "A.M.",
                (true, false) => "AM",
                (false, true) => "P.M.",
                (false, false) => "PM",
            };
            cased(text, upper)
        }
        Field::Minute => number(i64::from(shown.minute), 2),
        Field::Second => number(i64::from(shown.second), 2),
        Field::SecondOfDay => {
            (shown.hour * 3600 + i64::from(shown.minute) * 60 + i64::from(shown.second)).to_string()
        }
        Field::Fraction(count) => {
            let digits = format!("{:09}", shown.nanos);
            digits.chars().take(usize::from(count)).collect()
        }
        Field::ZoneName { upper } => match &shown.zone {
            Some(zone) => cased(&zone.name, upper),
            None => String::new(),
        },
        Field::ZoneHours => shown.zone.as_ref().map(hours).unwrap_or_default(),
        Field::ZoneMinutes => match &shown.zone {
            Some(zone) => format!("{:02}", zone.offset.abs() / 60 % 60),
            None => String::new(),
        },
        Field::ZoneOffset => match &shown.zone {
            Some(zone) if zone.offset / 60 % 60 != 0 => {
                format!("{}:{:02}", hours(zone), zone.offset.abs() / 60 % 60)
            }
            Some(zone) => hours(zone),
            None => String::new(),
        },
    }
}

fn hours(zone: &ShownZone) -> String {
    let sign = if zone.offset < 0 { '-' } else { '+' };
    format!("{sign}{:02}", zone.offset.abs() / 3600)
}

fn cased(text: &str, upper: bool) -> String {
    match upper {
        true => text.to_owned(),
        false => text.to_lowercase(),
    }
}

/// Days since the beginning of the Julian calendar's count.
pub(super) fn julian(date: NaiveDate) -> i64 {
    i64::from(date.num_days_from_ce()) + 1_721_425
}

#[cfg(test)]
mod tests {
    use super::super::pattern::parse;
    use super::*;

    fn check(pattern: &str, expected: &str) {
        let time = NaiveDate::from_ymd_opt(2024, 2, 3)
            .and_then(|date| date.and_hms_micro_opt(15, 4, 5, 67_890))
            .unwrap();
        let zone = ShownZone {
            name: "CET".to_owned(),
            offset: 3600,
        };
        let mut out = String::new();
        write(&Shown::time(time, Some(zone)), &parse(pattern), &mut out);
        assert_eq!(out, expected, "{pattern}");
    }

    #[test]
    fn as_postgresql_writes_them() {
        check("YYYY-MM-DD HH24:MI:SS.US", "2024-02-03 15:04:05.067890");
        check("YYYY/MM", "2024/02");
        check("HH12:MI AM", "03:04 PM");
        check("HH:MI p.m.", "03:04 p.m.");
        check("MS", "067");
        check("Month|FMMonth|MON|mon", "February |February|FEB|feb");
        check("Day|FMDAY|Dy", "Saturday |SATURDAY|Sat");
        check("D ID DDD IDDD", "7 6 034 034");
        check("Q WW IW W", "1 05 05 1");
        check("IYYY-IW-ID", "2024-05-6");
        check("YY YYY Y Y,YYY CC", "24 024 4 2,024 21");
        check("FMDDth FMMM", "3rd 2");
        check("DDTH", "03RD");
        check("TZ tz OF TZH:TZM", "CET cet +01 +01:00");
        check("\"at\" HH24\"h\"", "at 15h");
        check("J", "2460344");
        check("SSSS", "54245");
        check("RM|FMrm", "II  |ii");
        check("AD", "AD");
    }
}
