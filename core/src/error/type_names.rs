//! Messages with the names that SQL has for types.

/// Types without parameters. A word of a message that is one of these is taken for it.
const PLAIN: [(&str, &str); 21] = [
    ("Utf8", "STRING"),
    ("LargeUtf8", "STRING"),
    ("Utf8View", "STRING"),
    ("Int8", "TINYINT"),
    ("Int16", "SMALLINT"),
    ("Int32", "INT"),
    ("Int64", "BIGINT"),
    ("UInt8", "UTINYINT"),
    ("UInt16", "USMALLINT"),
    ("UInt32", "UINTEGER"),
    ("UInt64", "UBIGINT"),
    ("Float16", "FLOAT"),
    ("Float32", "FLOAT"),
    ("Float64", "DOUBLE"),
    ("Boolean", "BOOLEAN"),
    ("Binary", "BINARY"),
    ("LargeBinary", "BINARY"),
    ("BinaryView", "BINARY"),
    ("Date32", "DATE"),
    ("Date64", "DATE"),
    ("Null", "NULL"),
];

/// Types with parameters, and whether these are a part of the name.
const WITH_PARAMETERS: [(&str, &str, Shown); 16] = [
    ("Timestamp", "TIMESTAMP", Shown::Nothing),
    ("Time32", "TIME", Shown::Nothing),
    ("Time64", "TIME", Shown::Nothing),
    ("Interval", "INTERVAL", Shown::Nothing),
    ("Duration", "INTERVAL", Shown::Nothing),
    ("FixedSizeBinary", "BINARY", Shown::Nothing),
    ("Decimal32", "DECIMAL", Shown::Numbers),
    ("Decimal64", "DECIMAL", Shown::Numbers),
    ("Decimal128", "DECIMAL", Shown::Numbers),
    ("Decimal256", "DECIMAL", Shown::Numbers),
    ("List", "ARRAY", Shown::Types),
    ("LargeList", "ARRAY", Shown::Types),
    ("ListView", "ARRAY", Shown::Types),
    ("FixedSizeList", "ARRAY", Shown::Types),
    ("Struct", "STRUCT", Shown::Types),
    ("Map", "MAP", Shown::Types),
];

#[derive(Clone, Copy)]
enum Shown {
    Nothing,
    Numbers,
    Types,
}

/// Types that nest deeper are left out.
const DEPTH_MAX: usize = 8;

/// The message with SQL's names of Arrow's types. What it quotes, such as values, stays.
pub fn with_sql_types(message: &str) -> String {
    written(message, 0)
}

fn written(message: &str, depth: usize) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(next) = rest.chars().next() {
        if !next.is_ascii_alphanumeric() && next != '_' {
            let end = quoted(rest, next).unwrap_or(next.len_utf8());
            let (part, behind) = rest.split_at(end);
            out.push_str(part);
            rest = behind;
            continue;
        }
        let end = rest
            .find(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_')
            .unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        if let Some((_, name, shown)) = WITH_PARAMETERS.iter().find(|(known, ..)| *known == word)
            && let Some((inner, behind)) = in_brackets(behind)
        {
            out.push_str(name);
            match shown {
                Shown::Nothing => {}
                Shown::Numbers => out.push_str(&format!("({inner})")),
                Shown::Types if depth < DEPTH_MAX => {
                    let inner = written(&without_quotes(inner), depth + 1);
                    out.push_str(&format!("<{inner}>"));
                }
                Shown::Types => out.push_str("<…>"),
            }
            rest = behind;
            continue;
        }
        // A word with a number at its end is no word of English.
        let numbered = WITH_PARAMETERS
            .iter()
            .filter(|(known, ..)| known.ends_with(|sign: char| sign.is_ascii_digit()))
            .map(|(known, name, _)| (*known, *name));
        let mut named = PLAIN.iter().copied().chain(numbered);
        let name = named.find(|(known, _)| *known == word);
        out.push_str(name.map_or(word, |(_, name)| name));
    }
    out
}

/// Where a value in quotes ends. A call in quotes, such as `'abs(Utf8)'`, is none.
fn quoted(text: &str, quote: char) -> Option<usize> {
    if !matches!(quote, '\'' | '"') {
        return None;
    }
    let end = text.get(1..)?.find(quote)? + 2;
    let inner = text.get(1..end - 1)?;
    let is_call = inner.ends_with(')') && inner.starts_with(|sign: char| sign.is_ascii_lowercase());
    (!is_call).then_some(end)
}

/// What stands in the brackets that a text begins with, and what is behind them.
fn in_brackets(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, sign) in text.char_indices() {
        match sign {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            // The text does not begin with a bracket where this is its first sign.
            return Some((text.get(1..at)?, text.get(at + 1..)?));
        }
    }
    None
}

/// Names of fields in a struct are quoted, and types say what of NULL.
fn without_quotes(text: &str) -> String {
    text.replace("\": ", " ")
        .replace('"', "")
        .replace("non-null ", "")
        .replace("nullable ", "")
        .trim_end_matches(", field: 'item'")
        .trim_end_matches(", field: 'element'")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types() {
        for (message, expected) in [
            (
                "cannot cast 'Int64' to value of Int64 type",
                "cannot cast 'Int64' to value of BIGINT type",
            ),
            (
                "Timestamp(µs, \"UTC\") and Decimal128(10, 2)",
                "TIMESTAMP and DECIMAL(10, 2)",
            ),
            (
                "no function 'abs(Utf8, List(Int64))'",
                "no function 'abs(STRING, ARRAY<BIGINT>)'",
            ),
            (
                "Struct(\"c0\": Int64, \"b\": Utf8) is none",
                "STRUCT<c0 BIGINT, b STRING> is none",
            ),
            ("Interval(MonthDayNano) - Duration(µs)", "INTERVAL - INTERVAL"),
            ("List of Struct, it's unusual", "List of Struct, it's unusual"),
            ("ünusual Utf8", "ünusual STRING"),
            ("List(Int32", "List(INT"),
            (
                "too large for a Decimal128 of precision 5",
                "too large for a DECIMAL of precision 5",
            ),
        ] {
            assert_eq!(with_sql_types(message), expected);
        }
    }
}
