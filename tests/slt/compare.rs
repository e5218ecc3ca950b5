//! Whether an answer is the expected one.

use super::parse::Order;

/// What differs between the expected rows and those of an answer, each of them blank-separated
/// values; `None` if nothing does.
pub fn difference(types: &str, order: Order, expected: &[String], answer: &[Vec<String>]) -> Option<String> {
    let mut expected: Vec<_> = expected.to_vec();
    let mut answer: Vec<_> = answer.iter().map(|row| one_line(row)).collect();
    if order == Order::Sorted {
        expected.sort();
        answer.sort();
    }
    let same = expected.len() == answer.len()
        && expected
            .iter()
            .zip(&answer)
            .all(|(expected, answer)| same_row(types, expected, answer));
    (!same).then(|| {
        let show = |rows: &[String]| rows.iter().map(|row| format!("    {row}\n")).collect::<String>();
        format!("  expected:\n{}  got:\n{}", show(&expected), show(&answer))
    })
}

fn one_line(row: &[String]) -> String {
    row.iter()
        .flat_map(|value| value.split_whitespace())
        .collect::<Vec<_>>()
        .join(" ")
}

fn same_row(types: &str, expected: &str, answer: &str) -> bool {
    if expected == answer {
        return true;
    }
    // Only reals may differ, and only where each value is one word, so that columns can be told.
    let expected: Vec<_> = expected.split(' ').collect();
    let answer: Vec<_> = answer.split(' ').collect();
    expected.len() == types.len()
        && answer.len() == types.len()
        && types
            .chars()
            .zip(expected.iter().zip(&answer))
            .all(|(letter, (expected, answer))| expected == answer || letter == 'R' && near(expected, answer))
}

fn near(expected: &str, answer: &str) -> bool {
    match (expected.parse::<f64>(), answer.parse::<f64>()) {
        (Ok(expected), Ok(answer)) => (expected - answer).abs() <= 1e-9 * expected.abs().max(answer.abs()),
        _ => false,
    }
}

#[test]
fn rows_compare() {
    let rows = |rows: &[&str]| rows.iter().map(|row| row.to_string()).collect::<Vec<_>>();
    let answer = |rows: &[&[&str]]| {
        rows.iter()
            .map(|row| row.iter().map(|value| value.to_string()).collect())
            .collect::<Vec<Vec<_>>>()
    };
    let check = |types, order, expected: &[&str], got: &[&[&str]]| {
        difference(types, order, &rows(expected), &answer(got)).is_none()
    };
    assert!(check("IT", Order::Given, &["1 a b"], &[&["1", "a  b"]]));
    assert!(!check("I", Order::Given, &["1", "2"], &[&["2"], &["1"]]));
    assert!(check("I", Order::Sorted, &["1", "2"], &[&["2"], &["1"]]));
    assert!(check("R", Order::Given, &["0.3"], &[&["0.30000000000000004"]]));
    assert!(!check("R", Order::Given, &["0.3"], &[&["0.3001"]]));
    assert!(!check("T", Order::Given, &["0.3"], &[&["0.30000000000000004"]]));
    assert!(!check("I", Order::Given, &["1"], &[]));
}
