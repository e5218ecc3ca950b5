//! Executors that join, fall silent and leave.

use watershed_core::clock::ManualClock;

use super::*;

fn heartbeat(node: &str, incarnation: u64) -> Heartbeat {
    Heartbeat {
        protocol: PROTOCOL_VERSION,
        node: NodeId::new(node),
        incarnation,
        url: format!("http://{node}"),
        http: String::new(),
        threads: 1,
        version: String::new(),
        pid: 1,
        memory_used: 0,
        memory_limit: 0,
        invalidated: None,
        caches: None,
    }
}

#[test]
fn silence_for_more_than_three_seconds_is_death() {
    let clock = Arc::new(ManualClock::default());
    let membership = Membership::new(Arc::clone(&clock) as Arc<dyn Clock>);
    membership.heard(heartbeat("a", 1)).unwrap();
    membership.heard(heartbeat("b", 1)).unwrap();
    let gone = membership.current().executors[&NodeId::new("a")].gone.clone();
    clock.advance(Duration::from_secs(2));
    membership.heard(heartbeat("b", 1)).unwrap();
    clock.advance(Duration::from_secs(1));
    membership.sweep();
    assert_eq!(membership.current().executors.len(), 2);
    clock.advance(Duration::from_millis(1));
    membership.sweep();
    let members = membership.current();
    assert_eq!(
        members.executors.keys().map(NodeId::as_str).collect::<Vec<_>>(),
        ["b"]
    );
    assert!(gone.is_cancelled());
    assert_eq!(members.ring.nodes(), [NodeId::new("b")]);
}

#[test]
fn a_new_process_of_an_old_name_is_another_member() {
    let membership = Membership::new(Arc::new(ManualClock::default()));
    let first = membership.heard(heartbeat("a", 1)).unwrap();
    assert_eq!(membership.heard(heartbeat("a", 1)).unwrap(), first);
    let gone = membership.current().executors[&NodeId::new("a")].gone.clone();
    assert_eq!(membership.heard(heartbeat("a", 2)).unwrap(), first + 1);
    assert!(gone.is_cancelled());
    membership.left(&NodeId::new("a"));
    assert!(membership.current().executors.is_empty());
}

#[test]
fn a_breaker_belongs_to_one_process() {
    let membership = Membership::new(Arc::new(ManualClock::default()));
    let node = NodeId::new("a");
    let fail = || (0..10).for_each(|_| membership.failed(&node));
    fail();
    assert!(membership.spared().is_empty(), "it never joined");
    membership.heard(heartbeat("a", 1)).unwrap();
    fail();
    assert_eq!(membership.spared(), std::slice::from_ref(&node));
    assert_eq!(membership.breaker(&node), Phase::Open);
    membership.heard(heartbeat("a", 2)).unwrap();
    assert_eq!(membership.breaker(&node), Phase::Closed);
    fail();
    membership.left(&node);
    membership.heard(heartbeat("a", 3)).unwrap();
    assert!(membership.spared().is_empty());
}

#[test]
fn figures_of_caches_are_the_newest() {
    let membership = Membership::new(Arc::new(ManualClock::default()));
    let told = || membership.current().executors[&NodeId::new("a")].caches;
    let mut epochs = Vec::new();
    for hits in [None, Some(1), Some(2)] {
        let mut heartbeat = heartbeat("a", 1);
        heartbeat.caches = hits.map(|hits| {
            let mut caches = CachesFigures::default();
            caches.fragments.hits = hits;
            caches
        });
        epochs.push(membership.heard(heartbeat).unwrap());
        assert_eq!(told().map(|caches| caches.fragments.hits), hits);
    }
    assert_eq!(epochs, [1, 1, 1]);
}

#[test]
fn another_protocol_is_refused() {
    let membership = Membership::new(Arc::new(ManualClock::default()));
    let mut other = heartbeat("a", 1);
    other.protocol += 1;
    assert_eq!(
        membership.heard(other).unwrap_err().code(),
        SqlState::ObjectNotInPrerequisiteState
    );
}
