//! The cache by itself: tables in a folder, DataFusion's plans with the cache in them, and what was read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::catalog::{MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use watershed_core::id::TableId;

use super::describe::expression;
use super::plan::Cacheable;
use super::proof::true_of_all;
use super::scan::{conjuncts, file_scan};
use super::*;
use crate::cache::Epochs;
use crate::codec::WatershedCodec;
use crate::external::{ExternalFormat, ExternalTable};
use crate::fixture::faulty::FaultyStore;
use crate::fixture::{Fixture, texts};
use crate::layout::{Column, ColumnType, Sharding, TableLayout};
use crate::session::bucket_url;
use crate::table::ScanLog;

struct Lake {
    fixture: Fixture,
    /// A folder of Parquet that table `e` shows.
    external: Option<String>,
    store: Arc<FaultyStore>,
    cache: Arc<FragmentCache>,
    epochs: Arc<Epochs>,
    facts: TableLayout,
    single: TableLayout,
    dims: TableLayout,
}

/// What a query came to.
struct Run {
    rows: Vec<String>,
    /// The files that were read, of facts and of dimensions.
    facts: usize,
    dims: usize,
    cached: usize,
    run: usize,
    bytes_scanned: usize,
    bytes_cached: usize,
}

fn layout(columns: Vec<Column>, key: &str, shards: u32) -> TableLayout {
    TableLayout {
        id: TableId::generate(),
        columns,
        primary_key: vec![],
        partition_by: vec![],
        sharding: Some(Sharding {
            key: key.to_owned(),
            shards,
        }),
        sort_by: vec![],
        shard_map: None,
    }
}

fn fact_columns() -> Vec<Column> {
    vec![
        Column::new("id", ColumnType::BigInt),
        Column::new("k", ColumnType::BigInt),
        Column::new("x", ColumnType::BigInt),
    ]
}

fn facts(layout: &TableLayout, numbers: std::ops::Range<i64>) -> RecordBatch {
    let column = |value: fn(i64) -> Option<i64>| -> arrow::array::ArrayRef {
        Arc::new(numbers.clone().map(value).collect::<Int64Array>())
    };
    RecordBatch::try_new(
        layout.arrow_schema(),
        vec![
            column(Some),
            column(|n| (n % 11 != 0).then_some(n % 10)),
            column(|n| Some(n * 7 % 1_000)),
        ],
    )
    .unwrap()
}

fn dims(layout: &TableLayout, names: &[(i64, &str)]) -> RecordBatch {
    let keys: Int64Array = names.iter().map(|(key, _)| Some(*key)).collect();
    let names: StringArray = names.iter().map(|(_, name)| Some(*name)).collect();
    RecordBatch::try_new(layout.arrow_schema(), vec![Arc::new(keys), Arc::new(names)]).unwrap()
}

impl Lake {
    /// Facts in four shards and in one, two files each, and dimensions that not all facts have.
    async fn new() -> Self {
        let fixture = Fixture::new();
        let store = FaultyStore::new(Arc::clone(fixture.root.bucket()));
        fixture
            .context
            .runtime_env()
            .register_object_store(&bucket_url(fixture.root.url()), Arc::clone(&store) as _);
        let epochs = Arc::new(Epochs::default());
        let lake = Self {
            external: None,
            store,
            cache: Arc::new(FragmentCache::open(16 << 20, None, Arc::clone(&epochs)).await),
            epochs,
            facts: layout(fact_columns(), "id", 4),
            single: layout(fact_columns(), "id", 1),
            dims: layout(
                vec![
                    Column::new("k", ColumnType::BigInt),
                    Column::new("name", ColumnType::String),
                ],
                "k",
                2,
            ),
            fixture,
        };
        for layout in [&lake.facts, &lake.single, &lake.dims] {
            lake.fixture.store.create(layout).await.unwrap();
        }
        for (layout, range) in [
            (&lake.facts, 0..2_000),
            (&lake.facts, 2_000..4_000),
            (&lake.single, 0..3_000),
            (&lake.single, 3_000..4_000),
        ] {
            lake.fixture.insert(layout, facts(layout, range)).await;
        }
        let names = [(0, "a"), (1, "b"), (2, "a"), (3, "c"), (3, "d")];
        lake.fixture.insert(&lake.dims, dims(&lake.dims, &names)).await;
        lake
    }

