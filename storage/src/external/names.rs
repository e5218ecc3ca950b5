//! Which columns of a file are meant by the names of a table's columns.

use std::collections::{HashMap, HashSet};

use watershed_core::error::{Error, Result, SqlState};

/// For each name of a table's column, the place of the file's column that is meant; `None` where the file has no
/// such column. Names are equal exactly or, where that leaves one choice, without regard to case.
pub(super) fn places<'a>(
    wanted: impl Iterator<Item = &'a str> + Clone,
    found: impl Iterator<Item = &'a str>,
) -> Result<Vec<Option<usize>>> {
    let mut exact: HashMap<&str, usize> = HashMap::new();
    for (place, name) in found.enumerate() {
        // Of several columns of one name, the first is meant.
        exact.entry(name).or_insert(place);
    }
    let mut places: Vec<Option<usize>> = wanted.clone().map(|name| exact.get(name).copied()).collect();
    if places.iter().all(Option::is_some) {
        return Ok(places);
    }
    let taken: HashSet<usize> = places.iter().flatten().copied().collect();
    let mut folded: HashMap<String, Vec<usize>> = HashMap::new();
    for (name, place) in exact {
        if !taken.contains(&place) {
            folded.entry(name.to_lowercase()).or_default().push(place);
        }
    }
    let mut given = HashSet::new();
    for (name, place) in wanted.zip(&mut places) {
        if place.is_some() {
            continue;
        }
        match folded.get(&name.to_lowercase()).map(Vec::as_slice) {
            None => {}
            Some([only]) if given.insert(*only) => *place = Some(*only),
            Some(_) => {
                return Err(Error::new(
                    SqlState::AmbiguousColumn,
                    format!("column \"{name}\" may be several columns, whose names differ by case alone"),
                )
                .with_hint("Declare the columns with the names that the files have, in double quotes."));
            }
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_case() {
        fn check(wanted: &[&str], found: &[&str], expected: Option<&[Option<usize>]>) {
            let places = places(wanted.iter().copied(), found.iter().copied());
            assert_eq!(places.ok().as_deref(), expected, "{wanted:?} {found:?}");
        }
        check(&["id", "b"], &["a", "ID"], Some(&[Some(1), None]));
        check(&["name", "Name"], &["Name", "name"], Some(&[Some(1), Some(0)]));
        check(&["NAME"], &["Name", "name"], None);
        check(&["id", "ID"], &["ID"], Some(&[None, Some(0)]));
        check(&["Id", "iD"], &["ID"], None);
        check(&["name", "nAME"], &["Name", "name"], Some(&[Some(1), Some(0)]));
        check(&["x"], &["x", "x"], Some(&[Some(0)]));
    }
}
