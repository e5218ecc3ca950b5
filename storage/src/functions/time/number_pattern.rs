//! Patterns of numbers as PostgreSQL writes them: `9,999.99`, `FM000`, `S999`, `999PR`.

use datafusion::common::Result;
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    /// A digit; a leading one that is zero is written as a blank.
    Nine,
    /// A digit that is always written.
    Zero,
    Comma,
    Point,
    Text(char),
    /// A sign: `S`, `MI`, `PL` or `SG`.
    Sign(Sign),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    /// Plus or minus.
    Both,
    /// A minus, or a blank.
    Minus,
    /// A plus, or a blank.
    Plus,
}

/// A pattern that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NumberPattern {
    parts: Vec<Part>,
    fill: bool,
    /// A negative number stands in angle brackets.
    brackets: bool,
    whole: usize,
    decimals: usize,
}

impl NumberPattern {
    pub(super) fn parse(pattern: &str) -> Result<Self> {
        let mut found = Self {
            parts: Vec::new(),
            fill: false,
            brackets: false,
            whole: 0,
            decimals: 0,
        };
        let mut pointed = false;
        let mut rest = pattern;
        while let Some(next) = rest.chars().next() {
            let word = rest.get(..2).map(str::to_ascii_uppercase).unwrap_or_default();
            let part = match (word.as_str(), next.to_ascii_uppercase()) {
                ("FM", _) => {
                    found.fill = true;
                    rest = &rest[2..];
                    continue;
                }
                ("PR", _) => {
                    found.brackets = true;
                    rest = &rest[2..];
                    continue;
                }
                ("MI" | "PL" | "SG", _) => {
                    rest = &rest[1..];
                    Part::Sign(match word.as_str() {
                        "MI" => Sign::Minus,
                        "PL" => Sign::Plus,
                        _ => Sign::Both,
                    })
                }
                ("TH" | "RN", _) | (_, 'V' | 'E') => return Err(invalid(pattern)),
                (_, '"') => {
                    let quoted = &rest[1..];
                    let end = quoted.find('"').unwrap_or(quoted.len());
                    found.parts.extend(quoted[..end].chars().map(Part::Text));
                    rest = quoted.get(end + 1..).unwrap_or_default();
                    continue;
                }
                (_, '9') => Part::Nine,
                (_, '0') => Part::Zero,
                (_, ',' | 'G') => Part::Comma,
                (_, '.' | 'D') if !pointed => Part::Point,
                (_, '.' | 'D') => return Err(invalid(pattern)),
                (_, 'S') => Part::Sign(Sign::Both),
                (_, 'L') => Part::Text('$'),
                _ => Part::Text(next),
            };
            match part {
                Part::Nine | Part::Zero if pointed => found.decimals += 1,
                Part::Nine | Part::Zero => found.whole += 1,
                Part::Point => pointed = true,
                _ => {}
            }
            found.parts.push(part);
            rest = &rest[next.len_utf8()..];
        }
        Ok(found)
    }

    pub(super) fn write_float(&self, value: f64, out: &mut String) {
        if !value.is_finite() {
            self.overflow(out);
            return;
        }
        // Digits that a double has, then rounded as decimals are.
        self.digits(&format!("{value}"), out);
    }

    /// Writes a number that is given in decimal digits.
    pub(super) fn write(&self, value: &str, out: &mut String) -> Result<()> {
        let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && digits.bytes().filter(|byte| *byte == b'.').count() <= 1
            && digits.bytes().any(|byte| byte.is_ascii_digit());
        if !plain {
            let shown: String = value.chars().take(60).collect();
            return Err(into_datafusion(
                Error::new(
                    SqlState::InvalidTextRepresentation,
                    format!("{shown:?} is no number"),
                )
                .with_hint("to_char writes numbers and times; CAST a text to what it is."),
            ));
        }
        self.digits(value, out);
        Ok(())
    }

    fn digits(&self, value: &str, out: &mut String) {
        let (negative, value) = match value.strip_prefix('-') {
            Some(value) => (true, value),
            None => (false, value.strip_prefix('+').unwrap_or(value)),
        };
        let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
        let rounded = round(whole, decimals, self.decimals);
        let (whole, decimals) = rounded.split_at(rounded.len() - self.decimals);
        let whole = whole.trim_start_matches('0');
        let zero = whole.is_empty() && decimals.bytes().all(|digit| digit == b'0');
        let negative = negative && !zero;
        if whole.len() > self.whole {
            self.overflow(out);
            return;
        }
        let body = self.body(whole, decimals, negative);
        out.push_str(&body);
    }

