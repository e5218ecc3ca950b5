//! Tests of the catalog as a whole: its rules, its log, and that two stores never both win.

use std::sync::Arc;

use watershed_core::error::{Error, SqlState};
use watershed_core::id::TableId;
use watershed_core::store::StoreRoot;
use watershed_storage::layout::{Column, ColumnType, Sharding, TableLayout};

use super::*;

fn layout(columns: &[(&str, ColumnType)]) -> TableLayout {
    TableLayout {
        id: TableId::generate(),
        columns: columns
            .iter()
            .map(|(name, kind)| Column::new(*name, kind.clone()))
            .collect(),
        primary_key: Vec::new(),
        partition_by: Vec::new(),
        sharding: None,
        sort_by: Vec::new(),
        shard_map: None,
    }
}

fn create(name: &str, layout: TableLayout) -> Op {
    Op::CreateTable {
        schema: PUBLIC_SCHEMA.to_owned(),
        name: name.to_owned(),
        layout,
        if_not_exists: false,
        or_replace: false,
        existing_unwritten: false,
    }
}

fn root() -> (tempfile::TempDir, StoreRoot) {
    let folder = tempfile::tempdir().unwrap();
    let root = StoreRoot::open(folder.path().to_str().unwrap()).unwrap();
    (folder, root)
}

fn code(result: watershed_core::Result<Applied>) -> SqlState {
    result.unwrap_err().code()
}

#[tokio::test]
async fn the_documented_objects_are_there_from_the_start() {
    let (_folder, root) = root();
    let store = CatalogStore::open(&root).await.unwrap();
    let catalog = store.current();
    assert_eq!(catalog.version, 1);
    assert_eq!(
        catalog.schemas(),
        [INFORMATION_SCHEMA, PUBLIC_SCHEMA, SYSTEM_SCHEMA]
    );
    // The eighteen and the exact view beside the documented one.
    assert_eq!(catalog.objects(PUBLIC_SCHEMA).count(), 19);
    let kinds = |kind| {
        catalog
            .objects(PUBLIC_SCHEMA)
            .filter(|object| object.kind() == kind)
            .count()
    };
    assert_eq!(kinds(ObjectKind::Table), 5);
    assert_eq!(kinds(ObjectKind::View), 2);
    assert_eq!(kinds(ObjectKind::Control) + kinds(ObjectKind::Live), 12);
    let Some(Object::Table(cdn_logs)) = catalog.object(PUBLIC_SCHEMA, "cdn_logs") else {
        panic!("no cdn_logs");
    };
    let last = cdn_logs.layout.columns.last().unwrap();
    assert_eq!(last.name, "dt");
    assert_eq!(last.generated.as_deref(), Some("CAST(request_ts AS DATE)"));
    assert_eq!(
        cdn_logs.layout.sharding,
        Some(Sharding {
            key: "user_id".to_owned(),
            shards: 16
        })
    );
    assert_eq!(cdn_logs.layout.shard_map.as_deref(), Some("user_shard_map"));
}

