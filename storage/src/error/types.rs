//! Types in messages of the libraries, as SQL writes them.

/// Arrow's names of types, and SQL's.
const NAMES: [(&str, &str); 22] = [
    ("Binary", "BINARY"),
    ("BinaryView", "BINARY"),
    ("Boolean", "BOOLEAN"),
    ("Date32", "DATE"),
    ("Date64", "DATE"),
    ("Decimal128", "DECIMAL"),
    ("Decimal256", "DECIMAL"),
    ("Float32", "FLOAT"),
    ("Float64", "DOUBLE"),
    ("Int16", "SMALLINT"),
    ("Int32", "INT"),
    ("Int64", "BIGINT"),
    ("Int8", "TINYINT"),
    ("Interval(MonthDayNano)", "INTERVAL"),
    ("LargeBinary", "BINARY"),
    ("LargeUtf8", "STRING"),
    ("Timestamp(ns, \"UTC\")", "TIMESTAMP"),
    ("Timestamp(µs)", "TIMESTAMP"),
    ("Timestamp(µs, \"UTC\")", "TIMESTAMP"),
    ("UInt64", "BIGINT"),
    ("Utf8", "STRING"),
    ("Utf8View", "STRING"),
];

/// A message with SQL's names of types. What stands in quotes may be a value, and stays.
pub(super) fn named(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    let mut rest = message;
    let mut quoted: Option<char> = None;
    let mut before: Option<char> = None;
    while let Some(next) = rest.chars().next() {
        let is_start = !before.is_some_and(is_word);
        let found = match quoted {
            None if is_start && next.is_uppercase() => longest(rest),
            _ => None,
        };
        if let Some((arrow, sql)) = found {
            shown.push_str(sql);
            before = arrow.chars().last();
            rest = &rest[arrow.len()..];
            continue;
        }
        match quoted {
            Some(quote) if next == quote => quoted = None,
            // An apostrophe stands behind a letter.
            None if next == '"' || next == '\'' && is_start => quoted = Some(next),
            _ => {}
        }
        shown.push(next);
        before = Some(next);
        rest = &rest[next.len_utf8()..];
    }
    shown
}

fn longest(rest: &str) -> Option<(&'static str, &'static str)> {
    let fits = |(arrow, _): &&(&str, &str)| {
        rest.strip_prefix(arrow)
            .is_some_and(|behind| arrow.ends_with(')') || !behind.starts_with(is_word))
    };
    NAMES
        .iter()
        .filter(fits)
        .max_by_key(|(arrow, _)| arrow.len())
        .copied()
}

fn is_word(ch: char) -> bool {
    ch.is_alphanumeric() || ch == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_sql() {
        let check = |message: &str, expected: &str| assert_eq!(named(message), expected);
        check(
            "comparison operation Boolean = Int64",
            "comparison operation BOOLEAN = BIGINT",
        );
        check(
            "cannot cast string 'Int64' to value of Int32 type",
            "cannot cast string 'Int64' to value of INT type",
        );
        check("Decimal128(38, 10) + Utf8View", "DECIMAL(38, 10) + STRING");
        check(
            "Timestamp(µs, \"UTC\") and it's Date32",
            "TIMESTAMP and it's DATE",
        );
        check("MyInt64 Int64s Interval(MonthDayNano)", "MyInt64 Int64s INTERVAL");
    }
}
