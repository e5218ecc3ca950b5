//! What differs between two answers.

use std::cmp::Ordering;

use super::Cell;

/// Sums of floats depend on the order of addition: so much of the value may differ.
const TOLERANCE: f64 = 1e-9;

/// What differs, told for people; nothing if the answers agree. Rows are compared in their order.
pub(crate) fn difference(expected: &[Vec<Cell>], found: &[Vec<Cell>]) -> Option<String> {
    if expected.len() != found.len() {
        return Some(format!("{} rows instead of {}", found.len(), expected.len()));
    }
    expected
        .iter()
        .zip(found)
        .enumerate()
        .find_map(|(number, (expected, found))| {
            let agrees = expected.len() == found.len()
                && expected
                    .iter()
                    .zip(found)
                    .all(|(expected, found)| agree(expected, found));
            (!agrees).then(|| {
                format!(
                    "row {} is {} instead of {}",
                    number + 1,
                    tell(found),
                    tell(expected)
                )
            })
        })
}

/// The rows in an order that depends on the values alone. Floats come last in it, as two answers may
/// differ in their last digits.
pub(crate) fn sorted(mut rows: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    let exact = |row: &Vec<Cell>| -> Vec<Cell> {
        row.iter()
            .filter(|cell| !matches!(cell, Cell::Float(_)))
            .cloned()
            .collect()
    };
    let by = |left: &[Cell], right: &[Cell]| {
        left.iter()
            .zip(right)
            .map(|(left, right)| order(left, right))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    rows.sort_by(|left, right| by(&exact(left), &exact(right)).then_with(|| by(left, right)));
    rows
}

fn agree(expected: &Cell, found: &Cell) -> bool {
    match (expected, found) {
        (Cell::Float(expected), Cell::Float(found)) => near(*expected, *found),
        // An average of integers may be asked as a float and expected as a number, or the reverse.
        // Of decimals, one engine gives a float and another a decimal that is cut behind its last digit.
        (Cell::Float(float), number @ Cell::Number { scale, .. })
        | (number @ Cell::Number { scale, .. }, Cell::Float(float)) => {
            let digit = if *scale > 0 {
                10_f64.powi(-i32::from(*scale))
            } else {
                0.0
            };
            near(*float, value(number)) || (float - value(number)).abs() < digit
        }
        (expected, found) => expected == found,
    }
}

fn near(expected: f64, found: f64) -> bool {
    expected == found
        || expected.is_nan() && found.is_nan()
        || (expected - found).abs() <= TOLERANCE * expected.abs().max(found.abs())
}

fn value(cell: &Cell) -> f64 {
    match cell {
        Cell::Number { digits, scale } => *digits as f64 / 10_f64.powi(i32::from(*scale)),
        Cell::Float(value) => *value,
        Cell::Null | Cell::Text(_) => f64::NAN,
    }
}

fn order(left: &Cell, right: &Cell) -> Ordering {
    const fn rank(cell: &Cell) -> u8 {
        match cell {
            Cell::Null => 0,
            Cell::Number { .. } | Cell::Float(_) => 1,
            Cell::Text(_) => 2,
        }
    }
    match (left, right) {
        (Cell::Text(left), Cell::Text(right)) => left.cmp(right),
        _ => rank(left)
            .cmp(&rank(right))
            .then_with(|| value(left).total_cmp(&value(right))),
    }
}

fn tell(row: &[Cell]) -> String {
    let cells: Vec<_> = row
        .iter()
        .map(|cell| match cell {
            Cell::Null => "NULL".to_owned(),
            Cell::Number { digits, scale: 0 } => digits.to_string(),
            Cell::Number { .. } | Cell::Float(_) => value(cell).to_string(),
            Cell::Text(text) => format!("'{text}'"),
        })
        .collect();
    format!("({})", cells.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: Cell, found: Cell, agrees: bool) {
        let found = difference(&[vec![expected]], &[vec![found]]);
        assert_eq!(found.is_none(), agrees, "{found:?}");
    }

    #[test]
    fn floats_are_near_and_the_rest_is_exact() {
        check(Cell::Float(1.0), Cell::Float(1.0 + 1e-12), true);
        check(Cell::Float(1.0), Cell::Float(1.0 + 1e-6), false);
        check(Cell::int(1), Cell::Float(1.0), true);
        check(Cell::int(1_i64 << 60), Cell::int((1_i64 << 60) + 1), false);
        check(Cell::Null, Cell::int(0), false);
        check(Cell::Float(f64::NAN), Cell::Float(f64::NAN), true);
        check(Cell::text("a"), Cell::text("a "), false);
    }

    #[test]
    fn differences_are_told() {
        let rows = |values: &[i64]| {
            values
                .iter()
                .map(|value| vec![Cell::int(*value)])
                .collect::<Vec<_>>()
        };
        assert_eq!(
            difference(&rows(&[1, 2]), &rows(&[1])).unwrap(),
            "1 rows instead of 2"
        );
        assert_eq!(
            difference(&rows(&[1, 2]), &rows(&[1, 3])).unwrap(),
            "row 2 is (3) instead of (2)"
        );
    }

    #[test]
    fn order_does_not_hang_on_the_last_digit() {
        let row = |float: f64, text: &str| vec![Cell::Float(float), Cell::text(text)];
        let left = sorted(vec![row(1.0, "b"), row(1.0 + 1e-15, "a")]);
        let right = sorted(vec![row(1.0 + 1e-15, "b"), row(1.0, "a")]);
        assert_eq!(difference(&left, &right), None);
    }
}
