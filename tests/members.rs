//! Schedulers and executors that come and go one by one, as in production.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use crate::harness::{Server, Session, signal, text_of, wait_until};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const JOIN_LIMIT: Duration = Duration::from_secs(15);

struct Scheduler {
    server: Server,
    flight: String,
    cluster: String,
}

impl Scheduler {
    fn start(store: &Path) -> Self {
        let mut server = Server::spawn(
            &[
                "scheduler",
                "--store",
                store.to_str().unwrap(),
                "--flight",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                "--cluster",
                "127.0.0.1:0",
                "--allow-anonymous",
            ],
            &[("WATERSHED_CLUSTER_SECRET", SECRET.to_owned())],
            None,
        );
        let facts = server.ready();
        Self {
            server,
            flight: text_of(&facts, "flight"),
            cluster: text_of(&facts, "cluster"),
        }
    }

    fn executor(&self, node: &str, store: &Path, secret: &str) -> Server {
        Server::spawn(
            &[
                "executor",
                "--node",
                node,
                "--store",
                store.to_str().unwrap(),
                "--scheduler",
                &self.cluster,
                "--listen",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
            ],
            &[("WATERSHED_CLUSTER_SECRET", secret.to_owned())],
            None,
        )
    }
}

fn members(session: &mut Session) -> String {
    session.value("SELECT count(*) FROM system.executors")
}

fn owners(session: &mut Session) -> BTreeMap<String, String> {
    session
        .rows("SELECT shard_id, owner FROM system.shards WHERE table_name = 't'")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect()
}

#[test]
fn executors_join_and_leave_at_run_time() {
    let store = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(store.path());
    let mut session = Session::open(&scheduler.flight);
    let wait_for = |session: &mut Session, count: &str| {
        assert!(
            wait_until(JOIN_LIMIT, || members(session) == count),
            "{} executors, not {count}",
            members(session)
        );
    };
    let _first = scheduler.executor("first", store.path(), SECRET);
    wait_for(&mut session, "1");
    session.run("CREATE TABLE t (id BIGINT, n INT) CLUSTERED BY (id) INTO 32 BUCKETS");
    session.run("INSERT INTO t SELECT value, value AS n FROM generate_series(1, 1000) AS s(value)");
    session.run("SET watershed.execution = 'pipelined'");
    let sum = "SELECT sum(n) FROM t";
    assert_eq!(session.value(sum), "500500");

    let _second = scheduler.executor("second", store.path(), SECRET);
    wait_for(&mut session, "2");
    let of_two = owners(&mut session);
    assert_eq!(session.value(sum), "500500");

    let mut third = scheduler.executor("third", store.path(), SECRET);
    wait_for(&mut session, "3");
    let of_three = owners(&mut session);
    let moved: Vec<_> = of_three
        .iter()
        .filter(|(shard, owner)| of_two[*shard] != **owner)
        .collect();
    let elsewhere = moved.iter().filter(|(_, owner)| *owner != "third").count();
    assert!(
        (4..=16).contains(&moved.len()) && elsewhere <= 3,
        "about a third of 32 shards moves, and hardly any but to the one that joined: {moved:?}"
    );
    assert_eq!(session.value(sum), "500500");

    assert_eq!(third.stop(), 0);
    wait_for(&mut session, "2");
    assert_eq!(
        owners(&mut session),
        of_two,
        "what it had goes back to where it came from"
    );
    assert_eq!(session.value(sum), "500500");
}

#[test]
fn who_does_not_know_the_secret_is_no_member() {
    let store = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(store.path());
    let mut session = Session::open(&scheduler.flight);
    let _stranger = scheduler.executor("stranger", store.path(), "another secret, and long enough");
    let _member = scheduler.executor("member", store.path(), SECRET);
    assert!(wait_until(JOIN_LIMIT, || members(&mut session) != "0"));
    assert_eq!(session.value("SELECT node_id FROM system.executors"), "member");
}

