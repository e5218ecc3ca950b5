use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UnionArray};
use arrow::datatypes::{DataType, Field, Schema, UnionFields};
use chrono::{DateTime, TimeDelta, Utc};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::ObjectStoreExt;
use tokio_util::sync::CancellationToken;
use watershed_core::clock::{Clock, ManualClock};
use watershed_core::id::StatementId;
use watershed_core::settings::{Settings, TIME_ZONE};
use watershed_core::store::StoreRoot;
use watershed_sql::catalog::{CacheOp, CatalogStore, InvalidationDef, Op};

use super::distributed::Distributed;
use super::entry::{About, Entry};
use super::fingerprint::{self, Fingerprint, Key};
use super::inflight::{InFlight, Outcome, Role};
use super::layers::{Layers, Limits};
use super::local::Local;
use super::{Found, Layer, ResultCache};
use crate::dispatch::context::StatementContext;

fn entry(rows: i64, created_at: DateTime<Utc>) -> Entry {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let values = Int64Array::from_iter_values(0..rows);
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(values)]).unwrap();
    entry_of(&batch, created_at)
}

fn entry_of(batch: &RecordBatch, created_at: DateTime<Utc>) -> Entry {
    let about = About {
        principal: "ann".to_owned(),
        reads: vec![("public".to_owned(), "t".to_owned())],
        tables: vec!["public.t".to_owned()],
        versions: vec![("id".to_owned(), "3".to_owned())],
        shards: 4,
        missing_shards: 0,
        plan: key(9).to_string(),
        created_at,
        invalidation: 0,
    };
    Entry::new(about, &batch.schema(), std::slice::from_ref(batch)).unwrap()
}

