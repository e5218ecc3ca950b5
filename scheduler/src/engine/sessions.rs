//! Sessions: a client's settings and current schema, bounded in number and idle time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use watershed_core::clock::Clock;
use watershed_core::id::SessionId;
use watershed_core::settings::Settings;
use watershed_core::{Error, Result, SqlState};
use watershed_sql::catalog::PUBLIC_SCHEMA;

use crate::flight::{Principal, SessionKey};

/// More sessions than this push out the one idle for longest.
const MAX_SESSIONS: usize = 10_000;
/// A session idle for longer than this ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// One client's session.
#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    pub principal: Principal,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    settings: Settings,
    schema: String,
}

impl Session {
    pub fn settings(&self) -> Settings {
        self.state.lock().settings.clone()
    }

    pub fn schema(&self) -> String {
        self.state.lock().schema.clone()
    }

    /// Sets a setting, or with `None` goes back to its default.
    pub fn set(&self, name: &str, value: Option<&str>) -> Result<()> {
        let mut state = self.state.lock();
        match value {
            Some(value) => state.settings.set(name, value),
            None => state.settings.reset(name),
        }
    }

    pub fn use_schema(&self, schema: &str) {
        schema.clone_into(&mut self.state.lock().schema);
    }
}

struct Entry {
    session: Arc<Session>,
    key: SessionKey,
    used: Duration,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<SessionId, Entry>,
    by_key: HashMap<(SessionKey, Principal), SessionId>,
}

impl Table {
    fn remove(&mut self, id: SessionId) {
        if let Some(entry) = self.by_id.remove(&id) {
            self.by_key.remove(&(entry.key, entry.session.principal.clone()));
        }
    }
}

/// All sessions of a scheduler.
pub struct Sessions {
    clock: Arc<dyn Clock>,
    table: Mutex<Table>,
}

impl Sessions {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            table: Mutex::default(),
        }
    }

    /// The session of a key, made where there is none. Another principal with the same key has
    /// another session.
    pub fn open(&self, key: &SessionKey, principal: &Principal) -> Arc<Session> {
        let now = self.clock.elapsed();
        let mut table = self.table.lock();
        let known = (key.clone(), principal.clone());
        if let Some(id) = table.by_key.get(&known).copied() {
            match table.by_id.get_mut(&id) {
                Some(entry) if now.saturating_sub(entry.used) <= IDLE_TIMEOUT => {
                    entry.used = now;
                    return Arc::clone(&entry.session);
                }
                Some(_) | None => table.remove(id),
            }
        }
        if table.by_id.len() >= MAX_SESSIONS {
            make_room(&mut table, now);
        }
        let session = Arc::new(Session {
            id: SessionId::generate(),
            principal: principal.clone(),
            state: Mutex::new(State {
                settings: Settings::default(),
                schema: PUBLIC_SCHEMA.to_owned(),
            }),
        });
        table.by_key.insert(known, session.id);
        table.by_id.insert(
            session.id,
            Entry {
                session: Arc::clone(&session),
                key: key.clone(),
                used: now,
            },
        );
        session
    }

    /// A session by its id.
    pub fn get(&self, id: SessionId) -> Result<Arc<Session>> {
        let now = self.clock.elapsed();
        let mut table = self.table.lock();
        match table.by_id.get_mut(&id) {
            Some(entry) => {
                entry.used = now;
                Ok(Arc::clone(&entry.session))
            }
            None => Err(
                Error::new(SqlState::ObjectNotInPrerequisiteState, "the session has ended")
                    .with_hint("Connect again."),
            ),
        }
    }

    pub fn close(&self, id: SessionId) {
        self.table.lock().remove(id);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let table = self.table.lock();
        assert_eq!(table.by_id.len(), table.by_key.len());
        table.by_id.len()
    }
}

/// Drops what is idle for too long; where nothing is, what is idle for longest.
fn make_room(table: &mut Table, now: Duration) {
    let expired: Vec<_> = table
        .by_id
        .iter()
        .filter(|(_, entry)| now.saturating_sub(entry.used) > IDLE_TIMEOUT)
        .map(|(id, _)| *id)
        .collect();
    let oldest = || {
        table
            .by_id
            .iter()
            .min_by_key(|(_, entry)| entry.used)
            .map(|(id, _)| *id)
    };
    let victims = if expired.is_empty() {
        oldest().into_iter().collect()
    } else {
        expired
    };
    for id in victims {
        table.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use watershed_core::clock::ManualClock;

    use super::*;

    #[test]
    fn a_key_and_a_principal_name_a_session() {
        let sessions = Sessions::new(Arc::new(ManualClock::default()));
        let (a, b) = (SessionKey::new("a"), SessionKey::new("b"));
        let (ann, bob) = (Principal::new("ann"), Principal::new("bob"));
        let first = sessions.open(&a, &ann);
        assert_eq!(sessions.open(&a, &ann).id, first.id);
        assert_ne!(sessions.open(&a, &bob).id, first.id);
        assert_ne!(sessions.open(&b, &ann).id, first.id);
        assert_eq!(sessions.len(), 3);
        first.set("timezone", Some("Asia/Tokyo")).unwrap();
        assert_eq!(
            sessions.get(first.id).unwrap().settings().time_zone(),
            "Asia/Tokyo"
        );
        assert_eq!(sessions.open(&a, &bob).settings().time_zone(), "UTC");
        sessions.close(first.id);
        assert_eq!(
            sessions.get(first.id).unwrap_err().code(),
            SqlState::ObjectNotInPrerequisiteState
        );
    }

    #[test]
    fn their_number_and_idle_time_are_bounded() {
        let clock = Arc::new(ManualClock::default());
        let sessions = Sessions::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let principal = Principal::new(Principal::ANONYMOUS);
        let first = sessions.open(&SessionKey::new("0"), &principal);
        for index in 1..=MAX_SESSIONS {
            clock.advance(Duration::from_millis(1));
            sessions.open(&SessionKey::new(index.to_string()), &principal);
        }
        assert_eq!(sessions.len(), MAX_SESSIONS);
        assert!(sessions.get(first.id).is_err());
        let idle = sessions.open(&SessionKey::new("1"), &principal);
        clock.advance(IDLE_TIMEOUT + Duration::from_secs(1));
        assert_ne!(sessions.open(&SessionKey::new("1"), &principal).id, idle.id);
    }
}
