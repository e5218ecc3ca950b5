//! What product code does not say.

use super::{none, sources, test_sources};

/// Panics that lints would let through where an attribute allows them, one attribute each.
const PANICS: [&str; 6] = [
    ".unwrap()",
    ".expect(\"",
    "panic!(",
    "todo!(",
    "unimplemented!(",
    "dbg!(",
];

#[test]
fn product_code_does_not_panic() {
    let mut findings = Vec::new();
    for source in sources() {
        let found: Vec<_> = PANICS.iter().flat_map(|word| source.mentions(word)).collect();
        let reasons = source.product.matches("clippy::panic").count()
            + source.product.matches("clippy::unwrap_used").count()
            + source.product.matches("clippy::expect_used").count();
        if found.len() > reasons {
            findings.extend(found);
        }
    }
    none("Give an error instead of panicking.", &findings);
}

#[test]
fn nothing_is_switched_off() {
    let findings: Vec<_> = sources()
        .iter()
        .chain(&test_sources())
        .flat_map(|source| {
            ["#[ignore", "#[allow(", "#![allow("]
                .into_iter()
                .flat_map(move |attribute| {
                    source
                        .code
                        .lines()
                        .enumerate()
                        .filter(move |(_, line)| line.contains(attribute))
                        .map(move |(number, _)| format!("{}:{}: {attribute}", source.path, number + 1))
                })
        })
        .collect();
    none("Mend it, or use #[expect(…, reason = …)].", &findings);
}

#[test]
fn names_say_what_things_are() {
    let findings: Vec<_> = sources()
        .iter()
        .flat_map(|source| {
            source.product.lines().enumerate().filter_map(|(number, line)| {
                let name = line
                    .trim_start()
                    .trim_start_matches("pub ")
                    .trim_start_matches("(crate) ");
                let name = ["struct ", "enum ", "trait "]
                    .iter()
                    .find_map(|kind| name.strip_prefix(kind))?;
                let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
                ["Manager", "Helper", "Util", "Utils"]
                    .iter()
                    .any(|word| name.ends_with(word))
                    .then(|| format!("{}:{}: {name}", source.path, number + 1))
            })
        })
        .collect();
    none("A name that fits anything says nothing.", &findings);
}