fn key(number: u8) -> Key {
    Key::parse(&format!("{number:02x}").repeat(32)).unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_has_no_form_in_json_is_not_shown() {
    let now = Utc::now();
    assert_eq!(
        entry(2, now).json().unwrap().as_deref(),
        Some(r#"[{"n":0},{"n":1}]"#)
    );
    assert_eq!(entry(0, now).json().unwrap().as_deref(), Some("[]"));
    assert_eq!(entry(1_000_000, now).json().unwrap(), None);
    let fields = UnionFields::from_fields([Field::new("i", DataType::Int64, true)]);
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let union: ArrayRef = Arc::new(UnionArray::try_new(fields, vec![0].into(), None, vec![values]).unwrap());
    let batch = RecordBatch::try_from_iter([("u", union)]).unwrap();
    assert_eq!(entry_of(&batch, now).json().unwrap(), None);
}

#[test]
fn memory_holds_what_fits_and_the_least_used_goes_first() {
    let now = Utc::now();
    let size = entry(1_000, now).size();
    let limits = Limits {
        ttl: 10 * SECOND,
        max_bytes: 10 * size,
    };
    let mut local = Local::new(Some(limits));
    for number in 0..10 {
        let removed = local.put(key(number), Arc::new(entry(1_000, now)), Duration::ZERO, SECOND);
        assert!(removed.evicted.is_empty());
    }
    assert_eq!(local.bytes(), 10 * size);
    assert!(local.get(&key(0), SECOND).is_some());
    let removed = local.put(key(10), Arc::new(entry(1_000, now)), Duration::ZERO, SECOND);
    assert_eq!(removed.evicted, [key(1)]);
    // A quarter of the room: so many go at once.
    let smaller = Limits {
        max_bytes: 10 * size / 4,
        ..limits
    };
    let removed = local.set_limits(Some(smaller), SECOND);
    assert_eq!((removed.evicted.len(), local.len()), (8, 2));
    assert!(local.bytes() <= smaller.max_bytes);
    // One that would push out most others is not taken.
    local.put(key(11), Arc::new(entry(8_000, now)), Duration::ZERO, SECOND);
    assert!(local.get(&key(11), SECOND).is_none());
    assert_eq!(local.set_limits(None, SECOND).expired.len(), 2);
    assert_eq!((local.len(), local.bytes()), (0, 0));
}

#[test]
fn nothing_outlives_its_time_whatever_its_age_when_it_came() {
    let limits = Limits {
        ttl: 10 * SECOND,
        max_bytes: 1 << 20,
    };
    let mut local = Local::new(Some(limits));
    local.put(
        key(1),
        Arc::new(entry(1, Utc::now())),
        Duration::ZERO,
        100 * SECOND,
    );
    local.put(key(2), Arc::new(entry(1, Utc::now())), 6 * SECOND, 100 * SECOND);
    assert!(local.get(&key(2), 103 * SECOND).is_some());
    assert!(local.get(&key(2), 104 * SECOND).is_none());
    assert!(local.get(&key(1), 109 * SECOND).is_some());
    assert_eq!(local.trim(110 * SECOND).expired.len(), 2);
    local.put(key(3), Arc::new(entry(1, Utc::now())), 10 * SECOND, 111 * SECOND);
    assert_eq!(local.len(), 0, "too old to be kept at all");
}

fn statement() -> Arc<StatementContext> {
    StatementContext::new(
        StatementId::generate(),
        Utc::now(),
        Settings::default(),
        CancellationToken::new(),
    )
}

#[tokio::test]
async fn who_waits_takes_the_place_of_one_that_goes_without_a_word() {
    let (flights, statement) = (Arc::<InFlight>::default(), statement());
    let join = |number| flights.join(key(number), &statement, "ann", &[]);
    let Role::Lead(lead) = join(1) else {
        panic!("nobody runs")
    };
    let Role::Follow(mut ended) = join(1) else {
        panic!("one runs")
    };
    assert!(matches!(join(2), Role::Lead(_)), "another query is another's");
    assert_eq!(flights.running().len(), 1, "the other has gone again");
    drop(lead);
    assert!(ended.changed().await.is_err());
    let Role::Lead(lead) = join(1) else {
        panic!("it has gone")
    };
    let Role::Follow(mut ended) = join(1) else {
        panic!("one runs")
    };
    // Invalidated meanwhile: those who come now do not wait for it, and it does not keep its answer.
    flights.part(|_| true);
    assert!(!lead.leads());
    let Role::Lead(next) = join(1) else {
        panic!("nobody runs that counts")
    };
    lead.end(Outcome::NotShared);
    ended.changed().await.unwrap();
    assert_eq!(*ended.borrow(), Outcome::NotShared);
    assert!(next.leads(), "the end of the one before is not its own");
}

#[tokio::test]
async fn the_store_is_shared_checked_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let root = StoreRoot::open(folder.path().to_str().unwrap()).unwrap();
    let (one, other) = (Distributed::new(&root), Distributed::new(&root));
    let now = Utc::now();
    let limits = Some(Limits {
        ttl: 60 * SECOND,
        max_bytes: 1 << 20,
    });
    let written = entry(100, now);
    one.put(key(1), &written, limits).await;
    assert!(
        other.get(&key(1), limits, now).await.is_none(),
        "it has not looked"
    );
    other.look().await.unwrap();
    let found = other.get(&key(1), limits, now).await.unwrap();
    assert_eq!((found.rows, found.about), (written.rows.clone(), written.about));
    let later = now + TimeDelta::seconds(61);
    assert!(other.get(&key(1), limits, later).await.is_none());
    assert_eq!(other.trim(limits, later).await, (1, 0));
    assert!(
        one.get(&key(1), limits, now).await.is_none(),
        "it is gone for all"
    );

    for number in 2..8 {
        one.put(
            key(number),
            &entry(1_000, now + TimeDelta::seconds(i64::from(number))),
            limits,
        )
        .await;
    }
    let three = Some(Limits {
        ttl: 60 * SECOND,
        max_bytes: one.bytes() / 2,
    });
    assert_eq!(one.trim(three, now).await, (0, 3));
    assert!(one.has(&key(7), three, now) && !one.has(&key(2), three, now));

    let path = object_store::path::Path::from(key(7).to_string());
    let store = root.folder("cache/results");
    let mut bytes = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.put(&path, bytes.into()).await.unwrap();
    assert!(
        one.get(&key(7), limits, now).await.is_none(),
        "one bit is another"
    );
    assert!(store.head(&path).await.is_err(), "and it is removed");
}

#[tokio::test]
async fn what_was_asked_to_be_forgotten_is_not_found_where_nobody_removed_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = StoreRoot::open(folder.path().to_str().unwrap()).unwrap();
    let catalog = CatalogStore::open(&root).await.unwrap();
    let clock = Arc::new(ManualClock::default());
    let now = clock.now();
    let limits = Layers::default().distributed;
    let before = Distributed::new(&root);
    for number in 1..4 {
        before.put(key(number), &entry(10, now), limits).await;
    }
    // The scheduler that was asked has crashed; the next one knows only the log, and what lies there.
    let ask = async |name: &str| {
        let def = InvalidationDef {
            event_id: name.to_owned(),
            key: name.to_owned(),
            reason: "request".to_owned(),
            triggered_at: now,
        };
        let op = Op::Cache(CacheOp::Invalidate(vec![def]));
        catalog.apply(op).await.unwrap();
    };
    let found = async |number: u8| {
        let cache = ResultCache::new(&root, Arc::<ManualClock>::clone(&clock));
        cache.learn_invalidations(catalog.current().invalidations());
        cache.sweep_store().await;
        let print = Fingerprint {
            key: key(number),
            plan: key(9),
            pins: Vec::new(),
            clocked: false,
            momentary: false,
        };
        let found = cache.find(&print, &statement(), "ann", &[]).await;
        matches!(found, Found::Answer(_, Layer::Distributed))
    };
    assert!(found(1).await);
    ask("public.another").await;
    assert!(found(1).await, "another table's");
    ask("public.t").await;
    assert!(!found(1).await && !found(2).await);
    let mut after = entry(10, now);
    after.about.invalidation = 2;
    before.put(key(3), &after, limits).await;
    assert!(found(3).await, "it came after");
    ask(&key(3).to_string()).await;
    assert!(!found(3).await);
}