    fn body(&self, whole: &str, decimals: &str, negative: bool) -> String {
        let signed = self.parts.iter().any(|part| matches!(part, Part::Sign(_)));
        let mut text = String::new();
        let mut digits = whole.bytes();
        let (mut place, mut begun, mut pointed) = (0, false, false);
        let mut decimals = decimals.bytes();
        // Where a sign of its own stands that is written before the first digit.
        let mut first = None;
        // Where the blank of a positive number stands.
        let mut start = None;
        let skipped = self.whole - whole.len();
        let last_zero = self.parts.iter().rposition(|part| *part == Part::Zero);
        for (index, part) in self.parts.iter().enumerate() {
            if matches!(part, Part::Nine | Part::Zero | Part::Comma | Part::Point) {
                start.get_or_insert(text.len());
            }
            match part {
                Part::Nine | Part::Zero if !pointed => {
                    place += 1;
                    let digit = match place > skipped {
                        true => digits.next().map(char::from),
                        false if *part == Part::Zero || begun => Some('0'),
                        // The only digit before a point is written, unless there is a 9 alone.
                        false => None,
                    };
                    match digit {
                        Some(digit) => {
                            first.get_or_insert(text.len());
                            begun = true;
                            text.push(digit);
                        }
                        None if !self.fill => text.push(' '),
                        None => {}
                    }
                }
                Part::Nine | Part::Zero => {
                    let digit = decimals.next().map_or('0', char::from);
                    let rest_is_zero = digit == '0' && decimals.clone().all(|digit| digit == b'0');
                    let wanted = last_zero.is_some_and(|zero| index <= zero);
                    if !(self.fill && rest_is_zero && !wanted) {
                        text.push(digit);
                    }
                }
                Part::Comma if begun => text.push(','),
                Part::Comma if !self.fill => text.push(' '),
                Part::Comma => {}
                Part::Point => {
                    first.get_or_insert(text.len());
                    begun = true;
                    pointed = true;
                    text.push('.');
                }
                Part::Text(sign) => text.push(*sign),
                Part::Sign(sign) => text.push_str(match (sign, negative) {
                    (Sign::Both | Sign::Minus, true) => "-",
                    (Sign::Both | Sign::Plus, false) => "+",
                    (Sign::Minus, false) | (Sign::Plus, true) if self.fill => "",
                    (Sign::Minus, false) | (Sign::Plus, true) => " ",
                }),
            }
        }
        // A number without a digit before its point, and without decimals, is 0.
        if !begun && let Some(blank) = text.rfind(' ') {
            text.replace_range(blank..=blank, "0");
            first = Some(blank);
        } else if !begun {
            first = Some(text.len());
            text.push('0');
        }
        if signed && !self.brackets {
            return text;
        }
        self.signed(
            text,
            start.unwrap_or_default(),
            first.unwrap_or_default(),
            negative,
        )
    }

    fn signed(&self, mut text: String, start: usize, first: usize, negative: bool) -> String {
        if self.brackets {
            let (open, close) = match (negative, self.fill) {
                (true, _) => ("<", ">"),
                (false, true) => ("", ""),
                (false, false) => (" ", " "),
            };
            text.insert_str(first, open);
            text.push_str(close);
        } else {
            match (negative, self.fill) {
                (true, _) => text.insert(first, '-'),
                (false, true) => {}
                (false, false) => text.insert(start, ' '),
            }
        }
        text
    }

    /// As in PostgreSQL, a number that has more digits than its pattern is written as `#`.
    fn overflow(&self, out: &mut String) {
        if !self.fill {
            out.push(' ');
        }
        for part in &self.parts {
            match part {
                Part::Nine | Part::Zero => out.push('#'),
                Part::Comma => out.push(','),
                Part::Point => out.push('.'),
                Part::Text(sign) => out.push(*sign),
                Part::Sign(_) => {}
            }
        }
    }
}

/// Digits before and after the point, of which so many are after it, halves rounded away from zero.
fn round(whole: &str, decimals: &str, places: usize) -> String {
    let mut digits: Vec<u8> = whole
        .bytes()
        .chain(decimals.bytes().chain(std::iter::repeat(b'0')).take(places))
        .collect();
    let up = decimals
        .as_bytes()
        .get(places)
        .is_some_and(|digit| *digit >= b'5');
    if up {
        let mut carried = true;
        for digit in digits.iter_mut().rev() {
            match *digit {
                b'9' => *digit = b'0',
                _ => {
                    *digit += 1;
                    carried = false;
                    break;
                }
            }
        }
        if carried {
            digits.insert(0, b'1');
        }
    }
    digits.into_iter().map(char::from).collect()
}

fn invalid(pattern: &str) -> datafusion::common::DataFusionError {
    let shown: String = pattern.chars().take(60).collect();
    into_datafusion(
        Error::new(
            SqlState::InvalidParameterValue,
            format!("{shown:?} is no pattern of numbers"),
        )
        .with_hint("It is made of 9, 0, '.', ',', D, G, S, MI, PL, SG, PR, L, FM and quoted text."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, pattern: &str, expected: &str) {
        let mut out = String::new();
        NumberPattern::parse(pattern)
            .unwrap()
            .write(value, &mut out)
            .unwrap();
        assert_eq!(out, expected, "{value} as {pattern}");
    }

    #[test]
    fn as_postgresql_writes_them() {
        check("1234.5", "9,999.99", " 1,234.50");
        check("-1234.5", "9,999.99", "-1,234.50");
        check("12.345", "9,999.99", "    12.35");
        check("1234567", "9,999", " #,###");
        check("485", "999", " 485");
        check("-485", "999", "-485");
        check("485", "9999", "  485");
        check("-12", "9999", "  -12");
        check("485", "0999", " 0485");
        check("485", "FM9999", "485");
        check("0.1", "0.9", " 0.1");
        check("0.1", "FM9990.999", "0.1");
        check("1.5", "FM9.990", "1.500");
        check("0", "9999", "    0");
        check("0", "FM999", "0");
        check("0.1", "9.9", "  .1");
        check("148.5", "999.999", " 148.500");
        check("148.5", "FM999.999", "148.5");
        check("-485", "999PR", "<485>");
        check("485", "999PR", " 485 ");
        check("-485", "999MI", "485-");
        check("485", "999MI", "485 ");
        check("485", "S999", "+485");
        check("-485", "SG999", "-485");
        check("485", "L999", "$ 485");
        check("9.99", "9.9", " #.#");
        check("0.99", "9.9", " 1.0");
        check("7", "\"No \"00", "No  07");
        assert!(NumberPattern::parse("9EEEE").is_err());
    }
}
