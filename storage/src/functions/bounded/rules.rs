//! Which functions make more than they get, and how much.
//!
//! A function that is not listed makes at most a small multiple of what it gets, however often it is called on its own
//! result, and takes time in proportion to it. A test holds every function that is registered against the two lists.

use std::collections::HashMap;
use std::sync::LazyLock;

use arrow::datatypes::DataType;

use super::call::Call;
use super::sizes::width;

/// A figure of one row.
pub(super) type Figure = fn(&Call<'_>, usize) -> u64;

/// What is known of a function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// The most bytes of a result.
    pub(super) bytes: Option<Figure>,
    /// Closer to the truth, and slower to find.
    pub(super) exact: Option<Figure>,
    /// Whether a result has no more than the arguments together, which is found for all rows at once.
    pub(super) sum: bool,
    /// The steps that it takes, where they are more than bytes.
    pub(super) steps: Option<Figure>,
}

const fn rule(name: &'static str) -> Rule {
    Rule {
        name,
        bytes: None,
        exact: None,
        sum: false,
        steps: None,
    }
}

const fn sized(name: &'static str, bytes: Figure) -> Rule {
    Rule {
        bytes: Some(bytes),
        ..rule(name)
    }
}

const fn summed(name: &'static str) -> Rule {
    Rule {
        sum: true,
        ..sized(name, sum)
    }
}

const fn slow(name: &'static str, steps: Figure) -> Rule {
    Rule {
        steps: Some(steps),
        ..rule(name)
    }
}

const RULES: &[Rule] = &[
    summed("array_append"),
    summed("array_concat"),
    rule("array_has"),
    slow("array_has_all", pairs_of_elements),
    slow("array_has_any", pairs_of_elements),
    rule("array_position"),
    rule("array_positions"),
    summed("array_prepend"),
    rule("array_remove"),
    rule("array_remove_all"),
    rule("array_remove_n"),
    sized("array_repeat", repeated),
    sized("array_replace", element_replaced),
    sized("array_replace_all", elements_replaced),
    sized("array_replace_n", elements_replaced),
    sized("array_resize", resized),
    sized("array_to_string", joined),
    summed("array_union"),
    sized("arrays_zip", zipped),
    rule("arrow_cast"),
    rule("arrow_try_cast"),
    summed("concat"),
    sized("concat_ws", joined_with_separator),
    sized("encode", twice),
    sized("generate_series", series),
    slow("json_contains", pairs_of_bytes),
    slow("json_holds", pairs_of_bytes),
    slow("levenshtein", pairs_of_bytes),
    sized("like_escape", twice),
    sized("lpad", padded),
    summed("make_array"),
    summed("overlay"),
    sized("range", series),
    slow("regexp_count", matched),
    slow("regexp_instr", matched),
    slow("regexp_like", matched),
    Rule {
        bytes: Some(captured),
        ..slow("regexp_match", matched)
    },
    Rule {
        bytes: Some(pattern_replaced),
        exact: Some(matches_replaced),
        ..slow("regexp_replace", matched)
    },
    sized("repeat", repeated),
    Rule {
        exact: Some(occurrences_replaced),
        ..sized("replace", replaced)
    },
    sized("rpad", padded),
    sized("similar_to_escape", thrice),
    summed(super::super::text_concat::NAME),
    sized("to_char", formatted),
    sized("translate", translated),
];

pub(super) fn of(name: &str) -> Option<&'static Rule> {
    static BY_NAME: LazyLock<HashMap<&str, &Rule>> =
        LazyLock::new(|| RULES.iter().map(|rule| (rule.name, rule)).collect());
    BY_NAME.get(name).copied()
}

#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.name)
}

fn sum(call: &Call<'_>, row: usize) -> u64 {
    (0..call.args())
        .map(|arg| call.bytes(arg, row))
        .fold(0, u64::saturating_add)
}

