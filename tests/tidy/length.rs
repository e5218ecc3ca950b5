//! A file that is too long has two ideas in it.

use std::collections::BTreeMap;

use super::{none, read, sources, test_sources};

/// Lines of a file, its unit tests not counted.
const LINES_MAX: usize = 400;
const RATCHET: &str = "tests/tidy/ratchet.txt";

/// Files that were longer when the rule came, and how long they may be. The list only shrinks.
fn ratchet() -> BTreeMap<String, usize> {
    read(RATCHET)
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (lines, path) = line.split_once(' ').expect("LINES PATH");
            (path.to_owned(), lines.parse().expect("a number of lines"))
        })
        .collect()
}

#[test]
fn files_are_short() {
    let mut exceptions = ratchet();
    let mut findings = Vec::new();
    for source in sources().into_iter().chain(test_sources()) {
        // What is blank because it is for tests only does not count; what was blank anyway does.
        let counted = if source.path.starts_with("tests/") {
            &source.code
        } else {
            &source.product
        };
        let tests = source
            .code
            .lines()
            .zip(counted.lines())
            .filter(|(all, kept)| all != kept)
            .count();
        let lines = if counted.is_empty() {
            0
        } else {
            source.text.lines().count() - tests
        };
        let allowed = exceptions.remove(&source.path);
        match allowed {
            None if lines > LINES_MAX => {
                findings.push(format!("{} has {lines} lines, {LINES_MAX} at most", source.path));
            }
            Some(allowed) if lines > allowed => {
                findings.push(format!(
                    "{} has grown from {allowed} to {lines} lines",
                    source.path
                ));
            }
            Some(_) if lines <= LINES_MAX => {
                findings.push(format!("{} is short now: strike it from {RATCHET}", source.path));
            }
            None | Some(_) => {}
        }
    }
    findings.extend(
        exceptions
            .into_keys()
            .map(|path| format!("{path} is gone: strike it from {RATCHET}")),
    );
    none("Split what is too long by what it is about.", &findings);
}
