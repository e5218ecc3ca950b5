//! Sessions: a client's settings, current schema and temporary objects, bounded in number and idle
//! time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use watershed_core::clock::Clock;
use watershed_core::id::{SessionId, TableId};
use watershed_core::settings::Settings;
use watershed_core::{Error, Result, SqlState};
use watershed_sql::catalog::{Catalog, Op, PUBLIC_SCHEMA, Temporary};
use watershed_storage::layout::TableLayout;

use super::prepared::Prepared;
use crate::flight::{Principal, SessionKey};

/// More sessions than this push out the one idle for longest.
const MAX_SESSIONS: usize = 10_000;

/// One client's session.
#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    pub principal: Principal,
    pub started_at: DateTime<Utc>,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    settings: Settings,
    schema: String,
    temporary: Temporary,
    /// Bytes of the files of its temporary tables.
    temporary_bytes: HashMap<TableId, u64>,
    /// Statements that it has prepared, by name.
    prepared: Prepared,
    /// It has ended: nothing is made in it any more.
    ended: bool,
}

impl Session {
    /// The catalog as this session sees it.
    pub fn catalog(&self, catalog: Arc<Catalog>) -> Arc<Catalog> {
        self.state.lock().temporary.over(catalog)
    }

    /// Does what an operation asks of the session's own objects. Gives what the client is told besides
    /// and the tables that nobody reaches any more; `None` if the operation is about other objects.
    pub fn change(
        &self,
        op: &Op,
        catalog: &Arc<Catalog>,
    ) -> Result<Option<(Option<String>, Vec<TableLayout>)>> {
        let mut state = self.state.lock();
        let applied = state.temporary.apply(op, Arc::clone(catalog))?;
        if applied.is_some() && state.ended {
            return Err(ended());
        }
        if let Some(applied) = &applied {
            for unused in &applied.unused {
                state.temporary_bytes.remove(&unused.id);
            }
        }
        Ok(applied.map(|applied| (applied.notice, applied.unused)))
    }

    /// Counts the files of a temporary table no more.
    pub fn forget_temporary(&self, table: TableId) {
        self.state.lock().temporary_bytes.remove(&table);
    }

    /// Counts files that are to become part of a temporary table. An error if all of them have more bytes than the limit.
    pub fn count_temporary(&self, table: TableId, bytes: u64, limit: u64) -> Result<()> {
        let mut state = self.state.lock();
        let sum: u64 = state.temporary_bytes.values().sum();
        if sum.saturating_add(bytes) > limit {
            return Err(Error::new(
                SqlState::InsufficientResources,
                format!(
                    "the temporary tables of a session have at most {limit} bytes, and would have {}",
                    sum + bytes
                ),
            )
            .with_hint("Drop some of them, or start the scheduler with a larger --temporary-limit."));
        }
        *state.temporary_bytes.entry(table).or_default() += bytes;
        Ok(())
    }

    /// Ends it, and gives the tables that end with it.
    fn end(&self) -> Vec<TableLayout> {
        let mut state = self.state.lock();
        state.ended = true;
        std::mem::take(&mut state.temporary).tables().cloned().collect()
    }

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

    /// Whether it has tables or views of its own.
    pub fn has_temporary(&self) -> bool {
        !self.state.lock().temporary.is_empty()
    }

    /// Whether it knows statements by names, which mean nothing elsewhere.
    pub fn has_prepared(&self) -> bool {
        !self.state.lock().prepared.is_empty()
    }

    /// The text of a statement that was prepared under that name.
    pub fn prepared(&self, name: &str) -> Result<Arc<str>> {
        self.state.lock().prepared.text(name)
    }

    pub fn prepare(&self, name: &str, text: &str) -> Result<()> {
        self.state.lock().prepared.add(name, text)
    }

