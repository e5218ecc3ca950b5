//! The statements that a session knows by name, from PREPARE to DEALLOCATE.

use std::collections::BTreeMap;
use std::sync::Arc;

use watershed_core::{Error, Result, SqlState};

/// Statements of one session, and the bytes of their texts.
const STATEMENTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 1 << 20;

/// SQL text by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Prepared(BTreeMap<String, Arc<str>>);

impl Prepared {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn text(&self, name: &str) -> Result<Arc<str>> {
        self.0.get(name).cloned().ok_or_else(|| unknown(name))
    }

    pub(super) fn add(&mut self, name: &str, text: &str) -> Result<()> {
        if self.0.contains_key(name) {
            return Err(Error::new(
                SqlState::DuplicateObject,
                format!("prepared statement \"{name}\" exists already"),
            )
            .with_hint("DEALLOCATE it first."));
        }
        let bytes: usize = self.0.values().map(|text| text.len()).sum();
        if self.0.len() >= STATEMENTS_MAX || bytes + text.len() > BYTES_MAX {
            return Err(Error::new(
                SqlState::InsufficientResources,
                format!(
                    "a session prepares at most {STATEMENTS_MAX} statements, of {BYTES_MAX} bytes together"
                ),
            )
            .with_hint("DEALLOCATE some of them."));
        }
        self.0.insert(name.to_owned(), text.into());
        Ok(())
    }

    /// Forgets one, or with `None` all of them.
    pub(super) fn remove(&mut self, name: Option<&str>) -> Result<()> {
        match name {
            Some(name) => self.0.remove(name).map(drop).ok_or_else(|| unknown(name)),
            None => {
                self.0.clear();
                Ok(())
            }
        }
    }
}

fn unknown(name: &str) -> Error {
    Error::new(
        SqlState::InvalidStatementName,
        format!("prepared statement \"{name}\" does not exist"),
    )
    .with_hint("PREPARE it in this session.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_bounded() {
        let mut prepared = Prepared::default();
        prepared.add("a", "SELECT 1").unwrap();
        assert_eq!(
            prepared.add("a", "SELECT 2").unwrap_err().code(),
            SqlState::DuplicateObject
        );
        assert_eq!(&*prepared.text("a").unwrap(), "SELECT 1");
        let long = "x".repeat(BYTES_MAX);
        let error = prepared.add("b", &long).unwrap_err();
        assert_eq!(error.code(), SqlState::InsufficientResources);
        prepared.remove(Some("a")).unwrap();
        assert_eq!(
            prepared.remove(Some("a")).unwrap_err().code(),
            SqlState::InvalidStatementName
        );
        prepared.add("b", "SELECT 1").unwrap();
        prepared.remove(None).unwrap();
        assert!(prepared.is_empty());
    }
}