#[tokio::test]
async fn what_was_done_is_there_after_a_restart() {
    let (_folder, root) = root();
    let first = CatalogStore::open(&root).await.unwrap();
    let applied = first
        .apply(create("t", layout(&[("a", ColumnType::Int)])))
        .await
        .unwrap();
    assert!(applied.changed);
    first
        .apply(Op::AlterTable {
            schema: PUBLIC_SCHEMA.to_owned(),
            name: ObjectName::bare("t"),
            meant: Meant::Anything,
            if_exists: false,
            alteration: Alteration::AddColumn {
                column: Column::new("b", ColumnType::Json),
                if_not_exists: false,
            },
        })
        .await
        .unwrap();
    first
        .apply(Op::AlterTable {
            schema: PUBLIC_SCHEMA.to_owned(),
            name: ObjectName::bare("t"),
            meant: Meant::Anything,
            if_exists: false,
            alteration: Alteration::RenameTable { to: "u".to_owned() },
        })
        .await
        .unwrap();
    let second = CatalogStore::open(&root).await.unwrap();
    let catalog = second.current();
    assert_eq!(catalog.version, 4);
    let object = catalog.resolve(&ObjectName::bare("u"), PUBLIC_SCHEMA).unwrap();
    assert_eq!(object.columns().len(), 2);
    let error = catalog
        .resolve(&ObjectName::bare("t"), PUBLIC_SCHEMA)
        .unwrap_err();
    assert_eq!(error.code(), SqlState::UndefinedTable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_never_both_win_a_name() {
    let (_folder, root) = root();
    let stores = [
        Arc::new(CatalogStore::open(&root).await.unwrap()),
        Arc::new(CatalogStore::open(&root).await.unwrap()),
    ];
    for round in 0..20 {
        let name = format!("t{round}");
        let tries = (0..6).map(|index| {
            let store = Arc::clone(&stores[index % 2]);
            let op = create(&name, layout(&[(&format!("c{index}"), ColumnType::Int)]));
            tokio::spawn(async move { store.apply(op).await })
        });
        let mut won = 0;
        for result in futures::future::join_all(tries).await {
            match result.unwrap() {
                Ok(applied) => won += usize::from(applied.changed),
                Err(error) => assert_eq!(error.code(), SqlState::DuplicateTable),
            }
        }
        assert_eq!(won, 1, "{name}");
    }
    let [one, two] = [
        stores[0].refresh().await.unwrap(),
        stores[1].refresh().await.unwrap(),
    ];
    assert_eq!(one.version, 21);
    assert_eq!(two.version, 21);
    for round in 0..20 {
        let name = ObjectName::bare(format!("t{round}"));
        assert_eq!(
            one.resolve(&name, PUBLIC_SCHEMA).unwrap().columns(),
            two.resolve(&name, PUBLIC_SCHEMA).unwrap().columns()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_first_starts_agree() {
    let (_folder, root) = root();
    let (one, two) = tokio::join!(CatalogStore::open(&root), CatalogStore::open(&root));
    let ids = |catalog: Arc<Catalog>| -> Vec<TableId> { catalog.tables().map(|def| def.layout.id).collect() };
    let [one, two] = [one.unwrap(), two.unwrap()];
    assert_eq!(ids(one.current()), ids(two.current()));
    assert_eq!(one.current().version, 1);
}

#[tokio::test]
async fn damaged_and_newer_records_are_told_apart_from_good_ones() {
    let (folder, root) = root();
    let store = CatalogStore::open(&root).await.unwrap();
    store
        .apply(create("t", layout(&[("a", ColumnType::Int)])))
        .await
        .unwrap();
    let log = watershed_storage::log::SequencedLog::new(&root, "catalog");
    let newer = serde_json::json!({"format": FORMAT + 1, "shape": "unheard of"});
    log.append_if_next(3, &newer).await.unwrap();
    let error = store.refresh().await.unwrap_err();
    assert_eq!(error.code(), SqlState::FeatureNotSupported);
    assert!(error.message().contains("newer version"), "{error}");
    assert_eq!(store.current().version, 2);

    let mut records: Vec<_> = std::fs::read_dir(folder.path().join("catalog"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    records.sort();
    std::fs::remove_file(&records[2]).unwrap();
    let text = std::fs::read(&records[1]).unwrap();
    std::fs::write(&records[1], &text[..text.len() / 2]).unwrap();
    let error = CatalogStore::open(&root).await.unwrap_err();
    assert_eq!(error.code(), SqlState::DataCorrupted);
}

#[test]
fn records_of_this_format_are_read_for_ever() {
    let text = r#"{"format":1,"at":"2026-01-01T00:00:00Z","changes":[
        {"type":"schema_created","name":"s"},
        {"type":"table_created","schema":"s","name":"t","builtin":false,"layout":{
            "id":"019b0000-0000-7000-8000-000000000000",
            "columns":[{"name":"a","data_type":"big_int","nullable":false},
                       {"name":"b","data_type":{"decimal":{"precision":10,"scale":2}},"nullable":true},
                       {"name":"c","data_type":{"array":"string"},"nullable":true}],
            "sharding":{"key":"a","shards":4}}},
        {"type":"external_created","schema":"s","name":"e","format":"parquet","location":"/x"},
        {"type":"view_created","schema":"s","name":"v","sql":"SELECT 1"},
        {"type":"object_dropped","schema":"s","name":"v"},
        {"type":"schema_dropped","name":"other"}]}"#;
    let record = Record::decode(1, text.as_bytes()).unwrap();
    let catalog = Catalog::empty().with(&record.changes);
    assert_eq!(catalog.objects("s").count(), 2);
    let again = Record::decode(1, &record.encode().unwrap()).unwrap();
    assert_eq!(again, record);
}

#[test]
fn records_about_principals_are_of_the_second_format() {
    let text = r#"{"format":2,"at":"2026-01-01T00:00:00Z","changes":[
        {"type":"user_created","name":"ada","password":"$argon2id$x","created_at":"2026-01-01T00:00:00Z"},
        {"type":"user_created","name":"bob","created_at":"2026-01-01T00:00:00Z"},
        {"type":"password_set","user":"bob","password":"$argon2id$y"},
        {"type":"role_created","name":"readers"},
        {"type":"role_granted","role":"readers","member":"ada"},
        {"type":"role_revoked","role":"readers","member":"bob"},
        {"type":"token_created","user":"ada","name":"t","digest":"0f","created_at":"2026-01-01T00:00:00Z",
         "expires_at":"2026-04-01T00:00:00Z"},
        {"type":"token_dropped","user":"bob","token":"t"},
        {"type":"granted","grantee":"readers","scope":{"object":{"schema":"s","name":"t"}},
         "privileges":["select","insert","update","delete","alter","drop"]},
        {"type":"granted","grantee":"readers","scope":{"schema":{"schema":"s"}},"privileges":["create"]},
        {"type":"revoked","grantee":"readers","scope":"catalog","privileges":["create"]},
        {"type":"role_dropped","name":"other"},
        {"type":"user_dropped","name":"other"}]}"#;
    let record = Record::decode(1, text.as_bytes()).unwrap();
    let catalog = Catalog::empty().with(&record.changes);
    assert_eq!(catalog.principals.users().len(), 2);
    assert!(catalog.principals.effective("ada").contains("readers"));
    assert_eq!(catalog.principals.token_by_digest("0f").unwrap().user, "ada");
    assert_eq!(catalog.principals.grants_of("readers").count(), 2);
    let again = Record::new(record.changes.clone());
    assert_eq!(again.format, 2);
    assert_eq!(Record::decode(1, &again.encode().unwrap()).unwrap(), again);
    // What was there before needs no newer reader.
    assert_eq!(Record::new(builtin::bootstrap()).format, 1);
}

#[tokio::test]
async fn rules_of_names() {
    let (_folder, root) = root();
    let store = CatalogStore::open(&root).await.unwrap();
    let table = |name: &str| create(name, layout(&[("a", ColumnType::Int)]));
    let drop_table = |name: &str| Op::DropTable {
        schema: PUBLIC_SCHEMA.to_owned(),
        name: ObjectName::bare(name),
        meant: Meant::Anything,
        if_exists: false,
    };
    store.apply(table("t")).await.unwrap();
    assert_eq!(code(store.apply(table("t")).await), SqlState::DuplicateTable);
    assert_eq!(
        code(store.apply(table("event_topics")).await),
        SqlState::DuplicateTable
    );
    assert_eq!(
        code(store.apply(drop_table("event_topics")).await),
        SqlState::WrongObjectType
    );
    assert_eq!(
        code(store.apply(drop_table("unified_metrics")).await),
        SqlState::WrongObjectType
    );
    assert_eq!(
        code(store.apply(drop_table("nothing")).await),
        SqlState::UndefinedTable
    );
    let error = store.apply(drop_table("T")).await.unwrap_err();
    assert!(error.hint().unwrap().contains("\"t\""), "{error:?}");
    let schema = |cascade| Op::DropSchema {
        name: "s".to_owned(),
        if_exists: false,
        cascade,
    };
    assert_eq!(
        code(store.apply(schema(false)).await),
        SqlState::InvalidSchemaName
    );
    store
        .apply(Op::CreateSchema {
            name: "s".to_owned(),
            if_not_exists: false,
        })
        .await
        .unwrap();
    store
        .apply(Op::CreateTable {
            schema: "s".to_owned(),
            name: "t".to_owned(),
            layout: layout(&[("a", ColumnType::Int)]),
            if_not_exists: false,
            or_replace: false,
            existing_unwritten: false,
        })
        .await
        .unwrap();
    assert_eq!(
        code(store.apply(schema(false)).await),
        SqlState::DependentObjectsStillExist
    );
    let catalog = store.apply(schema(true)).await.unwrap().catalog;
    assert!(!catalog.has_schema("s"));
}

#[tokio::test]
async fn a_builtin_table_may_be_another_once_it_is_dropped_or_while_it_was_never_written() {
    let (_folder, root) = root();
    let store = CatalogStore::open(&root).await.unwrap();
    let other = create("raw_events", layout(&[("a", ColumnType::Int)]));
    let error = store.apply(other.clone()).await.unwrap_err();
    assert_eq!(error.code(), SqlState::DuplicateTable);
    assert!(error.detail().unwrap().contains("\"event_id\""), "{error:?}");
    assert_eq!(other.redefines(&store.current()).unwrap().name, "raw_events");
    let applied = store.apply(other.assume_unwritten()).await.unwrap();
    assert!(applied.changed);
    let object = applied.catalog.object(PUBLIC_SCHEMA, "raw_events").unwrap();
    assert!(!object.builtin());
    assert_eq!(object.columns().len(), 1);
}

#[test]
fn tables_of_one_map_share_its_shards() {
    let catalog = Catalog::empty().with(&builtin::bootstrap());
    let sharded = |key: &str, shards: u32| {
        let mut layout = layout(&[("user_id", ColumnType::BigInt), ("name", ColumnType::String)]);
        layout.sharding = Some(Sharding {
            key: key.to_owned(),
            shards,
        });
        layout
    };
    let settled = |key: &str, shards: Option<u32>, choice: ShardMapChoice| {
        let mut layout = sharded(key, shards.unwrap_or(DEFAULT_SHARDS));
        settle(&mut layout, shards, &choice, &catalog)
            .map(|()| (layout.shard_map, layout.sharding.unwrap().shards))
    };
    let named = |name: &str| ShardMapChoice::Named(name.to_owned());
    let map = Some("user_shard_map".to_owned());
    assert_eq!(
        settled("user_id", None, ShardMapChoice::Default).unwrap(),
        (map.clone(), 16)
    );
    assert_eq!(
        settled("user_id", Some(64), ShardMapChoice::Default).unwrap(),
        (None, 64)
    );
    assert_eq!(
        settled("user_id", Some(16), named("user_shard_map")).unwrap(),
        (map, 16)
    );
    assert_eq!(settled("user_id", Some(16), named("none")).unwrap(), (None, 16));
    assert_eq!(
        settled("name", Some(4), ShardMapChoice::Default).unwrap(),
        (None, 4)
    );
    for (key, shards, choice) in [
        ("user_id", Some(64), named("user_shard_map")),
        ("name", Some(16), named("user_shard_map")),
        ("user_id", Some(16), named("user_shard_mop")),
        ("name", Some(0), ShardMapChoice::Default),
        ("name", Some(100_000), ShardMapChoice::Default),
    ] {
        settled(key, shards, choice).unwrap_err();
    }
}

#[tokio::test]
async fn an_operation_is_about_the_object_that_its_statement_named() {
    let (_folder, root) = root();
    let store = CatalogStore::open(&root).await.unwrap();
    let table = || create("prize", layout(&[("a", ColumnType::Int)]));
    let drop_of = |meant: Meant| Op::DropTable {
        schema: PUBLIC_SCHEMA.to_owned(),
        name: ObjectName::bare("prize"),
        meant,
        if_exists: true,
    };
    // A temporary table of the name was meant, which is gone by now.
    let temporary = Meant::Object(Some(Identity::Table(TableId::generate())));
    store.apply(table()).await.unwrap();
    assert_eq!(
        code(store.apply(drop_of(temporary)).await),
        SqlState::SerializationFailure
    );
    // There was none when the statement began.
    assert_eq!(
        code(store.apply(drop_of(Meant::Object(None))).await),
        SqlState::SerializationFailure
    );
    let found = store.current();
    let object = found.object(PUBLIC_SCHEMA, "prize").unwrap();
    let meant = Meant::Object(Some(object.identity()));
    // The same operation, permitted by the catalog that it changes and by no other.
    let refuse = |_: &Op, _: &Catalog| Err(Error::new(SqlState::InsufficientPrivilege, "no"));
    assert_eq!(
        code(store.apply_if(drop_of(meant.clone()), refuse).await),
        SqlState::InsufficientPrivilege
    );
    assert!(store.apply(drop_of(meant.clone())).await.unwrap().changed);
    // It is gone, which IF EXISTS allows; another one of the name is not it.
    assert!(!store.apply(drop_of(meant.clone())).await.unwrap().changed);
    store.apply(table()).await.unwrap();
    assert_eq!(
        code(store.apply(drop_of(meant)).await),
        SqlState::SerializationFailure
    );
}
