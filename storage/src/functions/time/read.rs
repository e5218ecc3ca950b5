//! Texts read as times by a pattern, as PostgreSQL's `to_timestamp` does: fields one after another, and
//! whatever separates them in the text in place of what separates them in the pattern.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use watershed_core::error::{Error, SqlState};

use super::field::Field;
use super::format::{day_name, month_name};
use super::pattern::Piece;
use super::scan::{letters, near_now, number, within, word};

/// A time that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Time {
    pub(super) local: NaiveDateTime,
    /// Seconds east of UTC, if the text says so.
    pub(super) offset: Option<i32>,
}

#[derive(Debug, Default)]
struct Found {
    year: Option<i64>,
    before_christ: bool,
    iso_year: Option<i64>,
    century: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    week_of_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    julian: Option<i64>,
    hour: Option<i64>,
    hour12: Option<i64>,
    afternoon: Option<bool>,
    minute: Option<i64>,
    second: Option<i64>,
    second_of_day: Option<i64>,
    nanos: Option<i64>,
    zone_hours: Option<i64>,
    zone_minutes: Option<i64>,
    zone_negative: bool,
}

/// Reads a text by a pattern's pieces.
pub(super) fn read(text: &str, pieces: &[Piece]) -> Result<Time, Error> {
    let mut rest = text.trim_start();
    let mut found = Found::default();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Separator(' ') => rest = rest.trim_start(),
            Piece::Separator(_) => rest = rest.trim_start().trim_start_matches(is_separator),
            Piece::Text(quoted) => {
                for _ in quoted.chars() {
                    let mut chars = rest.chars();
                    chars.next();
                    rest = chars.as_str();
                }
            }
            Piece::Field { field, fill, ordinal } => {
                // Digits of the next field may follow at once.
                let next = pieces.get(index + 1);
                let adjacent = matches!(next, Some(Piece::Field { field, .. }) if is_number(*field));
                let bounded = adjacent && !*fill;
                rest = found
                    .field(rest.trim_start(), *field, bounded)
                    .ok_or_else(|| invalid(text, rest))?;
                if ordinal.is_some() {
                    rest = rest.trim_start_matches(|sign: char| sign.is_ascii_alphabetic());
                }
            }
        }
    }
    found.time().ok_or_else(|| {
        Error::new(
            SqlState::DatetimeFieldOverflow,
            format!("date or time of {:?} is out of range", short(text)),
        )
    })
}

fn is_separator(sign: char) -> bool {
    !sign.is_alphanumeric() && sign != '+' && sign != '"'
}

fn is_number(field: Field) -> bool {
    !matches!(
        field,
        Field::MonthName(_)
            | Field::MonthShort(_)
            | Field::MonthRoman { .. }
            | Field::DayName(_)
            | Field::DayShort(_)
            | Field::HalfDay { .. }
            | Field::Era { .. }
            | Field::ZoneName { .. }
            | Field::ZoneHours
            | Field::ZoneOffset
    )
}

