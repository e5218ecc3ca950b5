//! Numbers, names and letters at the beginning of a text.

/// The value, if it is within bounds.
pub(super) fn within(value: i64, least: i64, most: i64) -> Option<i64> {
    (least..=most).contains(&value).then_some(value)
}

/// Digits at the beginning, so many at most, and what is behind them.
pub(super) fn number(rest: &str, width: usize) -> Option<(i64, &str)> {
    let (negative, digits) = match rest.strip_prefix('-') {
        Some(digits) if width > 4 => (true, digits),
        _ => (false, rest),
    };
    let count = digits.bytes().take(width).take_while(u8::is_ascii_digit).count();
    let value: i64 = digits[..count].parse().ok()?;
    Some((if negative { -value } else { value }, &digits[count..]))
}

/// A year of few digits is the one that is nearest to 2020, as in PostgreSQL.
pub(super) fn near_now(value: i64, digits: usize) -> i64 {
    match (digits, value) {
        (1 | 2, 0..70) => value + 2000,
        (1 | 2, 70..100) => value + 1900,
        (3, 100..520) => value + 2000,
        (3, 520..1000) => value + 1000,
        _ => value,
    }
}

/// A name, or its first three letters, in any case.
pub(super) fn word<'t>(rest: &'t str, name: &str) -> Option<&'t str> {
    [name, name.get(..3)?].into_iter().find_map(|name| {
        let head = rest.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then(|| &rest[name.len()..])
    })
}

/// Letters, which may have points, in capitals without these.
pub(super) fn letters(rest: &str) -> Option<(String, &str)> {
    let end = rest
        .find(|sign: char| !sign.is_ascii_alphabetic() && sign != '.')
        .unwrap_or(rest.len());
    let text: String = rest[..end].chars().filter(char::is_ascii_alphabetic).collect();
    (!text.is_empty()).then(|| (text.to_ascii_uppercase(), &rest[end..]))
}