fn twice(call: &Call<'_>, row: usize) -> u64 {
    call.bytes(0, row).saturating_mul(2)
}

fn thrice(call: &Call<'_>, row: usize) -> u64 {
    call.bytes(0, row).saturating_mul(3)
}

/// `repeat(value, times)`. A NULL that is an element of a list takes room too.
fn repeated(call: &Call<'_>, row: usize) -> u64 {
    let least = call
        .kind(0)
        .map_or(0, |kind| if kind.is_string() { 0 } else { width(kind).max(1) });
    call.bytes(0, row).max(least).saturating_mul(call.times(1, row))
}

/// `lpad(text, characters, fill)`.
fn padded(call: &Call<'_>, row: usize) -> u64 {
    let width = call.text(2, row).map_or(1, widest);
    let filled = call.times(1, row).saturating_mul(width);
    call.bytes(0, row).saturating_add(filled)
}

/// The bytes of the largest character.
fn widest(text: &str) -> u64 {
    match text.is_ascii() {
        true => 1,
        false => text.chars().map(char::len_utf8).max().unwrap_or(1) as u64,
    }
}

/// `replace(text, from, to)`, as if the text were nothing but `from`.
fn replaced(call: &Call<'_>, row: usize) -> u64 {
    let (text, from, to) = (call.bytes(0, row), call.bytes(1, row), call.bytes(2, row));
    if to <= from {
        return text;
    }
    (text / from.max(1) + 1).saturating_mul(to).saturating_add(text)
}

fn occurrences_replaced(call: &Call<'_>, row: usize) -> u64 {
    let (Some(text), Some(from), Some(to)) = (call.text(0, row), call.text(1, row), call.text(2, row)) else {
        return replaced(call, row);
    };
    let times = text.matches(from).count() as u64;
    let removed = times.saturating_mul(from.len() as u64);
    let added = times.saturating_mul(to.len() as u64);
    (text.len() as u64).saturating_sub(removed).saturating_add(added)
}

/// `regexp_replace(text, pattern, to, flags)`. What a pattern captures is within the text, as often as `to` names it.
fn pattern_replaced(call: &Call<'_>, row: usize) -> u64 {
    let (text, to) = (call.bytes(0, row), call.bytes(2, row));
    let all = call.text(3, row).is_some_and(|flags| flags.contains('g'));
    let matches = if all { text + 1 } else { 1 };
    with_captures(call, row, matches, to)
}

fn with_captures(call: &Call<'_>, row: usize, matches: u64, to: u64) -> u64 {
    let captures = call.text(2, row).map_or(0, |to| to.matches(['\\', '$']).count()) as u64;
    let captured = call.bytes(0, row).saturating_mul(captures + 1);
    captured.saturating_add(matches.saturating_mul(to))
}

fn matches_replaced(call: &Call<'_>, row: usize) -> u64 {
    let (Some(text), Some(pattern)) = (call.text(0, row), call.text(1, row)) else {
        return pattern_replaced(call, row);
    };
    let flags: String = call.text(3, row).unwrap_or_default().replace('g', "");
    let pattern = match flags.is_empty() {
        true => pattern.to_owned(),
        false => format!("(?{flags}){pattern}"),
    };
    match regex::Regex::new(&pattern) {
        Ok(pattern) => with_captures(
            call,
            row,
            pattern.find_iter(text).count() as u64,
            call.bytes(2, row),
        ),
        // The function itself says what is wrong with it.
        Err(_) => pattern_replaced(call, row),
    }
}

/// `regexp_match(text, pattern)`: a text for each group.
fn captured(call: &Call<'_>, row: usize) -> u64 {
    let groups = call
        .text(1, row)
        .map_or(0, |pattern| pattern.matches('(').count()) as u64;
    call.bytes(0, row).saturating_mul(groups + 1)
}

/// `translate(text, from, to)`.
fn translated(call: &Call<'_>, row: usize) -> u64 {
    call.bytes(0, row)
        .saturating_mul(call.text(2, row).map_or(1, widest))
}