async fn print(sql: &str, at: &str, zone: &str) -> Result<Fingerprint, String> {
    let mut settings = Settings::default();
    settings.set(TIME_ZONE, zone).unwrap();
    let context = SessionContext::new_with_config(SessionConfig::new());
    let plan = context.state().create_logical_plan(sql).await.unwrap();
    let now = DateTime::parse_from_rfc3339(at).unwrap().with_timezone(&Utc);
    let props = ExecutionProps::new().with_query_execution_start_time(now);
    let state = datafusion::execution::SessionStateBuilder::new_from_existing(context.state())
        .with_execution_props(props)
        .build();
    let options = state.config().options();
    let typed = state
        .analyzer()
        .execute_and_check(plan, options, |_, _| {})
        .unwrap();
    fingerprint::of_plan(&typed, &state, &settings).unwrap()
}

const NOON: &str = "2026-01-01T12:00:00Z";

#[tokio::test]
async fn the_same_in_other_words_has_the_same_key() {
    let same = [
        "SELECT a + 1, 'x' FROM (VALUES (1, 'p'), (2, 'q')) AS t(a, b) WHERE b <> 'z'",
        "select u.c+1 as n, 'x' y from (values (1,'p'),(2,'q')) u(c, d) where (u.d <> 'z')",
    ];
    let other = [
        "SELECT a + 2, 'x' FROM (VALUES (1, 'p'), (2, 'q')) AS t(a, b) WHERE b <> 'z'",
        "SELECT a + 1, 'X' FROM (VALUES (1, 'p'), (2, 'q')) AS t(a, b) WHERE b <> 'z'",
        "SELECT a + 1, 'x' FROM (VALUES (1, 'p'), (2, 'q')) AS t(a, b) WHERE b <> 'Z'",
        "SELECT a + 1, 'x' FROM (VALUES (1, 'p'), (3, 'q')) AS t(a, b) WHERE b <> 'z'",
        "SELECT a + 1, 'x' FROM (VALUES (1, 'p'), (2, 'q')) AS t(a, b) WHERE b <> 'z' LIMIT 1",
        "SELECT a + 1, 'x' FROM (VALUES (1, 'p'), (2, 'q')) AS t(a, b) WHERE b <> 'z' ORDER BY 1 DESC",
    ];
    let first = print(same[0], NOON, "UTC").await.unwrap();
    assert_eq!(print(same[1], NOON, "UTC").await.unwrap().key, first.key);
    for sql in other {
        assert_ne!(print(sql, NOON, "UTC").await.unwrap().key, first.key, "{sql}");
    }
    assert_ne!(
        print(same[0], NOON, "Europe/Berlin").await.unwrap().key,
        first.key
    );
    assert!(!first.clocked && !first.momentary);
}

#[tokio::test]
async fn nested_values_that_are_displayed_alike_have_keys_of_their_own() {
    let values = [
        "['a', 'b']",
        "['a, b']",
        "['']",
        "[NULL]",
        "[['a'], ['b']]",
        "[['a', 'b']]",
        "[['a'], ['[b]']]",
        "[1]",
        "[CAST(1 AS INT)]",
        "[CAST('-0' AS DOUBLE)]",
        "[CAST('0' AS DOUBLE)]",
        "named_struct('a', 'x, b: y')",
        "named_struct('a', 'x', 'b', 'y')",
        "named_struct('c', 'x', 'b', 'y')",
    ];
    let mut keys = Vec::new();
    for value in values {
        let key = print(
            &format!("SELECT a, {value} FROM (VALUES (1), (2)) AS t(a)"),
            NOON,
            "UTC",
        )
        .await
        .unwrap()
        .key;
        assert!(!keys.contains(&key), "{value}");
        keys.push(key);
    }
}

#[tokio::test]
async fn clocks_are_as_fine_as_the_query_needs() {
    let hour = "SELECT * FROM (VALUES (TIMESTAMP '2026-01-01 11:00:00')) AS t(at) \
                WHERE at < date_trunc('hour', now())";
    let noon = print(hour, NOON, "UTC").await.unwrap();
    let later = print(hour, "2026-01-01T12:59:59Z", "UTC").await.unwrap();
    let next = print(hour, "2026-01-01T13:00:00Z", "UTC").await.unwrap();
    assert!(noon.clocked && !noon.momentary);
    assert_eq!(noon.key, later.key);
    assert_ne!(noon.key, next.key);
    let instant = "SELECT * FROM (VALUES (TIMESTAMP '2026-01-01 11:00:00')) AS t(at) WHERE at < now()";
    assert!(print(instant, NOON, "UTC").await.unwrap().momentary);
    let why = print("SELECT random()", NOON, "UTC").await.unwrap_err();
    assert_eq!(why, "random() gives another value every time");
}
