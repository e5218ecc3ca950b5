//! One question, asked with caches and without.

use std::collections::BTreeMap;

use super::questions::Question;
use super::tables::{MARK_SECONDS, seconds};
use crate::harness::{Failure, Session, Table};

/// Two sessions with the same settings, but that one has caches.
pub struct Pair {
    pub cached: Session,
    pub fresh: Session,
}

impl Pair {
    pub fn open(url: &str, settings: &[&str]) -> Self {
        let mut pair = Self {
            cached: Session::open(url),
            fresh: Session::open(url),
        };
        for setting in settings {
            pair.cached.run(setting);
            pair.fresh.run(setting);
        }
        for setting in [
            "SET watershed.result_cache = 'off'",
            "SET watershed.fragment_cache = 'off'",
        ] {
            pair.fresh.run(setting);
        }
        pair
    }
}

/// Rows with their types, or the error's code.
#[derive(Debug, PartialEq)]
pub struct Answer {
    types: String,
    rows: Vec<Vec<String>>,
    error: Option<String>,
}

impl Answer {
    /// Of a statement that may fail, but only as one about a table that is not there does.
    #[track_caller]
    pub fn of(session: &mut Session, sql: &str) -> Self {
        match session.query(sql) {
            Ok(table) => Self::rows(&table),
            Err(Failure { code: Some(code), .. }) if code == "42P01" => Self {
                types: String::new(),
                rows: Vec::new(),
                error: Some(code),
            },
            Err(failure) => panic!("{sql}\n{failure}"),
        }
    }

    pub fn rows(table: &Table) -> Self {
        Self {
            types: table.types(),
            rows: table.rows(),
            error: None,
        }
    }

    /// What differs from the right answer; rows in any order, floats by what two sums of them agree about.
    pub fn difference(&self, right: &Self) -> Option<String> {
        if (&self.error, &self.types) != (&right.error, &right.types) {
            return Some(format!(
                "{:?} of types {:?} instead of {:?} of {:?}",
                self.error, self.types, right.error, right.types
            ));
        }
        let (found, expected) = (self.sorted(), right.sorted());
        if found.len() != expected.len() {
            return Some(format!("{} rows instead of {}", found.len(), expected.len()));
        }
        found
            .iter()
            .zip(&expected)
            .find(|(found, expected)| !self.same(found, expected))
            .map(|(found, expected)| format!("{found:?} instead of {expected:?}"))
    }

    fn same(&self, left: &[String], right: &[String]) -> bool {
        let near = |left: &str, right: &str| match (left.parse::<f64>(), right.parse::<f64>()) {
            (Ok(left), Ok(right)) => (left - right).abs() <= 1e-9 * left.abs().max(right.abs()),
            _ => false,
        };
        self.types
            .chars()
            .zip(left.iter().zip(right))
            .all(|(letter, (left, right))| left == right || letter == 'R' && near(left, right))
    }

    fn sorted(&self) -> Vec<&[String]> {
        let exact = |row: &&[String]| -> Vec<String> {
            let lettered = self.types.chars().zip(*row);
            lettered
                .filter(|(letter, _)| *letter != 'R')
                .map(|(_, value)| value.clone())
                .collect()
        };
        let mut rows: Vec<_> = self.rows.iter().map(Vec::as_slice).collect();
        rows.sort_by_key(exact);
        rows
    }
}

/// What the system says of a run.
#[derive(Debug)]
pub struct Run {
    pub cache: String,
    pub reason: String,
    /// By table.
    pub versions: BTreeMap<String, String>,
    pub fragments_cached: u64,
}

/// The latest run of a statement. One that failed has none.
pub fn latest(observer: &mut Session, sql: &str) -> Option<Run> {
    let question = format!(
        "SELECT cache, cache_reason, table_versions, fragments_cached FROM system.queries \
         WHERE statement = '{}' AND state = 'finished' ORDER BY started_at DESC LIMIT 1",
        sql.replace('\'', "''")
    );
    let rows = observer.rows(&question);
    let row = rows.first()?;
    // Of what is not looked for in a cache, nothing is noted.
    let versions: BTreeMap<String, String> = match row[2].as_str() {
        "NULL" => BTreeMap::new(),
        text => serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}")),
    };
    Some(Run {
        cache: row[0].clone(),
        reason: row[1].clone(),
        versions,
        fragments_cached: row[3].parse().unwrap_or_default(),
    })
}

/// How often caches answered, which they have to for the test to be one.
#[derive(Debug, Default)]
pub struct Seen {
    pub decisions: BTreeMap<String, u64>,
    pub with_fragments: u64,
    /// Answers that said that they lack shards.
    pub partial: u64,
    /// Comparisons that were dropped, since time had moved a window on.
    pub moved_on: u64,
}

/// Asks in each spelling with caches, then without, and gives what is wrong.
pub fn compare(
    pair: &mut Pair,
    observer: &mut Session,
    question: &Question,
    spellings: &[String],
    newest: impl Fn(&str) -> u64,
    seen: &mut Seen,
) -> Result<(), String> {
    let before = seconds();
    let mut answers = Vec::new();
    for sql in spellings {
        let answer = Answer::of(&mut pair.cached, sql);
        let run = latest(observer, sql);
        answers.push((answer, run));
    }
    let right = Answer::of(&mut pair.fresh, &question.sql);
    let fresh = latest(observer, &question.sql);
    // In the second after a mark, events may just be passing.
    let moved = before.is_multiple_of(MARK_SECONDS) || before / MARK_SECONDS != seconds() / MARK_SECONDS;
    if question.reads_clock && moved {
        seen.moved_on += 1;
        return Ok(());
    }
    if right.error.is_none() {
        let fresh = fresh.as_ref().ok_or("the fresh run is not listed")?;
        if fresh.cache != "bypass" || fresh.fragments_cached > 0 {
            return Err(format!("the run without caches was {fresh:?}"));
        }
    }
    for (answer, run) in &answers {
        if let Some(difference) = answer.difference(&right) {
            return Err(format!("WRONG: {difference}\ncached: {run:?}\nfresh: {fresh:?}"));
        }
        let Some(run) = run.as_ref().filter(|_| right.error.is_none()) else {
            continue;
        };
        for (table, version) in &run.versions {
            let newest = newest(table).to_string();
            if *version != newest {
                return Err(format!(
                    "STALE: {table} is at version {newest}, not as in {run:?}"
                ));
            }
        }
        if run.cache != "bypass" && run.versions.is_empty() {
            return Err(format!("no versions are noted: {}: {run:?}", run.reason));
        }
        *seen.decisions.entry(run.cache.clone()).or_default() += 1;
        seen.with_fragments += u64::from(run.fragments_cached > 0);
    }
    Ok(())
}