    async fn plan(&self, sql: &str) -> (SessionContext, Arc<dyn ExecutionPlan>) {
        let state = self.fixture.context.state();
        let config = state.config().clone().with_extension(Arc::clone(&self.cache));
        let state = SessionStateBuilder::new_from_existing(state)
            .with_config(config)
            .build();
        let context = SessionContext::new_with_state(state);
        let catalog = Arc::new(MemoryCatalogProvider::new());
        let schema = Arc::new(MemorySchemaProvider::new());
        datafusion::catalog::CatalogProvider::register_schema(catalog.as_ref(), "public", schema).unwrap();
        context.register_catalog("watershed", catalog);
        for (name, layout) in [("f", &self.facts), ("single", &self.single), ("d", &self.dims)] {
            let (table, _) = self.fixture.table(layout).await;
            context.register_table(name, table).unwrap();
        }
        if let Some(location) = &self.external {
            let table = ExternalTable {
                name: "e".to_owned(),
                format: ExternalFormat::Parquet,
                location: location.clone(),
                columns: vec![],
                partition_by: vec![],
                options: Default::default(),
            };
            let table = crate::external::open(&table, &context.state(), ScanLog::default()).await;
            context.register_table("e", table.unwrap()).unwrap();
        }
        let plan = context
            .sql(sql)
            .await
            .unwrap()
            .create_physical_plan()
            .await
            .unwrap();
        (context, plan)
    }

