//! Answers that lack some shards: which, how that is told, and where it is noted.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Shards that a warning names; it counts the rest.
const NAMED_MAX: usize = 8;

/// How much of an answer is there, and what is not. As JSON it is what a client reads beside the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    pub completed_shards: u64,
    pub total_shards: u64,
    pub missing_shards: Vec<MissingShard>,
}

/// A part of a table that an answer lacks: a shard, or a group of files where files are of no one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingShard {
    pub table: String,
    #[serde(flatten)]
    pub part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Shard(u32),
    ScanGroup(u32),
}

impl fmt::Display for MissingShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Shard(shard) => write!(f, "shard {shard} of {}", self.table),
            Part::ScanGroup(group) => write!(f, "scan group {group} of {}", self.table),
        }
    }
}

impl Partial {
    /// What a person reads.
    pub fn warning(&self) -> String {
        let mut named: Vec<_> = self
            .missing_shards
            .iter()
            .take(NAMED_MAX)
            .map(ToString::to_string)
            .collect();
        let rest = self.missing_shards.len() - named.len();
        if rest > 0 {
            named.push(format!("{rest} more"));
        }
        format!(
            "the answer is partial: {} of {} shards; missing: {}",
            self.completed_shards,
            self.total_shards,
            named.join(", ")
        )
    }

    /// Adds another part of the same answer.
    fn add(&mut self, other: Self) {
        self.completed_shards += other.completed_shards;
        self.total_shards += other.total_shards;
        self.missing_shards.extend(other.missing_shards);
    }
}

/// Where an answer says that it is partial, before its rows end. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct PartialNote(Arc<Mutex<Option<Partial>>>);

impl PartialNote {
    /// `None` for a whole answer, or one whose rows have not ended.
    pub fn get(&self) -> Option<Partial> {
        self.0.lock().clone()
    }

    pub fn set(&self, partial: Partial) {
        *self.0.lock() = Some(partial);
    }

    /// Notes a part of an answer that is made of several.
    pub fn add(&self, partial: Partial) {
        let mut noted = self.0.lock();
        match &mut *noted {
            Some(noted) => noted.add(partial),
            None => *noted = Some(partial),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(missing: impl IntoIterator<Item = Part>) -> Partial {
        let missing_shards: Vec<_> = missing
            .into_iter()
            .map(|part| MissingShard {
                table: "t".to_owned(),
                part,
            })
            .collect();
        Partial {
            completed_shards: 20 - missing_shards.len() as u64,
            total_shards: 20,
            missing_shards,
        }
    }

    #[test]
    fn as_json() {
        let partial = partial([Part::Shard(3), Part::ScanGroup(0)]);
        let json = r#"{"completed_shards":18,"total_shards":20,"missing_shards":[{"table":"t","shard":3},{"table":"t","scan_group":0}]}"#;
        assert_eq!(serde_json::to_string(&partial).unwrap(), json);
        assert_eq!(serde_json::from_str::<Partial>(json).unwrap(), partial);
    }

    #[test]
    fn warnings_name_some_and_count_the_rest() {
        assert_eq!(
            partial([Part::Shard(3), Part::ScanGroup(0)]).warning(),
            "the answer is partial: 18 of 20 shards; missing: shard 3 of t, scan group 0 of t"
        );
        let many = partial((0..10).map(Part::Shard)).warning();
        assert!(many.ends_with("shard 7 of t, 2 more"), "{many}");
    }

    #[test]
    fn parts_of_one_answer_add_up() {
        let note = PartialNote::default();
        assert_eq!(note.get(), None);
        note.add(partial([Part::Shard(1)]));
        note.clone().add(partial([Part::Shard(2)]));
        let noted = note.get().unwrap();
        assert_eq!((noted.completed_shards, noted.total_shards), (38, 40));
        assert_eq!(noted.missing_shards.len(), 2);
    }
}
