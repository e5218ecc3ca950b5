//! Versions that must agree, because values of their types travel between libraries.

use std::collections::BTreeMap;

use super::{none, read};

const SINGLE: [&str; 12] = [
    "arrow",
    "arrow-array",
    "arrow-flight",
    "arrow-schema",
    "datafusion",
    "datafusion-proto",
    "deltalake-core",
    "object_store",
    "parquet",
    "prost",
    "sqlparser",
    "tonic",
];

#[test]
fn the_engine_is_there_once() {
    let lock = read("Cargo.lock");
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value.trim_matches('"');
        } else if let Some(value) = line.strip_prefix("version = ") {
            versions.entry(name).or_default().push(value.trim_matches('"'));
        }
    }
    let findings: Vec<_> = SINGLE
        .iter()
        .filter_map(|name| {
            let found = versions.get(name).map_or(&[][..], Vec::as_slice);
            (found.len() != 1).then(|| format!("{name}: {found:?}"))
        })
        .collect();
    none("One version of each in Cargo.lock.", &findings);
}
