use std::sync::Arc;

use object_store::ObjectStore;
use watershed_core::error::SqlState;

use super::*;
use crate::fixture::faulty::{Fault, FaultyStore};
use crate::fixture::{Fixture, batch, events, statement};

async fn count(fixture: &Fixture, layout: &TableLayout) -> String {
    let (rows, _) = fixture.query(layout, "SELECT count(*) FROM t").await;
    rows.concat()
}

#[tokio::test]
async fn creating_twice_changes_nothing() {
    let fixture = Fixture::new();
    let layout = events();
    let (a, b) = tokio::join!(fixture.store.create(&layout), fixture.store.create(&layout));
    a.unwrap();
    b.unwrap();
    fixture.store.create(&layout).await.unwrap();
    assert_eq!(fixture.store.snapshot(&layout).await.unwrap().version, 0);
}

#[tokio::test]
async fn a_statement_commits_once() {
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    let (files, rows) = fixture.write(&layout, vec![batch(0, 50, 0)]).await.unwrap();
    let id = statement();
    let first = fixture.commit(&layout, files, rows, id).await.unwrap();
    assert_eq!(first, Committed { version: 1, rows: 50 });
    fixture.insert(&layout, batch(50, 10, 0)).await;
    // A retry wrote other files, and may have counted otherwise.
    let (files, _) = fixture.write(&layout, vec![batch(0, 50, 0)]).await.unwrap();
    assert_eq!(
        fixture.commit(&layout, files.clone(), 0, id).await.unwrap(),
        first
    );
    // Another scheduler knows it as well.
    let other = DeltaStore::new(fixture.root.clone());
    let request = CommitRequest {
        statement: id,
        operation: "INSERT",
        rows: 7,
    };
    assert_eq!(other.commit(&layout, files, request).await.unwrap(), first);
    assert_eq!(count(&fixture, &layout).await, "60");
}

#[tokio::test]
async fn whatever_the_store_does_there_is_one_commit() {
    for (fault, survives) in [
        (Fault::LoseReply, true),
        (Fault::Meet, true),
        (Fault::Fail, false),
        (Fault::Full, false),
    ] {
        let fixture = Fixture::new();
        let layout = events();
        fixture.store.create(&layout).await.unwrap();
        let (files, rows) = fixture.write(&layout, vec![batch(0, 50, 0)]).await.unwrap();
        let faulty = FaultyStore::new(Arc::clone(fixture.root.bucket()));
        let bucket: Arc<dyn ObjectStore> = Arc::clone(&faulty) as _;
        let folder = TableFolder::new(
            fixture.root.folder_url(&layout.folder()).unwrap(),
            bucket,
            fixture.root.folder_path(&layout.folder()),
        );
        faulty.at_put("_delta_log", fault);
        let request = CommitRequest {
            statement: statement(),
            operation: "INSERT",
            rows,
        };
        let outcome = commit::commit(&folder, None, &layout, files.clone(), &request).await;
        assert_eq!(faulty.left(), 0);
        if survives {
            assert_eq!(outcome.unwrap(), Committed { version: 1, rows: 50 }, "{fault:?}");
        } else {
            let expected = match fault {
                Fault::Full => SqlState::DiskFull,
                _ => SqlState::IoError,
            };
            assert_eq!(outcome.unwrap_err().code(), expected);
            assert_eq!(count(&fixture, &layout).await, "0", "{fault:?}");
        }
        // The client tries again.
        let again = commit::commit(&folder, None, &layout, files, &request)
            .await
            .unwrap();
        assert_eq!(again, Committed { version: 1, rows: 50 });
        assert_eq!(count(&fixture, &layout).await, "50", "{fault:?}");
    }
}

#[tokio::test]
async fn a_failed_checkpoint_fails_no_commit() {
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    let faulty = FaultyStore::new(Arc::clone(fixture.root.bucket()));
    let bucket: Arc<dyn ObjectStore> = Arc::clone(&faulty) as _;
    let folder = TableFolder::new(
        fixture.root.folder_url(&layout.folder()).unwrap(),
        bucket,
        fixture.root.folder_path(&layout.folder()),
    );
    faulty.at_put("checkpoint", Fault::Fail);
    let first = statement();
    for number in 1..=folder::CHECKPOINT_INTERVAL {
        let statement = if number == 1 { first } else { statement() };
        let request = CommitRequest {
            statement,
            operation: "INSERT",
            rows: number,
        };
        let done = commit::commit(&folder, None, &layout, vec![], &request)
            .await
            .unwrap();
        assert_eq!(
            done,
            Committed {
                version: number,
                rows: number
            }
        );
    }
    assert_eq!(faulty.left(), 0, "a checkpoint was due");
    // The next checkpoint, and what it remembers.
    for number in 1..=folder::CHECKPOINT_INTERVAL {
        let request = CommitRequest {
            statement: statement(),
            operation: "INSERT",
            rows: number,
        };
        commit::commit(&folder, None, &layout, vec![], &request)
            .await
            .unwrap();
    }
    let log = fixture
        .folder
        .path()
        .join("store")
        .join(layout.folder())
        .join("_delta_log");
    assert!(log.join("_last_checkpoint").exists());
    let request = CommitRequest {
        statement: first,
        operation: "INSERT",
        rows: 0,
    };
    let again = commit::commit(&folder, None, &layout, vec![], &request)
        .await
        .unwrap();
    assert_eq!(again, Committed { version: 1, rows: 1 });
}

