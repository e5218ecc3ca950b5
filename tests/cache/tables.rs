//! The tables that questions are asked about, and how they change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use crate::harness::Session;

pub const EVENTS: [&str; 2] = ["facts_a", "facts_b"];
pub const PLACES: &str = "places";
pub const VIEW: &str = "busy";

/// Events happen within a millisecond after whole half minutes, so that it is known when a window that ends now
/// changes.
pub const MARK_SECONDS: u64 = 30;
const NOTES_MAX: u32 = 2;

/// Seconds of now.
pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A table of events.
pub struct Events {
    pub name: &'static str,
    folder: PathBuf,
    notes: u32,
    /// The number of the next row, of which its values are made.
    next: u64,
}

impl Events {
    /// Makes the table in a random shape.
    pub fn create(session: &mut Session, random: &mut StdRng, name: &'static str, tables: &Path) -> Self {
        let columns = "id BIGINT, happened_at TIMESTAMP, edge STRING, bytes BIGINT, ms INT, score DOUBLE";
        let shape = [
            "",
            "CLUSTERED BY (id) INTO 2 BUCKETS",
            "CLUSTERED BY (id) INTO 6 BUCKETS",
            "PARTITIONED BY (edge)",
            "PARTITIONED BY (edge) CLUSTERED BY (id) SORTED BY (happened_at) INTO 3 BUCKETS",
        ]
        .choose(random)
        .unwrap();
        let folder = created(tables, || {
            session.run(&format!("CREATE TABLE {name} ({columns}) {shape}"));
        });
        Self {
            name,
            folder,
            notes: 0,
            next: random.random_range(0..1_000),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The statement that appends some rows.
    pub fn append(&mut self, random: &mut StdRng) -> String {
        let (from, rows) = self.rows(random);
        let at = at();
        format!(
            "INSERT INTO {} (id, happened_at, edge, bytes, ms, score)
             SELECT n % 500, to_timestamp_micros(({at} - n % 360 * {MARK_SECONDS}) * 1000000 + n % 1000),
               CASE n % 5 WHEN 0 THEN 'ams1' WHEN 1 THEN 'fra2' WHEN 2 THEN 'gru1' WHEN 3 THEN 'iad3' END,
               n * 13 % 10007, n * 7 % 997, n % 101 / 8.0
             FROM generate_series({from}, {}) AS s(n)",
            self.name,
            from + rows - 1
        )
    }

    /// What another writer does to it.
    pub fn foreign(&mut self, random: &mut StdRng) -> Value {
        let (of, rest) = (random.random_range(3..40), random.random_range(0..3));
        let part = format!("id % {of} = {rest}");
        match random.random_range(0..10) {
            0..3 => {
                let (from, rows) = self.rows(random);
                json!({ "do": "append", "from": from, "rows": rows, "at": at() })
            }
            3..5 => json!({ "do": "delete", "where": part }),
            5 => json!({ "do": "delete", "where": "edge = 'gru1'" }),
            6..8 => json!({ "do": "update", "set": { "bytes": "bytes + 1" }, "where": part }),
            _ => json!({ "do": "compact" }),
        }
    }

    /// The statement that adds a column, if it has not many yet.
    pub fn widen(&mut self) -> Option<String> {
        (self.notes < NOTES_MAX).then(|| {
            self.notes += 1;
            format!("ALTER TABLE {} ADD COLUMN note_{} STRING", self.name, self.notes)
        })
    }

    fn rows(&mut self, random: &mut StdRng) -> (u64, u64) {
        let rows = random.random_range(1..60) * random.random_range(1..60);
        let from = self.next;
        self.next += rows;
        (from, rows)
    }
}

/// The table that others are joined with.
pub struct Places {
    folder: PathBuf,
}

impl Places {
    pub fn create(session: &mut Session, tables: &Path) -> Self {
        let folder = created(tables, || {
            session.run(&format!("CREATE TABLE {PLACES} (edge STRING, country STRING)"));
        });
        session.run(&format!(
            "INSERT INTO {PLACES} VALUES ('ams1', 'NL'), ('fra2', 'DE'), ('gru1', 'BR'), ('iad3', 'US')"
        ));
        Self { folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What another writer does to it.
    pub fn foreign(random: &mut StdRng) -> Value {
        let (edge, country) = Self::place(random);
        match random.random_range(0..4) {
            0 => json!({ "do": "delete", "where": format!("edge = '{edge}' AND country = '{country}'") }),
            _ => json!({
                "do": "update",
                "set": { "country": format!("'{country}'") },
                "where": format!("edge = '{edge}'"),
            }),
        }
    }

    /// The statement that adds a place.
    pub fn append(random: &mut StdRng) -> String {
        let (edge, country) = Self::place(random);
        format!("INSERT INTO {PLACES} VALUES ('{edge}', '{country}')")
    }

    fn place(random: &mut StdRng) -> (&'static str, &'static str) {
        let edge = ["ams1", "fra2", "gru1", "iad3"].choose(random).unwrap();
        let country = ["NL", "DE", "BR", "US", "JP"].choose(random).unwrap();
        (edge, country)
    }
}

/// The statement that says anew what the view shows.
pub fn view(random: &mut StdRng) -> String {
    let (table, least) = (EVENTS.choose(random).unwrap(), random.random_range(0..8) * 1_000);
    format!(
        "CREATE OR REPLACE VIEW {VIEW} AS
         SELECT edge, count(*) AS n, sum(bytes) AS bytes FROM {table} WHERE bytes >= {least} GROUP BY edge"
    )
}

/// The newest version of a table, as its log says.
pub fn version(folder: &Path) -> u64 {
    let log = std::fs::read_dir(folder.join("_delta_log")).unwrap();
    log.filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().ok()?;
        name.strip_suffix(".json")?.parse().ok()
    })
    .max()
    .expect("a table has a version")
}

fn at() -> u64 {
    seconds() / MARK_SECONDS * MARK_SECONDS
}

/// The folder that some work adds to those of all tables.
fn created(tables: &Path, work: impl FnOnce()) -> PathBuf {
    let list = || -> BTreeSet<PathBuf> {
        let entries = std::fs::read_dir(tables).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let before = list();
    work();
    let added: Vec<_> = list().difference(&before).cloned().collect();
    let [folder] = added.as_slice() else {
        panic!("one folder was expected, not {added:?}")
    };
    folder.clone()
}