    /// Forgets a prepared statement, or with `None` all of them.
    pub fn deallocate(&self, name: Option<&str>) -> Result<()> {
        self.state.lock().prepared.remove(name)
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
    /// Tables of sessions that have ended, until [`Sessions::sweep`] hands them out.
    unused: Vec<TableLayout>,
}

impl Table {
    fn remove(&mut self, id: SessionId) {
        if let Some(entry) = self.by_id.remove(&id) {
            self.by_key.remove(&(entry.key, entry.session.principal.clone()));
            self.unused.extend(entry.session.end());
        }
    }
}

/// All sessions of a scheduler.
pub struct Sessions {
    clock: Arc<dyn Clock>,
    /// A session idle for longer than this ends.
    idle_max: Duration,
    table: Mutex<Table>,
}

impl Sessions {
    pub fn new(clock: Arc<dyn Clock>, idle_max: Duration) -> Self {
        Self {
            clock,
            idle_max,
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
                Some(entry) if now.saturating_sub(entry.used) <= self.idle_max => {
                    entry.used = now;
                    return Arc::clone(&entry.session);
                }
                Some(_) | None => table.remove(id),
            }
        }
        if table.by_id.len() >= MAX_SESSIONS {
            make_room(&mut table, now, self.idle_max);
        }
        let session = Arc::new(Session {
            id: SessionId::generate(),
            principal: principal.clone(),
            started_at: self.clock.now(),
            state: Mutex::new(State {
                settings: Settings::default(),
                schema: PUBLIC_SCHEMA.to_owned(),
                temporary: Temporary::default(),
                temporary_bytes: HashMap::new(),
                prepared: Prepared::default(),
                ended: false,
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
            None => Err(ended()),
        }
    }

    /// Ends sessions that were idle for too long, and gives the tables that ended with their sessions
    /// since the last time.
    pub fn sweep(&self) -> Vec<TableLayout> {
        let mut table = self.table.lock();
        let now = self.clock.elapsed();
        for id in expired(&table, now, self.idle_max) {
            table.remove(id);
        }
        std::mem::take(&mut table.unused)
    }

    /// Every session with the time since it was used last, the oldest first.
    pub fn list(&self) -> Vec<(Arc<Session>, Duration)> {
        let now = self.clock.elapsed();
        let table = self.table.lock();
        let mut sessions: Vec<_> = table
            .by_id
            .values()
            .map(|entry| (Arc::clone(&entry.session), now.saturating_sub(entry.used)))
            .collect();
        sessions.sort_by_key(|(session, _)| (session.started_at, session.id));
        sessions
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

fn ended() -> Error {
    Error::new(SqlState::ObjectNotInPrerequisiteState, "the session has ended").with_hint("Connect again.")
}

/// What is idle for too long.
fn expired(table: &Table, now: Duration, idle_max: Duration) -> Vec<SessionId> {
    table
        .by_id
        .iter()
        .filter(|(_, entry)| now.saturating_sub(entry.used) > idle_max)
        .map(|(id, _)| *id)
        .collect()
}

/// Ends the sessions that have exceeded the idle timeout. If there are none, ends the longest idle session of the user with the
/// most sessions, so that the logins of one user do not end the sessions of another.
fn make_room(table: &mut Table, now: Duration, idle_max: Duration) {
    let expired = expired(table, now, idle_max);
    let victims = match expired.is_empty() {
        true => oldest_of_most(table).into_iter().collect(),
        false => expired,
    };
    for id in victims {
        table.remove(id);
    }
}

fn oldest_of_most(table: &Table) -> Option<SessionId> {
    let mut of_user: HashMap<&Principal, (usize, Duration, SessionId)> = HashMap::new();
    for (id, entry) in &table.by_id {
        let (count, used, oldest) = of_user
            .entry(&entry.session.principal)
            .or_insert((0, entry.used, *id));
        *count += 1;
        if entry.used < *used {
            (*used, *oldest) = (entry.used, *id);
        }
    }
    let most = of_user
        .into_values()
        .max_by_key(|(count, used, _)| (*count, std::cmp::Reverse(*used)));
    most.map(|(_, _, oldest)| oldest)
}

#[cfg(test)]
mod tests {
    use watershed_core::clock::ManualClock;
    use watershed_sql::catalog::{ObjectName, TEMPORARY_SCHEMA};
    use watershed_storage::layout::{Column, ColumnType};

    use super::*;

    const IDLE_MAX: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_key_and_a_principal_name_a_session() {
        let sessions = Sessions::new(Arc::new(ManualClock::default()), IDLE_MAX);
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
        let sessions = Sessions::new(Arc::clone(&clock) as Arc<dyn Clock>, IDLE_MAX);
        let principal = Principal::new(Principal::ANONYMOUS);
        let first = sessions.open(&SessionKey::new("0"), &principal);
        for index in 1..=MAX_SESSIONS {
            clock.advance(Duration::from_millis(1));
            sessions.open(&SessionKey::new(index.to_string()), &principal);
        }
        assert_eq!(sessions.len(), MAX_SESSIONS);
        assert!(sessions.get(first.id).is_err());
        let idle = sessions.open(&SessionKey::new("1"), &principal);
        clock.advance(IDLE_MAX + Duration::from_secs(1));
        assert_ne!(sessions.open(&SessionKey::new("1"), &principal).id, idle.id);
        assert!(sessions.sweep().is_empty());
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn logins_of_one_user_end_no_session_of_another() {
        let clock = Arc::new(ManualClock::default());
        let sessions = Sessions::new(Arc::clone(&clock) as Arc<dyn Clock>, IDLE_MAX);
        let idle = sessions.open(&SessionKey::new("a"), &Principal::new("ann"));
        let bob = Principal::new("bob");
        for index in 0..=MAX_SESSIONS {
            clock.advance(Duration::from_millis(1));
            sessions.open(&SessionKey::new(index.to_string()), &bob);
        }
        assert_eq!(sessions.len(), MAX_SESSIONS);
        assert!(sessions.get(idle.id).is_ok());
    }

    #[test]
    fn what_is_temporary_ends_with_its_session() {
        let clock = Arc::new(ManualClock::default());
        let sessions = Sessions::new(Arc::clone(&clock) as Arc<dyn Clock>, IDLE_MAX);
        let principal = Principal::new(Principal::ANONYMOUS);
        let catalog = Arc::new(Catalog::empty());
        let make = |session: &Session| {
            let column = Column::new("a", ColumnType::Int);
            let op = Op::CreateTable {
                schema: TEMPORARY_SCHEMA.to_owned(),
                name: "mine".to_owned(),
                layout: TableLayout::new(vec![column]),
                if_not_exists: false,
                or_replace: false,
                existing_unwritten: false,
            };
            session.change(&op, &catalog)
        };
        let seen = |session: &Session| {
            let name = ObjectName::bare("mine");
            session
                .catalog(Arc::clone(&catalog))
                .find(&name, PUBLIC_SCHEMA)
                .is_some()
        };
        let [first, second] = ["1", "2"].map(|key| sessions.open(&SessionKey::new(key), &principal));
        assert!(make(&first).unwrap().is_some());
        assert_eq!((seen(&first), seen(&second)), (true, false));
        assert!(sessions.sweep().is_empty());
        sessions.close(first.id);
        assert_eq!(sessions.sweep().len(), 1);
        assert!(!seen(&first));
        assert_eq!(
            make(&first).unwrap_err().code(),
            SqlState::ObjectNotInPrerequisiteState
        );
        make(&second).unwrap();
        clock.advance(IDLE_MAX + Duration::from_secs(1));
        assert_eq!(sessions.sweep().len(), 1);
    }
}
