//! The fields of dates and times that patterns name, and their words.

use super::pattern::Case;

/// A field of a date or a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    /// A year's last digits, so many of them; 4 stand for the whole year.
    Year(u8),
    YearWithComma,
    IsoYear(u8),
    Century,
    Era {
        dots: bool,
        upper: bool,
    },
    Quarter,
    Month,
    MonthName(Case),
    MonthShort(Case),
    MonthRoman {
        upper: bool,
    },
    WeekOfMonth,
    WeekOfYear,
    IsoWeek,
    Day,
    DayOfYear,
    IsoDayOfYear,
    DayName(Case),
    DayShort(Case),
    /// From Sunday, which is 1.
    DayOfWeek,
    /// From Monday, which is 1.
    IsoDayOfWeek,
    Julian,
    Hour24,
    Hour12,
    HalfDay {
        dots: bool,
        upper: bool,
    },
    Minute,
    Second,
    SecondOfDay,
    /// So many digits after the point.
    Fraction(u8),
    ZoneName {
        upper: bool,
    },
    ZoneHours,
    ZoneMinutes,
    ZoneOffset,
}

use Field::{
    Century, Day, DayName, DayOfWeek, DayOfYear, DayShort, Era, Fraction, HalfDay, Hour12, Hour24,
    IsoDayOfWeek, IsoDayOfYear, IsoWeek, IsoYear, Julian, Minute, Month, MonthName, MonthRoman, MonthShort,
    Quarter, Second, SecondOfDay, WeekOfMonth, WeekOfYear, Year, YearWithComma, ZoneHours, ZoneMinutes,
    ZoneName, ZoneOffset,
};

/// Words whose case says how the field is written. The first that fits is taken, so that longer ones
/// come first.
pub(super) const CASED: [(&str, Field); 28] = [
    ("MONTH", MonthName(Case::Upper)),
    ("Month", MonthName(Case::Capitalized)),
    ("month", MonthName(Case::Lower)),
    ("MON", MonthShort(Case::Upper)),
    ("Mon", MonthShort(Case::Capitalized)),
    ("mon", MonthShort(Case::Lower)),
    ("DAY", DayName(Case::Upper)),
    ("Day", DayName(Case::Capitalized)),
    ("day", DayName(Case::Lower)),
    ("DY", DayShort(Case::Upper)),
    ("Dy", DayShort(Case::Capitalized)),
    ("dy", DayShort(Case::Lower)),
    ("RM", MonthRoman { upper: true }),
    ("rm", MonthRoman { upper: false }),
    (
        "A.M.",
        HalfDay {
            dots: true,
            upper: true,
        },
    ),
    (
        "P.M.",
        HalfDay {
            dots: true,
            upper: true,
        },
    ),
    (
        "a.m.",
        HalfDay {
            dots: true,
            upper: false,
        },
    ),
    (
        "p.m.",
        HalfDay {
            dots: true,
            upper: false,
        },
    ),
    (
        "AM",
        HalfDay {
            dots: false,
            upper: true,
        },
    ),
    (
        "PM",
        HalfDay {
            dots: false,
            upper: true,
        },
    ),
    (
        "am",
        HalfDay {
            dots: false,
            upper: false,
        },
    ),
    (
        "pm",
        HalfDay {
            dots: false,
            upper: false,
        },
    ),
    (
        "A.D.",
        Era {
            dots: true,
            upper: true,
        },
    ),
    (
        "B.C.",
        Era {
            dots: true,
            upper: true,
        },
    ),
    (
        "AD",
        Era {
            dots: false,
            upper: true,
        },
    ),
    (
        "BC",
        Era {
            dots: false,
            upper: true,
        },
    ),
    (
        "ad",
        Era {
            dots: false,
            upper: false,
        },
    ),
    (
        "bc",
        Era {
            dots: false,
            upper: false,
        },
    ),
];

/// Words that mean the same in capitals and small letters, longer ones first.
pub(super) const UNCASED: [(&str, Field); 40] = [
    ("Y,YYY", YearWithComma),
    ("YYYY", Year(4)),
    ("YYY", Year(3)),
    ("YY", Year(2)),
    ("Y", Year(1)),
    ("IYYY", IsoYear(4)),
    ("IYY", IsoYear(3)),
    ("IY", IsoYear(2)),
    ("IDDD", IsoDayOfYear),
    ("ID", IsoDayOfWeek),
    ("IW", IsoWeek),
    ("I", IsoYear(1)),
    ("CC", Century),
    ("HH24", Hour24),
    ("HH12", Hour12),
    ("HH", Hour12),
    ("MI", Minute),
    ("MM", Month),
    ("MS", Fraction(3)),
    ("US", Fraction(6)),
    ("FF1", Fraction(1)),
    ("FF2", Fraction(2)),
    ("FF3", Fraction(3)),
    ("FF4", Fraction(4)),
    ("FF5", Fraction(5)),
    ("FF6", Fraction(6)),
    ("SSSSS", SecondOfDay),
    ("SSSS", SecondOfDay),
    ("SS", Second),
    ("DDD", DayOfYear),
    ("DD", Day),
    ("D", DayOfWeek),
    ("WW", WeekOfYear),
    ("W", WeekOfMonth),
    ("Q", Quarter),
    ("J", Julian),
    ("TZH", ZoneHours),
    ("TZM", ZoneMinutes),
    ("TZ", ZoneName { upper: true }),
    ("OF", ZoneOffset),
];