/// `to_char(value, pattern)`: the longest names of parts of a pattern.
fn formatted(call: &Call<'_>, row: usize) -> u64 {
    call.bytes(1, row).saturating_mul(32)
}

/// `concat_ws(separator, …)`.
fn joined_with_separator(call: &Call<'_>, row: usize) -> u64 {
    let separators = (call.args() as u64).saturating_mul(call.bytes(0, row));
    sum(call, row).saturating_add(separators)
}

/// `array_to_string(list, separator, null)`. A number has more digits than bytes.
fn joined(call: &Call<'_>, row: usize) -> u64 {
    let texts = match call.kind(0) {
        Some(DataType::List(item) | DataType::LargeList(item)) => item.data_type().is_string(),
        _ => false,
    };
    let elements = call.bytes(0, row).saturating_mul(if texts { 1 } else { 4 });
    let between = call.bytes(1, row).saturating_add(call.bytes(2, row));
    let count = match texts {
        true => call.elements(0, row),
        // Of lists in lists, their elements.
        false => call.elements(0, row).max(call.bytes(0, row)),
    };
    elements.saturating_add(count.saturating_mul(between))
}

/// `array_resize(list, elements, value)`.
fn resized(call: &Call<'_>, row: usize) -> u64 {
    let least = match call.kind(0) {
        Some(DataType::List(item) | DataType::LargeList(item)) => width(item.data_type()).max(1),
        _ => 1,
    };
    let added = call.times(1, row).saturating_mul(call.bytes(2, row).max(least));
    call.bytes(0, row).saturating_add(added)
}

/// `array_replace(list, from, to)`.
fn element_replaced(call: &Call<'_>, row: usize) -> u64 {
    call.bytes(0, row).saturating_add(call.bytes(2, row))
}

fn elements_replaced(call: &Call<'_>, row: usize) -> u64 {
    let added = call.elements(0, row).saturating_mul(call.bytes(2, row));
    call.bytes(0, row).saturating_add(added)
}

/// `arrays_zip(list, …)`: as many rows as the longest list has.
fn zipped(call: &Call<'_>, row: usize) -> u64 {
    let longest = (0..call.args()).map(|arg| call.elements(arg, row)).max();
    let filled = longest
        .unwrap_or(0)
        .saturating_mul(8)
        .saturating_mul(call.args() as u64);
    sum(call, row).saturating_add(filled)
}

/// `range(from, to, step)`.
fn series(call: &Call<'_>, row: usize) -> u64 {
    let times = !call.kind(0).is_some_and(DataType::is_integer);
    let from = match call.args() {
        1 => Some(0),
        _ => call.number(0, row),
    };
    let to = call.number(usize::from(call.args() > 1), row);
    let step = match call.args() {
        0..=2 => Some(if times { 86_400_000_000_000 } else { 1 }),
        _ => call.number(2, row),
    };
    let (Some(from), Some(to), Some(step)) = (from, to, step) else {
        return 0;
    };
    let span = i128::from(to) - i128::from(from);
    let span = if times { span * 1_000_000 } else { span };
    if step == 0 || (span < 0) != (step < 0) {
        return 0;
    }
    let count = u64::try_from(span / i128::from(step) + 1).unwrap_or(u64::MAX);
    count.saturating_mul(if times { 16 } else { 8 })
}

fn pairs_of_bytes(call: &Call<'_>, row: usize) -> u64 {
    call.bytes(0, row).saturating_mul(call.bytes(1, row))
}

fn pairs_of_elements(call: &Call<'_>, row: usize) -> u64 {
    call.elements(0, row).saturating_mul(call.elements(1, row))
}

/// A pattern is tried at every place of a text; most of it fails early.
fn matched(call: &Call<'_>, row: usize) -> u64 {
    pairs_of_bytes(call, row) / 16
}
