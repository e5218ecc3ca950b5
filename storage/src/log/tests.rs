use futures::TryStreamExt;
use object_store::memory::InMemory;

use super::*;
use crate::fixture::faulty::{Fault, FaultyStore};

fn log() -> (Arc<FaultyStore>, SequencedLog) {
    let store = FaultyStore::new(Arc::new(InMemory::new()));
    let over: Arc<dyn ObjectStore> = Arc::clone(&store) as _;
    (store, SequencedLog::over(over, "memory:///catalog"))
}

async fn all(log: &SequencedLog, from: u64) -> Result<Vec<(u64, String)>> {
    log.read_from(from).try_collect().await
}

#[tokio::test]
async fn records_are_read_in_order() {
    let (_, log) = log();
    assert_eq!(all(&log, 1).await.unwrap(), []);
    let texts: Vec<String> = (1..=20)
        .map(|number| format!("record {number}: \"quoted\", ,\"record\": }}"))
        .collect();
    for (number, text) in (1..).zip(&texts) {
        assert_eq!(log.append_if_next(number, text).await.unwrap(), Append::Appended);
    }
    let expected: Vec<_> = (1..).zip(texts.iter().cloned()).collect();
    assert_eq!(all(&log, 1).await.unwrap(), expected);
    assert_eq!(all(&log, 19).await.unwrap(), expected[18..]);
    assert_eq!(all(&log, 21).await.unwrap(), []);
    assert_eq!(log.read::<String>(3).await.unwrap().as_ref(), Some(&texts[2]));
    assert_eq!(log.read::<String>(21).await.unwrap(), None);
}

#[tokio::test]
async fn one_of_two_wins_a_number() {
    let (_, log) = log();
    let (a, b) = tokio::join!(log.append_if_next(1, &"a"), log.append_if_next(1, &"b"));
    let mut outcomes = [a.unwrap(), b.unwrap()];
    outcomes.sort_by_key(|outcome| *outcome == Append::Conflict);
    assert_eq!(outcomes, [Append::Appended, Append::Conflict]);
    assert_eq!(all(&log, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lost_reply_is_no_conflict() {
    for fault in [Fault::LoseReply, Fault::Meet] {
        let (store, log) = log();
        store.at_put("1.json", fault);
        assert_eq!(
            log.append_if_next(1, &"a").await.unwrap(),
            Append::Appended,
            "{fault:?}"
        );
        assert_eq!(store.left(), 0);
        assert_eq!(log.append_if_next(1, &"a").await.unwrap(), Append::Conflict);
    }
}

#[tokio::test]
async fn a_store_that_fails_appends_nothing() {
    let (store, log) = log();
    for (fault, code) in [
        (Fault::Fail, SqlState::IoError),
        (Fault::Full, SqlState::DiskFull),
    ] {
        store.at_put("1.json", fault);
        let error = log.append_if_next(1, &"a").await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.message().contains("00000000000000000001.json"), "{error}");
        assert_eq!(all(&log, 1).await.unwrap(), []);
    }
    assert_eq!(log.append_if_next(1, &"a").await.unwrap(), Append::Appended);
}

#[tokio::test]
async fn damage_is_told_with_its_place() {
    let (store, log) = log();
    for number in 1..=3 {
        log.append_if_next(number, &"record").await.unwrap();
    }
    let path = key(2);
    let whole = store.get(&path).await.unwrap().bytes().await.unwrap();
    for cut in 0..whole.len() {
        store
            .put(&path, PutPayload::from(whole.slice(..cut)))
            .await
            .unwrap();
        let error = all(&log, 1).await.unwrap_err();
        assert_eq!(error.code(), SqlState::DataCorrupted, "cut at {cut}");
        assert!(error.message().contains("00000000000000000002.json"), "{error}");
    }
    let text = std::str::from_utf8(&whole).unwrap();
    for changed in [text.replace("\"record\"}", "\"recorD\"}"), format!("{text} ")] {
        store.put(&path, PutPayload::from(changed)).await.unwrap();
        assert_eq!(all(&log, 1).await.unwrap_err().code(), SqlState::DataCorrupted);
    }
    let newer = text.replace("\"format\":1", "\"format\":2");
    store.put(&path, PutPayload::from(newer)).await.unwrap();
    let error = all(&log, 1).await.unwrap_err();
    assert!(error.message().contains("newer version"), "{error}");
}
