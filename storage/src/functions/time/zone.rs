//! Instants and local times: what the clock of a time zone shows, and which instant that was.

use std::collections::HashMap;
use std::sync::LazyLock;

use arrow::array::timezone::Tz;
use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::OffsetName;
use datafusion::common::Result;
use parking_lot::Mutex;
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

/// The zone of that name or offset.
pub(super) fn zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| {
        let error = Error::new(
            SqlState::InvalidParameterValue,
            format!("time zone \"{name}\" does not exist"),
        );
        into_datafusion(error.with_hint("Use a name of the IANA database, or an offset such as +02:00."))
    })
}

/// What the clock shows at an instant, which is given in UTC.
pub(super) fn to_local(instant: NaiveDateTime, zone: Tz) -> Option<NaiveDateTime> {
    let offset = zone.offset_from_utc_datetime(&instant).fix();
    instant.checked_add_offset(offset)
}

/// The instant, in UTC, at which the clock shows a time. As in PostgreSQL, a time that the clock skips is
/// read with the offset before the change, and of two instants that show the same the later one counts.
pub(super) fn to_instant(local: NaiveDateTime, zone: Tz) -> Option<NaiveDateTime> {
    let offset = match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) => offset.fix(),
        // The smaller offset gives the later instant.
        LocalResult::Ambiguous(first, second) => {
            let (first, second) = (first.fix(), second.fix());
            match first.local_minus_utc() < second.local_minus_utc() {
                true => first,
                false => second,
            }
        }
        LocalResult::None => {
            let before = local.checked_sub_signed(TimeDelta::days(1))?;
            zone.offset_from_utc_datetime(&before).fix()
        }
    };
    local.checked_sub_offset(offset)
}

/// The instant at which the clock shows a time that a later instant is cut to. Where the clock shows it
/// twice, it is the one that is not after that instant.
pub(super) fn begin_before(local: NaiveDateTime, instant: NaiveDateTime, zone: Tz) -> Option<NaiveDateTime> {
    let begin = to_instant(local, zone)?;
    match begin > instant {
        true => local.checked_sub_offset(zone.offset_from_utc_datetime(&instant).fix()),
        false => Some(begin),
    }
}

/// Seconds that the clock is ahead of UTC.
pub(super) fn offset(instant: NaiveDateTime, zone: Tz) -> i32 {
    zone.offset_from_utc_datetime(&instant).fix().local_minus_utc()
}

/// Whether the dates that the clock of a zone shows ever go back: America/St_Johns left summer time at one minute past
/// midnight until 2010.
pub(crate) fn dates_go_back(name: &str) -> bool {
    // One entry for each zone of the database.
    static KNOWN: LazyLock<Mutex<HashMap<String, bool>>> = LazyLock::new(Mutex::default);
    if name == "UTC" || name.starts_with(['+', '-']) {
        return false;
    }
    let Ok(zone) = zone(name) else {
        return false;
    };
    *KNOWN
        .lock()
        .entry(name.to_owned())
        .or_insert_with(|| changes(zone).any(|(before, after)| after.date() < before.date()))
}

/// What the clock shows in the last second before each change of its offset, and at the change.
fn changes(zone: Tz) -> impl Iterator<Item = (NaiveDateTime, NaiveDateTime)> {
    // The database knows changes from 1844 to 2037; no two of them are so close.
    const FIRST: i64 = -4_000_000_000;
    const LAST: i64 = 2_300_000_000;
    const DAYS: usize = 4 * 86_400;
    let offset_at = move |seconds: i64| Some(offset(DateTime::from_timestamp(seconds, 0)?.naive_utc(), zone));
    let shown = move |seconds: i64| to_local(DateTime::from_timestamp(seconds, 0)?.naive_utc(), zone);
    (FIRST..LAST).step_by(DAYS).filter_map(move |begin| {
        let (mut before, mut after) = (begin, begin + DAYS as i64);
        if offset_at(before) == offset_at(after) {
            return None;
        }
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            match offset_at(middle) == offset_at(before) {
                true => before = middle,
                false => after = middle,
            }
        }
        Some((shown(before)?, shown(after)?))
    })
}

/// The abbreviation of the zone at an instant, as `CET`; its offset if it has none.
pub(super) fn abbreviation(instant: NaiveDateTime, zone: Tz) -> String {
    match zone.to_string().parse::<chrono_tz::Tz>() {
        Ok(named) => match named.offset_from_utc_datetime(&instant).abbreviation() {
            Some(abbreviation) => abbreviation.to_owned(),
            None => named.offset_from_utc_datetime(&instant).fix().to_string(),
        },
        Err(_) => zone.offset_from_utc_datetime(&instant).fix().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, local: &str, instant: &str) {
        let zone = zone(name).unwrap();
        let parse = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        assert_eq!(
            to_instant(parse(local), zone),
            Some(parse(instant)),
            "{name} {local}"
        );
    }

    #[test]
    fn local_times_around_changes_of_the_clock() {
        check("UTC", "2024-03-31 02:30", "2024-03-31 02:30");
        check("+02:00", "2024-03-31 02:30", "2024-03-31 00:30");
        check("Europe/Berlin", "2024-03-31 01:59", "2024-03-31 00:59");
        // Skipped: 02:30 is read as 03:30.
        check("Europe/Berlin", "2024-03-31 02:30", "2024-03-31 01:30");
        check("Europe/Berlin", "2024-03-31 03:00", "2024-03-31 01:00");
        // Shown twice: the later instant.
        check("Europe/Berlin", "2024-10-27 02:30", "2024-10-27 01:30");
        check("America/New_York", "2024-03-10 02:30", "2024-03-10 07:30");
        check("America/New_York", "2024-11-03 01:30", "2024-11-03 06:30");
        // A midnight that there was not.
        check("America/Sao_Paulo", "2018-11-04 00:00", "2018-11-04 03:00");
        // A day that there was not.
        check("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 22:00");
        assert!(super::zone("Mars").is_err());
    }

    #[test]
    fn zones_whose_dates_go_back() {
        for name in [
            "America/St_Johns",
            "America/Goose_Bay",
            "America/Moncton",
            "America/Anchorage",
        ] {
            assert!(dates_go_back(name), "{name}");
        }
        // A date that there was twice does not go back.
        for name in [
            "UTC",
            "+05:30",
            "Europe/Berlin",
            "America/New_York",
            "Asia/Tokyo",
            "Pacific/Apia",
            "Mars",
        ] {
            assert!(!dates_go_back(name), "{name}");
        }
    }
}
