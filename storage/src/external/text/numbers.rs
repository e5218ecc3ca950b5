//! The type that holds values seen in text: the narrowest that loses none of their digits.

use arrow::datatypes::{DataType, TimeUnit};

use crate::external::values;
use crate::layout::ColumnType;

/// Digits that every double keeps.
const DOUBLE_DIGITS: usize = 17;
const DECIMAL_DIGITS: usize = 38;

/// What the numbers of a column need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Digits before and after the point, and from the first that is not 0 to the last.
    whole: usize,
    scale: usize,
    significant: usize,
    /// Whether some have a point or an exponent, and whether some are not finite.
    fractions: bool,
    exponents: bool,
    /// Whether some are whole numbers of more than 64 bits.
    large: bool,
}

impl Numbers {
    /// Takes note of a number; false if the text is none.
    pub(super) fn note(&mut self, text: &str) -> bool {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let decimals = fraction.unwrap_or_default();
        if !digits(whole) || !digits(decimals) || (whole.is_empty() && decimals.is_empty()) {
            return false;
        }
        if let Some(exponent) = exponent {
            if exponent.parse::<i32>().is_err() {
                return false;
            }
            self.exponents = true;
        }
        if fraction.is_none() && exponent.is_none() {
            self.large |= text.strip_prefix('+').unwrap_or(text).parse::<i64>().is_err();
        } else {
            self.fractions = true;
        }
        let before = whole.trim_start_matches('0');
        let after = decimals.trim_end_matches('0');
        self.whole = self.whole.max(before.len());
        self.scale = self.scale.max(after.len());
        let significant = match before.is_empty() {
            true => after.trim_start_matches('0').len(),
            false => match after.is_empty() {
                true => before.trim_end_matches('0').len(),
                false => before.len() + after.len(),
            },
        };
        self.significant = self.significant.max(significant);
        true
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.whole = self.whole.max(other.whole);
        self.scale = self.scale.max(other.scale);
        self.significant = self.significant.max(other.significant);
        self.fractions |= other.fractions;
        self.exponents |= other.exponents;
        self.large |= other.large;
    }

    /// The type of the column. Texts keep digits that no number has room for.
    pub(super) fn kind(&self) -> ColumnType {
        let decimal = |scale: usize| match u8::try_from(scale).ok().zip(i8::try_from(scale).ok()) {
            Some((digits, scale)) if self.whole + usize::from(digits) <= DECIMAL_DIGITS => {
                ColumnType::Decimal { precision: 38, scale }
            }
            _ => ColumnType::String,
        };
        match (self.fractions, self.large) {
            (false, false) => ColumnType::BigInt,
            (false, true) => decimal(0),
            (true, _) if self.significant <= DOUBLE_DIGITS => ColumnType::Double,
            (true, _) if self.exponents => ColumnType::String,
            (true, _) => decimal(self.scale),
        }
    }
}

/// What the values of a column of texts are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Seen {
    #[default]
    Nothing,
    Truth,
    Number(Numbers),
    Date,
    Timestamp,
    Text,
}

impl Seen {
    /// Of one value.
    pub(super) fn of(text: &str) -> Self {
        let text = text.trim();
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            return Self::Truth;
        }
        let mut numbers = Numbers::default();
        if !is_code(text) && numbers.note(text) {
            return Self::Number(numbers);
        }
        // A quick look first, as most texts are no times.
        if text.len() < 10 || !text.starts_with(|sign: char| sign.is_ascii_digit()) {
            return Self::Text;
        }
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        if values::is_date(text) {
            Self::Date
        } else if values::is_value(text, &utc) {
            Self::Timestamp
        } else {
            Self::Text
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        *self = match (std::mem::take(self), other) {
            (Self::Nothing, other) => other,
            (known, Self::Nothing) => known,
            (Self::Number(mut known), Self::Number(other)) => {
                known.merge(&other);
                Self::Number(known)
            }
            (Self::Date | Self::Timestamp, Self::Timestamp) | (Self::Timestamp, Self::Date) => {
                Self::Timestamp
            }
            (known, other) if known == other => known,
            _ => Self::Text,
        };
    }

    pub(super) fn kind(&self) -> ColumnType {
        match self {
            Self::Nothing | Self::Text => ColumnType::String,
            Self::Truth => ColumnType::Boolean,
            Self::Number(numbers) => numbers.kind(),
            Self::Date => ColumnType::Date,
            Self::Timestamp => ColumnType::Timestamp,
        }
    }
}

/// Whether digits are a code, such as a postcode or a telephone number: as a number it would lose its zeros or its plus.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    matches!(digits, [b'+', ..] | [b'0', b'0'..=b'9', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_texts() {
        fn check(texts: &[&str], expected: ColumnType) {
            let mut seen = Seen::default();
            for text in texts {
                seen.merge(Seen::of(text));
            }
            assert_eq!(seen.kind(), expected, "{texts:?}");
        }
        let decimal = |scale| ColumnType::Decimal { precision: 38, scale };
        check(&[], ColumnType::String);
        check(&["1", "-2", "0", "-0"], ColumnType::BigInt);
        check(&["1", "007"], ColumnType::String);
        check(&["1", "+4930123456"], ColumnType::String);
        check(&["0.5", "00.5"], ColumnType::String);
        check(&["1", "2.9"], ColumnType::Double);
        check(&["1", "1e3"], ColumnType::Double);
        check(&["9223372036854775807"], ColumnType::BigInt);
        check(&["9223372036854775808"], decimal(0));
        check(&["0.1", "12345678901234567890"], decimal(1));
        check(&["0.30000000000000004"], ColumnType::Double);
        check(&["1.234567890123456789"], decimal(18));
        check(&["1.234567890123456789e5"], ColumnType::String);
        check(&["1234567890123456789012345678901234567890"], ColumnType::String);
        check(&["true", "FALSE"], ColumnType::Boolean);
        check(&["true", "1"], ColumnType::String);
        check(&["2024-01-01"], ColumnType::Date);
        check(&["2024-01-01", "2024-01-01 10:00:00"], ColumnType::Timestamp);
        check(&["2024-01-01", "x"], ColumnType::String);
        check(&["2024-13-01"], ColumnType::String);
        check(&["10.0.0.1"], ColumnType::String);
        check(&["."], ColumnType::String);
    }
}