impl Found {
    /// Reads one field, and gives what is behind it.
    fn field<'t>(&mut self, rest: &'t str, field: Field, bounded: bool) -> Option<&'t str> {
        let number = |width: usize| number(rest, if bounded { width } else { 18 });
        let (target, (value, after)) = match field {
            Field::Year(4) => (&mut self.year, number(4)?),
            Field::Year(width) => {
                let (value, after) = number(usize::from(width))?;
                (&mut self.year, (near_now(value, rest.len() - after.len()), after))
            }
            Field::YearWithComma => {
                let (thousands, after) = super::scan::number(rest, 18)?;
                let (units, after) = super::scan::number(after.strip_prefix(',')?, 3)?;
                (
                    &mut self.year,
                    (thousands.checked_mul(1000)?.checked_add(units)?, after),
                )
            }
            Field::IsoYear(4) => (&mut self.iso_year, number(4)?),
            Field::IsoYear(width) => {
                let (value, after) = number(usize::from(width))?;
                (
                    &mut self.iso_year,
                    (near_now(value, rest.len() - after.len()), after),
                )
            }
            Field::Century => (&mut self.century, number(2)?),
            Field::Month => (&mut self.month, number(2)?),
            Field::Day => (&mut self.day, number(2)?),
            Field::DayOfYear => (&mut self.day_of_year, number(3)?),
            Field::WeekOfYear => (&mut self.week_of_year, number(2)?),
            Field::IsoWeek => (&mut self.iso_week, number(2)?),
            Field::IsoDayOfWeek => (&mut self.iso_day, number(1)?),
            Field::Julian => (&mut self.julian, super::scan::number(rest, 18)?),
            Field::Hour24 => (&mut self.hour, number(2)?),
            Field::Hour12 => (&mut self.hour12, number(2)?),
            Field::Minute => (&mut self.minute, number(2)?),
            Field::Second => (&mut self.second, number(2)?),
            Field::SecondOfDay => (&mut self.second_of_day, number(5)?),
            Field::ZoneMinutes => (&mut self.zone_minutes, number(2)?),
            // As in PostgreSQL these are read and say nothing.
            Field::Quarter | Field::WeekOfMonth | Field::DayOfWeek | Field::IsoDayOfYear => {
                return number(3).map(|(_, after)| after);
            }
            Field::Fraction(width) => {
                let (_, after) = super::scan::number(rest, usize::from(width.max(9)))?;
                let digits = &rest[..rest.len() - after.len()];
                self.nanos = format!("{digits:0<9}").parse().ok();
                return Some(after);
            }
            Field::MonthName(_) | Field::MonthShort(_) => {
                let (month, after) =
                    (1..=12).find_map(|month| word(rest, month_name(month)).map(|after| (month, after)))?;
                (&mut self.month, (i64::from(month), after))
            }
            Field::MonthRoman { .. } => {
                const ROMAN: [(&str, i64); 12] = [
                    ("VIII", 8),
                    ("VII", 7),
                    ("III", 3),
                    ("XII", 12),
                    ("VI", 6),
                    ("IV", 4),
                    ("IX", 9),
                    ("XI", 11),
                    ("II", 2),
                    ("V", 5),
                    ("X", 10),
                    ("I", 1),
                ];
                let (after, month) = ROMAN.iter().find_map(|(roman, month)| {
                    let head = rest.get(..roman.len())?;
                    head.eq_ignore_ascii_case(roman)
                        .then(|| (&rest[roman.len()..], *month))
                })?;
                (&mut self.month, (month, after))
            }
            Field::DayName(_) | Field::DayShort(_) => {
                use chrono::Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
                return [Mon, Tue, Wed, Thu, Fri, Sat, Sun]
                    .into_iter()
                    .find_map(|day| word(rest, day_name(day)));
            }
            Field::HalfDay { .. } => {
                let (text, after) = letters(rest)?;
                self.afternoon = Some(match text.as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return None,
                });
                return Some(after);
            }
            Field::Era { .. } => {
                let (text, after) = letters(rest)?;
                self.before_christ = match text.as_str() {
                    "AD" => false,
                    "BC" => true,
                    _ => return None,
                };
                return Some(after);
            }
            Field::ZoneHours => {
                let unsigned = self.sign(rest);
                (&mut self.zone_hours, super::scan::number(unsigned, 2)?)
            }
            Field::ZoneOffset => {
                let unsigned = self.sign(rest);
                let (hours, after) = super::scan::number(unsigned, 2)?;
                self.zone_hours = Some(hours);
                let minutes = after.strip_prefix(':').unwrap_or(after);
                return Some(match super::scan::number(minutes, 2) {
                    Some((minutes, after)) => {
                        self.zone_minutes = Some(minutes);
                        after
                    }
                    None => after,
                });
            }
            // An abbreviation stands for several zones; UTC alone is clear.
            Field::ZoneName { .. } => {
                let after = ["UTC", "utc", "Z", "GMT"]
                    .iter()
                    .find_map(|name| rest.strip_prefix(name))?;
                self.zone_hours = Some(0);
                return Some(after);
            }
        };
        *target = Some(value);
        Some(after)
    }

    fn sign<'t>(&mut self, rest: &'t str) -> &'t str {
        self.zone_negative = rest.starts_with('-');
        rest.strip_prefix(['-', '+']).unwrap_or(rest)
    }

    fn time(&self) -> Option<Time> {
        let date = self.date()?;
        let seconds = match self.second_of_day {
            Some(seconds) => seconds,
            None => {
                let hour = match (self.hour, self.hour12) {
                    (Some(hour), _) => within(hour, 0, 24)?,
                    (None, Some(hour)) => {
                        let hour = within(hour, 1, 12)? % 12;
                        if self.afternoon == Some(true) {
                            hour + 12
                        } else {
                            hour
                        }
                    }
                    (None, None) => 0,
                };
                let minute = within(self.minute.unwrap_or(0), 0, 59)?;
                let second = within(self.second.unwrap_or(0), 0, 60)?;
                within(hour * 3600 + minute * 60 + second, 0, 86_400)?
            }
        };
        let local = date
            .and_time(NaiveTime::MIN)
            .checked_add_signed(TimeDelta::try_seconds(seconds)?)?
            .checked_add_signed(TimeDelta::nanoseconds(self.nanos.unwrap_or(0)))?;
        let offset = match self.zone_hours {
            Some(hours) => {
                let minutes = within(self.zone_minutes.unwrap_or(0), 0, 59)?;
                let seconds = i32::try_from(within(hours, 0, 15)? * 3600 + minutes * 60).ok()?;
                Some(if self.zone_negative { -seconds } else { seconds })
            }
            None => None,
        };
        Some(Time { local, offset })
    }

    fn date(&self) -> Option<NaiveDate> {
        if let Some(julian) = self.julian {
            return NaiveDate::from_num_days_from_ce_opt(i32::try_from(julian - 1_721_425).ok()?);
        }
        if let (Some(year), Some(week)) = (self.iso_year, self.iso_week) {
            let first = NaiveDate::from_isoywd_opt(i32::try_from(year).ok()?, 1, chrono::Weekday::Mon)?;
            let days = (within(week, 1, 53)? - 1) * 7 + within(self.iso_day.unwrap_or(1), 1, 7)? - 1;
            return first.checked_add_signed(TimeDelta::try_days(days)?);
        }
        let year = match (self.year.or(self.iso_year), self.century) {
            (Some(year), _) if self.before_christ => 1 - year,
            (Some(year), _) => year,
            (None, Some(century)) => (century - 1) * 100 + 1,
            // As in PostgreSQL: the first year before the first.
            (None, None) => 0,
        };
        let first = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, 1, 1)?;
        if let Some(day) = self.day_of_year {
            let date = first.checked_add_signed(TimeDelta::try_days(within(day, 1, 366)? - 1)?)?;
            return (date.year() == first.year()).then_some(date);
        }
        if let (Some(week), None) = (self.week_of_year, self.day) {
            return first.checked_add_signed(TimeDelta::try_days((within(week, 1, 53)? - 1) * 7)?);
        }
        let month = u32::try_from(self.month.unwrap_or(1)).ok()?;
        let day = u32::try_from(self.day.unwrap_or(1)).ok()?;
        NaiveDate::from_ymd_opt(first.year(), month, day)
    }
}