/// Two schedulers share nothing but the store.
#[test]
fn one_of_two_schedulers_wins_a_name() {
    const NAMES: usize = 20;
    let store = tempfile::tempdir().unwrap();
    let schedulers = [Scheduler::start(store.path()), Scheduler::start(store.path())];
    let barrier = Barrier::new(2);
    let won: Vec<Vec<bool>> = thread::scope(|scope| {
        let running: Vec<_> = schedulers
            .iter()
            .enumerate()
            .map(|(number, scheduler)| {
                let (barrier, flight) = (&barrier, &scheduler.flight);
                scope.spawn(move || {
                    let mut session = Session::open(flight);
                    let mut create = |name: usize| {
                        barrier.wait();
                        let sql = format!("CREATE TABLE contested_{name} (by_{number} INT)");
                        match session.update(&sql) {
                            Ok(_) => true,
                            Err(failure) => {
                                assert_eq!(failure.code.as_deref(), Some("42P07"), "{failure}");
                                false
                            }
                        }
                    };
                    (0..NAMES).map(&mut create).collect()
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut sessions: Vec<_> = schedulers
        .iter()
        .map(|scheduler| Session::open(&scheduler.flight))
        .collect();
    for (name, won) in won[0].iter().zip(&won[1]).enumerate() {
        let winner = match won {
            (true, false) => 0,
            (false, true) => 1,
            both => panic!("contested_{name} was won by {both:?}"),
        };
        for session in &mut sessions {
            let column = session.value(&format!(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'contested_{name}'"
            ));
            assert_eq!(column, format!("by_{winner}"));
        }
    }
    for mut scheduler in schedulers {
        assert_eq!(scheduler.server.stop(), 0);
    }
}

#[test]
fn invalidations_are_confirmed_by_every_executor_that_lives() {
    let store = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(store.path());
    let mut session = Session::open(&scheduler.flight);
    let _first = scheduler.executor("first", store.path(), SECRET);
    let second = scheduler.executor("second", store.path(), SECRET);
    assert!(wait_until(JOIN_LIMIT, || members(&mut session) == "2"));
    let invalidate = |session: &mut Session, id: &str| {
        let sql = format!("INSERT INTO cache_invalidation_events (event_id, cache_key) VALUES ('{id}', '*')");
        assert_eq!(session.run(&sql), 1);
    };
    let processed = |session: &mut Session, id: &str| {
        session.value(&format!(
            "SELECT processed_at >= triggered_at FROM cache_invalidation_events WHERE event_id = '{id}'"
        )) == "true"
    };
    invalidate(&mut session, "both");
    assert!(wait_until(JOIN_LIMIT, || processed(&mut session, "both")));

    // Who is silent is waited for until it is dead.
    signal(second.pid(), "STOP");
    invalidate(&mut session, "one");
    let early = processed(&mut session, "one");
    let late = wait_until(JOIN_LIMIT, || processed(&mut session, "one"));
    let left = members(&mut session);
    signal(second.pid(), "CONT");
    assert_eq!((early, late, left.as_str()), (false, true, "1"));

    // It catches up when it is back.
    assert!(wait_until(JOIN_LIMIT, || members(&mut session) == "2"));
    invalidate(&mut session, "again");
    assert!(wait_until(JOIN_LIMIT, || processed(&mut session, "again")));
}

#[test]
fn caches_of_one_store_are_operated_as_one() {
    let store = tempfile::tempdir().unwrap();
    let (first, second) = (Scheduler::start(store.path()), Scheduler::start(store.path()));
    let (mut here, mut there) = (Session::open(&first.flight), Session::open(&second.flight));
    here.run("CREATE TABLE t (id BIGINT)");
    here.run("INSERT INTO t VALUES (1), (2)");
    assert_eq!(there.value("SELECT sum(id) AS total FROM t"), "3");
    let listed = "SELECT count(*) FROM distributed_query_cache WHERE results LIKE '%total%'";
    assert_eq!(there.value(listed), "1");
    here.run("INSERT INTO cache_invalidation_events (event_id, cache_key) VALUES ('e', 't')");
    assert_eq!(there.value(listed), "0");
    let seen =
        "SELECT cache_key FROM cache_invalidation_events WHERE event_id = 'e' AND processed_at IS NOT NULL";
    assert_eq!(there.value(seen), "public.t");

    here.run("UPDATE cache_layers SET ttl_seconds = 77 WHERE layer_name = 'local'");
    here.run("DELETE FROM cache_layers WHERE layer_name = 'edge'");
    let stats = "SELECT layer, enabled, ttl_seconds FROM system.cache_stats WHERE layer IN ('edge', 'local') ORDER BY 1";
    let operated = [["edge", "false", "NULL"], ["local", "true", "77"]];
    assert_eq!(there.rows(stats), operated);

    // And they stay so.
    drop((first, second));
    let third = Scheduler::start(store.path());
    let mut session = Session::open(&third.flight);
    assert_eq!(session.rows(stats), operated);
    assert_eq!(session.value(seen), "public.t");
}
