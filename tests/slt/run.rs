//! Runs a file of the corpus in one shape of cluster.

use super::compare::difference;
use super::parse::{Expected, Record, Script};
use crate::harness::{Cluster, Failure, Options, Session, signal};
use crate::python::Bucket;

/// A shape of cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    One,
    Three,
    Killed,
    Bucket,
    Staged,
}

impl Shape {
    pub fn named(name: &str) -> Self {
        match name {
            "one" => Self::One,
            "three" => Self::Three,
            "killed" => Self::Killed,
            "bucket" => Self::Bucket,
            "staged" => Self::Staged,
            _ => panic!("unknown shape {name:?}"),
        }
    }

    /// How its cluster is started; the shape `bucket` needs the server beside it.
    fn options(self) -> (Options, Option<Bucket>) {
        match self {
            Self::One => (Options::executors(1), None),
            Self::Three | Self::Killed | Self::Staged => (Options::executors(3), None),
            Self::Bucket => {
                let bucket = Bucket::serve();
                (bucket.options(3, "slt"), Some(bucket))
            }
        }
    }

    /// Tables of tests are tiny, and such queries would stay in the scheduler.
    fn setting(self) -> Option<&'static str> {
        match self {
            Self::One => None,
            Self::Three | Self::Killed | Self::Bucket => Some("SET watershed.execution = 'pipelined'"),
            Self::Staged => Some("SET watershed.execution = 'staged'"),
        }
    }
}

/// Runs a file on a cluster of its own, and gives all differences.
pub fn run(script: &Script, shape: Shape) -> Vec<String> {
    let (options, _bucket) = shape.options();
    let cluster = Cluster::start(&options);
    let mut session = cluster.session();
    if let Some(setting) = shape.setting() {
        session.run(setting);
    }
    let records: Vec<_> = script
        .records
        .iter()
        .filter(|record| record.only.is_empty() || record.only.contains(&shape))
        .collect();
    let mut differences = Vec::new();
    for (index, record) in records.iter().enumerate() {
        if shape == Shape::Killed && index == records.len() / 2 {
            signal(cluster.executors()[1].pid, "KILL");
        }
        if let Some(difference) = check(&mut session, record) {
            let place = format!("{}:{}", script.path.display(), record.line);
            differences.push(format!(
                "{place}: in shape {shape:?}\n{}\n{difference}",
                record.sql
            ));
        }
    }
    differences
}

/// What differs from what is expected; `None` if nothing does.
fn check(session: &mut Session, record: &Record) -> Option<String> {
    let sql = record
        .sql
        .replace("$DATA", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
    match &record.expected {
        Expected::Ok => outcome(session, &sql)
            .err()
            .map(|failure| format!("  failed: {failure}")),
        Expected::Count(expected) => match session.update(&sql) {
            Ok(count) => (count != *expected).then(|| format!("  expected {expected} rows, got {count}")),
            Err(failure) => Some(format!("  failed: {failure}")),
        },
        Expected::Error { code, text } => match outcome(session, &sql) {
            Ok(()) => Some(format!(
                "  expected an error of SQLSTATE {code}, but it succeeded"
            )),
            Err(failure) => {
                let matches = failure.code.as_deref() == Some(code) && failure.text.contains(text);
                (!matches).then(|| format!("  expected SQLSTATE {code} {text}\n  got: {failure}"))
            }
        },
        Expected::Rows { types, order, rows } => match session.query(&sql) {
            Ok(table) if table.types() == *types => difference(types, *order, rows, &table.rows()),
            Ok(table) => Some(format!(
                "  expected columns {types}, got {} with the rows {:?}",
                table.types(),
                table.rows()
            )),
            Err(failure) => Some(format!("  failed: {failure}")),
        },
    }
}

/// Runs a statement as clients do: what gives rows as a query, all else as an update.
fn outcome(session: &mut Session, sql: &str) -> Result<(), Failure> {
    let first = sql.split_whitespace().next().unwrap_or_default().to_uppercase();
    if ["SELECT", "WITH", "VALUES", "SHOW", "DESCRIBE", "EXPLAIN", "TABLE"].contains(&first.as_str()) {
        session.query(sql).map(|_| ())
    } else {
        session.update(sql).map(|_| ())
    }
}
