use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::datasource::MemTable;
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionContext;
use watershed_core::SqlState;
use watershed_core::settings::Settings;
use watershed_storage::session;

use super::*;

/// A session with tables `a` and `b` of four partitions each.
fn context() -> SessionContext {
    let runtime = Arc::new(datafusion::execution::runtime_env::RuntimeEnv::default());
    let config = session::config(&Settings::default(), 4).with_create_default_catalog_and_schema(true);
    let context = SessionContext::new_with_state(session::state(config, runtime).build());
    for table in ["a", "b"] {
        let batch = |n: i64| {
            let values: ArrayRef = Arc::new(Int64Array::from_iter_values(n * 10..n * 10 + 10));
            vec![RecordBatch::try_from_iter([("x", values)]).unwrap()]
        };
        let batches: Vec<_> = (0..4).map(batch).collect();
        let rows = MemTable::try_new(batches[0][0].schema(), batches).unwrap();
        context.register_table(table, Arc::new(rows)).unwrap();
    }
    context
}

async fn planned(sql: &str) -> Result<Planned> {
    let context = context();
    let logical = context.sql(sql).await.unwrap().into_unoptimized_plan();
    plan(&context.state(), &logical, None, &Members::default(), None).await
}

async fn check(sql: &str, has: &[&str], has_not: &[&str]) {
    let planned = planned(sql).await.unwrap();
    let text = displayable(planned.plan.as_ref()).indent(false).to_string();
    for part in has {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    for part in has_not {
        assert!(!text.contains(part), "{part} is in\n{text}");
    }
}

/// The stages of a query's plan, as texts.
fn cut(planned: &Planned) -> Vec<String> {
    let stages = stages(&planned.plan, planned.state.config_options()).unwrap();
    let draw = |stage: &Arc<dyn ShuffleWriter>| {
        displayable(stage.children()[0].as_ref())
            .indent(false)
            .to_string()
    };
    stages.iter().map(draw).collect()
}

#[tokio::test]
async fn joins_spill_and_no_filter_crosses_stages() {
    check(
        "SELECT * FROM a JOIN b USING (x)",
        &["SortMergeJoinExec"],
        &["HashJoinExec", "DynamicFilter"],
    )
    .await;
}

/// The stage with `join` in it runs in one task or in several.
async fn check_tasks(sql: &str, join: &str, one: bool) {
    let planned = planned(sql).await.unwrap();
    let stages = stages(&planned.plan, planned.state.config_options()).unwrap();
    let place = cut(&planned)
        .iter()
        .position(|stage| stage.contains(join))
        .unwrap();
    let tasks = stages[place].children()[0]
        .output_partitioning()
        .partition_count();
    assert_eq!(tasks == 1, one, "{tasks} tasks of\n{}", cut(&planned)[place]);
}

#[tokio::test]
async fn rows_that_nothing_matches_are_given_by_one_task() {
    for kind in ["LEFT", "FULL"] {
        let sql = format!("SELECT count(*), count(b.x) FROM a {kind} JOIN b ON a.x + b.x > 70");
        check_tasks(
            &sql,
            &format!("join_type={}", if kind == "LEFT" { "Left" } else { "Full" }),
            true,
        )
        .await;
    }
    check_tasks(
        "SELECT count(*) FROM a WHERE x NOT IN (SELECT nullif(x, 3) FROM b)",
        "null_aware",
        true,
    )
    .await;
    check_tasks(
        "SELECT count(*) FROM a JOIN b ON a.x + b.x > 70",
        "NestedLoopJoinExec",
        false,
    )
    .await;
}

#[tokio::test]
async fn the_last_stage_says_how_many_partitions_there_are() {
    assert_eq!(planned("SELECT x FROM a ORDER BY x").await.unwrap().partitions, 1);
    assert_eq!(planned("SELECT x FROM a").await.unwrap().partitions, 4);
}

#[tokio::test]
async fn what_cannot_be_cut_is_refused() {
    let recursive =
        "WITH RECURSIVE r AS (SELECT x FROM a UNION ALL SELECT x + 1 FROM r WHERE x < 50) SELECT * FROM r";
    let Err(error) = planned(recursive).await else {
        panic!("a recursive query was planned")
    };
    assert_eq!(error.code(), SqlState::FeatureNotSupported);
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn orders_that_sorted_joins_lose_are_restored() {
    let context = context();
    let one = RecordBatch::try_from_iter([
        ("x", Arc::new(Int64Array::from_iter_values([1, 1])) as ArrayRef),
        ("y", Arc::new(Int64Array::from_iter_values([3, 2])) as ArrayRef),
    ]);
    let one = one.unwrap();
    let rows = MemTable::try_new(one.schema(), vec![vec![one]]).unwrap();
    context.register_table("c", Arc::new(rows)).unwrap();
    let sql = "SELECT c.y FROM a JOIN c ON a.x = c.x WHERE a.x = 1 ORDER BY c.y";
    let logical = context.sql(sql).await.unwrap().into_unoptimized_plan();
    let planned = plan(&context.state(), &logical, None, &Members::default(), None)
        .await
        .unwrap();
    let cut = cut(&planned).concat();
    // The join does not keep the order by y that its right side has; its rows are sorted again above.
    let sorted = "SortExec: expr=[y@0 ASC NULLS LAST], preserve_partitioning=[true]\n  ProjectionExec: expr=[y@2 as y]\n    SortMergeJoinExec";
    assert!(cut.contains(sorted), "{cut}");
}