fn invalid(text: &str, rest: &str) -> Error {
    Error::new(
        SqlState::InvalidDatetimeFormat,
        format!("{:?} does not fit the pattern", short(text)),
    )
    .with_detail(format!("Reading stopped at {:?}.", short(rest)))
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::super::pattern::parse;
    use super::*;

    fn check(text: &str, pattern: &str, expected: &str) {
        let time = read(text, &parse(pattern)).unwrap();
        let offset = time.offset.map(|offset| format!(" {offset}")).unwrap_or_default();
        assert_eq!(format!("{}{offset}", time.local), expected, "{text} as {pattern}");
    }

    #[test]
    fn as_postgresql_reads_them() {
        check("2024-02-03", "YYYY-MM-DD", "2024-02-03 00:00:00");
        check("20240203150405", "YYYYMMDDHH24MISS", "2024-02-03 15:04:05");
        check("2024/2/3", "YYYY-MM-DD", "2024-02-03 00:00:00");
        check("05 Dec 2000", "DD Mon YYYY", "2000-12-05 00:00:00");
        check("5 december 2000", "DD Month YYYY", "2000-12-05 00:00:00");
        check("03:04 PM", "HH12:MI AM", "0000-01-01 15:04:00");
        check("12:30 am 2024", "HH:MI AM YYYY", "2024-01-01 00:30:00");
        check("2024-034", "YYYY-DDD", "2024-02-03 00:00:00");
        check("2024-W05-6", "IYYY-\"W\"IW-ID", "2024-02-03 00:00:00");
        check("24", "YY", "2024-01-01 00:00:00");
        check("99", "YY", "1999-01-01 00:00:00");
        check(
            "2024-02-03 04:05:06.5",
            "YYYY-MM-DD HH24:MI:SS.MS",
            "2024-02-03 04:05:06.500",
        );
        check(
            "2024-02-03 04:05 +02:30",
            "YYYY-MM-DD HH24:MI TZH:TZM",
            "2024-02-03 04:05:00 9000",
        );
        check(
            "2024-02-03 04:05-05",
            "YYYY-MM-DD HH24:MIOF",
            "2024-02-03 04:05:00 -18000",
        );
        check("2460344", "J", "2024-02-03 00:00:00");
        check(
            "1st of May, 2024",
            "FMDDth \"of\" Month, YYYY",
            "2024-05-01 00:00:00",
        );
        let code = |text: &str, pattern: &str| read(text, &parse(pattern)).unwrap_err().code();
        assert_eq!(code("2024-13-01", "YYYY-MM-DD"), SqlState::DatetimeFieldOverflow);
        assert_eq!(code("2023-02-29", "YYYY-MM-DD"), SqlState::DatetimeFieldOverflow);
        assert_eq!(code("25:00", "HH24:MI"), SqlState::DatetimeFieldOverflow);
        assert_eq!(code("abc", "YYYY"), SqlState::InvalidDatetimeFormat);
        assert_eq!(code("2024-xx", "YYYY-MM"), SqlState::InvalidDatetimeFormat);
        for (text, pattern) in [("", ""), ("ä", "\"o\"YYYY"), ("-", "YYYY"), ("é1", "Mon")] {
            drop(read(text, &parse(pattern)));
        }
    }
}