    async fn ask(&self, sql: &str) -> Run {
        let (context, plan) = self.plan(sql).await;
        let plan = insert(plan).unwrap();
        self.store.take_read();
        let rows = collect(Arc::clone(&plan), context.task_ctx()).await.unwrap();
        let read = self.store.take_read();
        let of = |layout: &TableLayout| files_of(&read, layout);
        let (mut cached, mut run) = (0, 0);
        let (mut bytes_scanned, mut bytes_cached) = (0, 0);
        plan.apply(|node| {
            let metrics = node.metrics().unwrap_or_default();
            let count = |name| metrics.sum_by_name(name).map_or(0, |count| count.as_usize());
            cached += count("fragments_cached");
            run += count("fragments_run");
            bytes_scanned += count("bytes_scanned");
            bytes_cached += count("bytes_cached");
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        Run {
            rows: texts(&rows),
            facts: of(&self.facts) + of(&self.single),
            dims: of(&self.dims),
            cached,
            run,
            bytes_scanned,
            bytes_cached,
        }
    }

    async fn uncached(&self, sql: &str) -> Vec<String> {
        let (context, plan) = self.plan(sql).await;
        texts(&collect(plan, context.task_ctx()).await.unwrap())
    }

    /// Asked twice, the first time reads `cold` files of facts and the second none; both are right.
    async fn reused(&self, sql: &str, cold: usize) {
        let right = self.uncached(sql).await;
        self.cache.columns().clear();
        let first = self.ask(sql).await;
        assert_eq!(first.rows, right, "{sql}");
        assert_eq!((first.facts, first.cached, first.run), (cold, 0, cold), "{sql}");
        let second = self.ask(sql).await;
        assert_eq!(second.rows, right, "{sql}");
        assert_eq!((second.facts, second.dims), (0, 0), "{sql}");
        assert!(second.cached > 0 && second.run == 0, "{sql}");
    }
}

fn files_of(read: &BTreeSet<String>, layout: &TableLayout) -> usize {
    let folder = layout.id.to_string();
    read.iter().filter(|path| path.contains(&folder)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_of_a_file_is_reused() {
    let lake = Lake::new().await;
    for sql in [
        "SELECT k, count(*), sum(x), min(x), avg(x), count(DISTINCT x % 7) FROM f GROUP BY k",
        "SELECT min(x), max(x) FROM f WHERE x % 2 <> 0",
        "SELECT k, approx_distinct(id) FROM f GROUP BY k",
        "SELECT approx_percentile_cont(x, 0.5) IS NULL FROM f",
        "SELECT k, max(id) FROM f WHERE x > 500 GROUP BY k",
    ] {
        lake.reused(sql, 8).await;
    }
    // A file is added: it alone is read, though its least is less than what is known.
    lake.fixture.insert(&lake.facts, facts(&lake.facts, -3..-2)).await;
    let after = lake
        .ask("SELECT min(x), max(x), min(id) FROM f WHERE x % 2 <> 0")
        .await;
    assert_eq!(after.rows, ["-21|999|-3"]);
    let after = lake.ask("SELECT min(x), max(x) FROM f WHERE x % 2 <> 0").await;
    assert_eq!(after.rows, ["-21|999"]);
    assert_eq!((after.facts, after.run), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hit_saves_is_what_its_state_took() {
    let lake = Lake::new().await;
    let ask = async |sql: &str, scanned: usize, cached: usize| {
        let asked = lake.ask(sql).await;
        assert_eq!(
            (asked.bytes_scanned, asked.bytes_cached),
            (scanned, cached),
            "{sql}"
        );
    };
    for sql in [
        "SELECT sum(x) FROM f WHERE k < 7",
        "SELECT k, sum(x) FROM single GROUP BY k",
    ] {
        let cold = lake.ask(sql).await.bytes_scanned;
        assert!(cold > 0, "{sql}");
        ask(sql, 0, cold).await;
        // Others decode the same columns, and then one more.
        lake.cache.columns().clear();
        let (narrow, wide) = (sql.replace('x', "x + 1"), sql.replace('x', "x + id"));
        lake.ask(&narrow).await;
        let decoded = lake.ask(&sql.replace('x', "x + 2")).await.bytes_scanned;
        ask(&sql.replace('x', "x + 2"), 0, decoded).await;
        let third = lake.ask(&wide).await.bytes_scanned;
        assert!(third > 0, "{sql}");
        ask(&wide, 0, decoded + third).await;
        ask(&sql.replace('x', "x + 3"), 0, 0).await;
        ask(&sql.replace('x', "x + 3"), 0, decoded).await;
    }
    // Merged states of the shards with the one of a file that has come.
    let sql = "SELECT max(x), sum(k) FROM f";
    lake.cache.columns().clear();
    let cold = lake.ask(sql).await.bytes_scanned;
    for more in [-3..-2, -4..-3] {
        lake.fixture.insert(&lake.facts, facts(&lake.facts, more)).await;
    }
    let more = lake.ask(sql).await;
    assert_eq!((more.run, more.bytes_cached), (2, cold));
    ask(sql, 0, cold + more.bytes_scanned).await;
    // What a join reads of its other side is read again, or not at all.
    let join = "SELECT d.name, sum(x) FROM f JOIN d USING (k) GROUP BY 1";
    lake.cache.columns().clear();
    let cold = lake.ask(join).await;
    let warm = lake.ask(join).await;
    assert_eq!((warm.bytes_scanned, warm.run), (0, 0));
    assert!(warm.bytes_cached > 0 && warm.bytes_cached < cold.bytes_scanned);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_question_after_the_other_decodes_a_file_once() {
    let lake = Lake::new().await;
    let ask = async |sql: &str, files: usize| {
        let asked = lake.ask(sql).await;
        assert_eq!(asked.rows, lake.uncached(sql).await, "{sql}");
        assert_eq!((asked.facts, asked.run), (files, 8), "{sql}");
    };
    ask("SELECT count(x) FROM f WHERE x > 1", 8).await;
    // Now they are decoded, and other columns when they are needed.
    ask("SELECT sum(x) FROM f WHERE x > 2", 8).await;
    ask("SELECT max(x), count(*) FROM f WHERE x > 3 AND x % 2 = 0", 0).await;
    ask("SELECT k, sum(x) FROM f WHERE x <> 4 GROUP BY k", 8).await;
    ask(
        "SELECT x % 10, min(k), count(k) FROM f WHERE k IS NULL OR x < 5 GROUP BY 1",
        0,
    )
    .await;
    ask(
        "SELECT d.name, sum(x + id) FROM f JOIN d USING (k) WHERE x < 600 GROUP BY 1",
        8,
    )
    .await;
    ask(
        "SELECT d.name, min(id), max(x) FROM f JOIN d USING (k) WHERE x < 700 GROUP BY 1",
        0,
    )
    .await;
    lake.cache.clear_memory();
    ask("SELECT max(x), count(*) FROM f WHERE x > 13", 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_counts_what_its_queries_do() {
    let lake = Lake::new().await;
    let (mut hits, mut misses) = (0, 0);
    for (sql, rate) in [
        ("SELECT k, sum(x) FROM f GROUP BY k", Some(0.0)),
        ("SELECT k, sum(x) FROM f GROUP BY k", Some(0.5)),
        // Its two files have as many groups as rows: no state is kept, and none is looked for again.
        ("SELECT id, sum(x) FROM single GROUP BY id", Some(8.0 / 18.0)),
        ("SELECT id, sum(x) FROM single GROUP BY id", Some(8.0 / 18.0)),
        // All rows fulfil the condition, which makes no other question.
        (
            "SELECT k, sum(x) FROM f WHERE id >= 0 GROUP BY k",
            Some(16.0 / 26.0),
        ),
    ] {
        let run = lake.ask(sql).await;
        hits += run.cached as u64;
        misses += run.run as u64;
        let figures = lake.cache.figures();
        assert_eq!((figures.hits, figures.misses), (hits, misses), "{sql}");
        assert_eq!(figures.hit_rate(), rate, "{sql}");
    }
    let figures = lake.cache.figures();
    assert!(figures.entries >= 8 && figures.bytes > 0, "{figures:?}");
    assert_eq!((figures.max_bytes, figures.disk_bytes), (16 << 20, None));
    lake.cache.clear_memory();
    let figures = lake.cache.figures();
    assert_eq!((figures.entries, figures.bytes, figures.evictions), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_travel_and_are_of_their_files_alone() {
    let lake = Lake::new().await;
    let (context, plan) = lake
        .plan("SELECT sum(k) FROM f WHERE id >= 2000 AND x >= 0 AND k <> 3")
        .await;
    let mut found = None;
    insert(plan)
        .unwrap()
        .apply(|node| {
            found = found
                .take()
                .or(node.is::<FragmentCacheExec>().then(|| Arc::clone(node)));
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
    let node = found.unwrap();
    let input = node.downcast_ref::<FragmentCacheExec>().unwrap().input();
    let leaf = Cacheable::of(input).unwrap().unwrap().leaf;
    let proofs = Proofs::of(&leaf).unwrap().unwrap();
    let told = FragmentCacheExec::new(Arc::clone(input)).with_proofs(Some(Arc::new(proofs)));
    let bytes = physical_plan_to_bytes_with_extension_codec(Arc::new(told), &WatershedCodec).unwrap();
    let arrived =
        physical_plan_from_bytes_with_extension_codec(&bytes, &context.task_ctx(), &WatershedCodec).unwrap();
    let cache = arrived.downcast_ref::<FragmentCacheExec>().unwrap();
    let proofs = cache.proofs().unwrap();
    let leaf = Cacheable::of(cache.input()).unwrap().unwrap().leaf;
    let scan = file_scan(&leaf).unwrap();
    let schema = scan.file_source().table_schema().table_schema();
    let mut proven = Vec::new();
    for condition in conjuncts(&leaf).unwrap() {
        let text = expression(&condition).unwrap();
        for (partition, group) in scan.file_groups.iter().enumerate() {
            let files = group.files();
            let known = proofs.get(&text, partition, files).unwrap();
            assert_eq!(known, true_of_all(&condition, schema, files).unwrap());
            proven.extend(known);
            assert_eq!(proofs.get(&text, partition, &[]), None);
            assert_eq!(proofs.get(&text, partition + 1, files), None);
            assert_eq!(proofs.get(&format!("{text} "), partition, files), None);
        }
    }
    // The first condition takes the first four files away and is true of the others, as is the second; the
    // third column has NULLs.
    assert_eq!(proven.iter().filter(|proven| **proven).count(), 8);
    assert_eq!(proven.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn star_joins_are_reused_until_a_dimension_changes() {
    let lake = Lake::new().await;
    let queries = [
        "SELECT d.name, sum(f.x), count(*) FROM f JOIN d ON f.k = d.k GROUP BY d.name",
        "SELECT d.name, count(f.x) FROM f LEFT JOIN d ON f.k = d.k GROUP BY d.name",
        "SELECT count(*) FROM f WHERE k IN (SELECT k FROM d WHERE name <> 'c')",
        "SELECT count(*) FROM f WHERE NOT EXISTS (SELECT 1 FROM d WHERE d.k = f.k)",
        "SELECT e.name, sum(f.x) FROM f JOIN d ON f.k = d.k JOIN d e ON d.name = e.name WHERE f.x > 10 GROUP BY 1",
        "SELECT d.name, max(f.x) FROM f JOIN d ON f.k = d.k AND f.x > d.k * 100 GROUP BY d.name",
        "SELECT max(f.x), min(d.name) FROM f JOIN d USING (k)",
    ];
    for sql in queries {
        lake.reused(sql, 8).await;
    }
    // Of the build side each file is read once for all files that are probed.
    lake.epochs.forget(&[], true);
    let cold = lake.ask(queries[0]).await;
    assert_eq!((cold.facts, cold.dims), (8, 2));
    // An appended file of facts is joined with all dimensions.
    lake.fixture
        .insert(&lake.facts, facts(&lake.facts, 4_131..4_132))
        .await;
    let after = lake.ask(queries[0]).await;
    assert_eq!(after.rows, lake.uncached(queries[0]).await);
    assert_eq!((after.facts, after.dims, after.run), (1, 2, 1));
    // Another dimension makes another query of it.
    lake.fixture
        .insert(&lake.dims, dims(&lake.dims, &[(4, "e")]))
        .await;
    for sql in queries {
        lake.reused(sql, 9).await;
    }
    // Forgetting a dimension's table forgets what was joined with it.
    lake.epochs.forget(&[lake.dims.id.to_string()], false);
    assert_eq!(lake.ask(queries[0]).await.facts, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_that_are_not_by_row_are_left_alone() {
    let lake = Lake::new().await;
    for sql in [
        "SELECT count(*), count(f.x) FROM d LEFT JOIN f ON f.k = d.k AND f.x < 0",
        "SELECT count(*), sum(f.x) FROM f FULL JOIN d ON f.k = d.k + 100",
        "SELECT count(*) FROM d WHERE k NOT IN (SELECT k FROM f WHERE k IS NOT NULL)",
        "SELECT count(*) FROM (SELECT k FROM f ORDER BY x, id LIMIT 10) JOIN d USING (k)",
        "SELECT count(*) FROM (SELECT DISTINCT k FROM f)",
        "SELECT count(*) FROM f JOIN (SELECT k, name, random() AS r FROM d) d ON f.k = d.k WHERE r >= 0",
    ] {
        for _ in 0..2 {
            assert_eq!(lake.ask(sql).await.rows, lake.uncached(sql).await, "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_worth_keeping_is_right_and_ends() {
    let lake = Lake::new().await;
    // As many groups as rows, joined: every file gives more than is kept of it.
    let sql = "SELECT f.id * 2 AS twice, d.name, f.x, count(*) FROM f JOIN d ON f.k = d.k GROUP BY 1, 2, 3";
    lake.fixture
        .insert(&lake.facts, facts(&lake.facts, 10_000..40_000))
        .await;
    let right = lake.uncached(sql).await;
    for _ in 0..3 {
        assert_eq!(lake.ask(sql).await.rows, right);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_partition_is_as_good_as_several() {
    let lake = Lake::new().await;
    for sql in [
        "SELECT count(*), sum(x) FROM single WHERE x > 3",
        "SELECT k, count(*), avg(x), count(DISTINCT x % 5) FROM single GROUP BY k ORDER BY k",
    ] {
        lake.reused(sql, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_of_others_are_cut_and_reused() {
    let mut lake = Lake::new().await;
    lake.fixture
        .insert(&lake.single, facts(&lake.single, 100_000..400_000))
        .await;
    let folder = lake.fixture.folder.path().join("external");
    std::fs::create_dir(&folder).unwrap();
    let mut files = files_in(lake.fixture.folder.path());
    files.retain(|file| file.to_str().unwrap().contains(&lake.single.id.to_string()));
    files.sort_by_key(|file| file.metadata().unwrap().len());
    let (small, large) = (&files[0], &files[files.len() - 1]);
    assert!(large.metadata().unwrap().len() > 1 << 20, "it is worth cutting");
    std::fs::copy(large, folder.join("a.parquet")).unwrap();
    lake.external = Some(folder.to_str().unwrap().to_owned());
    let sql = "SELECT k, count(*), sum(x), max(id) FROM e WHERE x % 3 <> 1 GROUP BY k";
    let right = lake.uncached(sql).await;
    let first = lake.ask(sql).await;
    assert_eq!(first.rows, right);
    assert!(first.run > 1, "in ranges, not {}", first.run);
    let second = lake.ask(sql).await;
    assert_eq!((second.rows, second.cached, second.run), (right, first.run, 0));
    // Beside a small one the large one is cut as before.
    std::fs::copy(small, folder.join("b.parquet")).unwrap();
    let third = lake.ask(sql).await;
    assert_eq!(third.rows, lake.uncached(sql).await);
    assert_eq!((third.cached, third.run), (first.run, 1));
}

/// The Parquet files below a folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_in(&path)),
            false if path.extension().is_some_and(|ending| ending == "parquet") => files.push(path),
            false => {}
        }
    }
    files
}