#[tokio::test]
async fn writers_at_the_same_time_all_commit() {
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    let other = DeltaStore::new(fixture.root.clone());
    let mut commits = Vec::new();
    for number in 0..8 {
        let (files, rows) = fixture
            .write(&layout, vec![batch(number * 10, 10, 0)])
            .await
            .unwrap();
        let store = if number % 2 == 0 { &fixture.store } else { &other };
        let request = CommitRequest {
            statement: statement(),
            operation: "INSERT",
            rows,
        };
        commits.push(store.commit(&layout, files, request));
    }
    let mut versions: Vec<_> = futures::future::try_join_all(commits)
        .await
        .unwrap()
        .into_iter()
        .map(|committed| committed.version)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(count(&fixture, &layout).await, "80");
}

#[tokio::test]
async fn columns_are_added_and_nothing_else() {
    use crate::layout::{Column, ColumnType};
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    let mut dropped = layout.clone();
    dropped.columns.remove(2);
    let mut typed = layout.clone();
    typed.columns[0].data_type = ColumnType::String;
    for new in [dropped, typed] {
        let error = fixture.store.alter(&layout, &new, statement()).await.unwrap_err();
        assert_eq!(error.code(), SqlState::FeatureNotSupported);
    }
    let mut required = layout.clone();
    required
        .columns
        .push(Column::new("x", ColumnType::Int).not_null());
    let error = fixture
        .store
        .alter(&layout, &required, statement())
        .await
        .unwrap_err();
    assert_eq!(error.code(), SqlState::NotNullViolation);
    assert_eq!(fixture.store.snapshot(&layout).await.unwrap().version, 0);
}

#[tokio::test]
async fn what_is_not_read_is_refused_by_name() {
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    let log = fixture
        .folder
        .path()
        .join("store")
        .join(layout.folder())
        .join("_delta_log");
    let first = std::fs::read_to_string(log.join("00000000000000000000.json")).unwrap();
    let write = |text: &str| std::fs::write(log.join("00000000000000000001.json"), text).unwrap();

    write(
        r#"{"add":{"path":"a.parquet","partitionValues":{},"size":1,"modificationTime":0,"dataChange":true,
            "deletionVector":{"storageType":"u","pathOrInlineDv":"ab^-aqEH.-t@S}K{vb[*k^","offset":4,"sizeInBytes":40,"cardinality":6}}}"#
            .replace('\n', "")
            .as_str(),
    );
    let error = fixture.store.snapshot(&layout).await.unwrap_err();
    assert_eq!(error.code(), SqlState::FeatureNotSupported, "{error:?}");
    assert!(error.message().contains("deletion vectors"), "{error}");

    let metadata = first.lines().find(|line| line.contains("metaData")).unwrap();
    let mapped = metadata.replace(
        r#""configuration":{"#,
        r#""configuration":{"delta.columnMapping.mode":"name","#,
    );
    assert_ne!(metadata, mapped);
    write(&mapped);
    let error = DeltaStore::new(fixture.root.clone())
        .snapshot(&layout)
        .await
        .unwrap_err();
    assert!(
        error.message().contains("column mapping") || error.detail().is_some(),
        "{error:?}"
    );

    write("this is no JSON");
    let error = DeltaStore::new(fixture.root.clone())
        .snapshot(&layout)
        .await
        .unwrap_err();
    assert_eq!(error.code(), SqlState::DataCorrupted, "{error:?}");

    std::fs::remove_dir_all(&log).unwrap();
    let error = DeltaStore::new(fixture.root.clone())
        .snapshot(&layout)
        .await
        .unwrap_err();
    assert_eq!(error.code(), SqlState::IoError, "{error:?}");
    assert!(error.hint().is_some());
}
