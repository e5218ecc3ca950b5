use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;

use super::describe::{Described, describe};
use super::travel::round_trip;
use super::{WatershedCodec, portable};
use crate::fixture::{Fixture, batch, events, texts};
use crate::write::{ShardWriteExec, WriteTarget, written_files};

type Plan = Arc<dyn ExecutionPlan>;

/// A session over a table of two days, in files of four shards.
async fn session() -> (Fixture, SessionContext) {
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    for day in 0..2 {
        fixture.insert(&layout, batch(i64::from(day) * 30, 30, day)).await;
    }
    let (table, _) = fixture.table(&layout).await;
    let context = fixture.context_over(table);
    (fixture, context)
}

async fn planned(context: &SessionContext, sql: &str) -> Plan {
    let rows = context.sql(sql).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.create_physical_plan().await.unwrap()
}

async fn rows_of(context: &SessionContext, plan: Plan) -> Vec<String> {
    texts(&collect(plan, context.task_ctx()).await.unwrap())
}

/// Another process gets the plan as it is, and the same rows of it.
async fn check(context: &SessionContext, sql: &str) {
    // Plans are encoded before they run: one that has run holds what its dynamic filters found.
    let expected = rows_of(context, planned(context, sql).await).await;
    let plan = planned(context, sql).await;
    let sent = portable(&plan, &context.task_ctx()).unwrap();
    let sent = sent.unwrap_or_else(|why| panic!("{sql}: {why}"));
    let arrived = round_trip(Arc::clone(&sent), &context.task_ctx()).unwrap();
    let (before, after) = (describe(&sent).unwrap(), describe(&arrived).unwrap());
    assert_eq!(before.len(), after.len(), "{sql}");
    for (before, after) in before.iter().zip(&after) {
        assert!(
            before.is_same_as(after),
            "{sql}\n{}\n{}",
            before.text(),
            after.text()
        );
    }
    assert_eq!(rows_of(context, arrived).await, expected, "{sql}");
}

async fn check_refused(context: &SessionContext, sql: &str) {
    let plan = planned(context, sql).await;
    let sent = portable(&plan, &context.task_ctx()).unwrap();
    assert!(sent.is_err(), "{sql}: {sent:?}");
}

#[tokio::test]
async fn windows_arrive_as_they_are() {
    let (_fixture, context) = session().await;
    let calls = [
        "row_number()",
        "rank()",
        "dense_rank()",
        "percent_rank()",
        "cume_dist()",
        "ntile(3)",
        "lag(title)",
        "lag(title, 2, 'none')",
        "lead(title) IGNORE NULLS",
        "first_value(title) IGNORE NULLS",
        "last_value(title)",
        "nth_value(title, 2)",
        "count(*)",
        "sum(user_id)",
        "min(title)",
        "count(DISTINCT dt)",
        "array_agg(user_id)",
    ];
    let windows = [
        "",
        "ORDER BY at DESC",
        "PARTITION BY dt, user_id ORDER BY at NULLS FIRST",
    ];
    for window in windows {
        for call in calls {
            // Ranks over ties, and values of a row among others, need an order to be the same in each run.
            let ordered = window.contains("ORDER BY") || call.starts_with("count") || call.starts_with("sum");
            if ordered || call.starts_with("min") {
                check(&context, &format!("SELECT at, {call} OVER ({window}) FROM t")).await;
            }
        }
    }
    for frame in [
        "ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING",
        "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
        "RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW",
        "GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    ] {
        let over = format!("OVER (PARTITION BY dt ORDER BY at {frame})");
        check(
            &context,
            &format!(
                "SELECT at, sum(user_id) {over}, first_value(title) {over}, nth_value(title, 2) {over} FROM t"
            ),
        )
        .await;
    }
}

#[tokio::test]
async fn windows_in_reverse_arrive_in_reverse() {
    let (_fixture, context) = session().await;
    for call in [
        "lag(title)",
        "lead(title, 2)",
        "first_value(title)",
        "last_value(title)",
        "nth_value(title, 3)",
        "sum(user_id)",
    ] {
        for (one, other) in [("ASC", "DESC"), ("DESC", "ASC")] {
            let sql = format!(
                "SELECT at, row_number() OVER (PARTITION BY dt ORDER BY at {one}), \
                 {call} OVER (PARTITION BY dt ORDER BY at {other} ROWS BETWEEN 3 PRECEDING AND UNBOUNDED FOLLOWING) FROM t"
            );
            check(&context, &sql).await;
        }
    }
}

#[tokio::test]
async fn windows_know_constant_keys_of_their_partitions() {
    let (_fixture, context) = session().await;
    for over in [
        "PARTITION BY user_id ORDER BY at",
        "PARTITION BY user_id",
        "PARTITION BY dt, user_id ORDER BY at",
    ] {
        for call in ["rank()", "sum(user_id)"] {
            check(
                &context,
                &format!("SELECT user_id, {call} OVER ({over}) FROM t WHERE user_id = 7"),
            )
            .await;
        }
    }
}

#[tokio::test]
async fn what_would_be_lost_is_not_sent() {
    let (_fixture, context) = session().await;
    check_refused(
        &context,
        "SELECT sum(user_id) FILTER (WHERE user_id > 3) OVER (PARTITION BY dt) FROM t",
    )
    .await;
    check_refused(&context, "SELECT count(*) FROM t GROUP BY GROUPING SETS (())").await;
    check_refused(&context, "SELECT count(*) FROM t GROUP BY GROUPING SETS ((), ())").await;
}

#[tokio::test]
async fn other_nodes_arrive_as_they_are() {
    let (_fixture, context) = session().await;
    for sql in [
        "SELECT count(*) FROM (SELECT * FROM t WHERE user_id = 3 AND dt = DATE '2024-01-02' LIMIT 5) AS some",
        "SELECT title, CASE WHEN user_id > 5 THEN 'a' WHEN user_id > 3 THEN NULL ELSE title END FROM t",
        "SELECT CASE user_id WHEN 1 THEN 'a' WHEN 2 THEN 'b' END, count(*) FROM t GROUP BY 1",
        "SELECT TRY_CAST(title AS BIGINT), CAST(user_id AS DECIMAL(20, 3)), CAST(at AS STRING), -user_id FROM t",
        "SELECT * FROM t WHERE title LIKE 'title 1%' OR title ILIKE '%9' OR title NOT LIKE '%3%'",
        "SELECT * FROM t WHERE user_id IN (1, 2, 3, 5, 8) AND title NOT IN ('title 1', 'title 2') AND title IS NOT NULL",
        "SELECT date_trunc('hour', at), upper(title), concat(title, '!'), abs(user_id - 9), at + INTERVAL '1' DAY FROM t",
        "SELECT user_id FROM t WHERE abs(user_id - 9) > 2 AND abs(user_id - 9) < 5 AND abs(user_id - 9) < 5",
        "SELECT to_timestamp('2024-01-01T00:00:00'), dt, date_part('hour', at), to_char(at, '%H') FROM t",
        "SELECT [user_id, 1], named_struct('a', user_id, 'b', title)['b'], array_concat([user_id], [2]) FROM t",
        "SELECT array_repeat(title, 2), array_repeat([user_id], 2), array_concat([[user_id]], [[2]]) FROM t",
        "SELECT user_id, unnest([1, user_id]) FROM t",
        "SELECT dt, count(*), sum(user_id), avg(user_id), count(DISTINCT title), round(stddev(user_id), 9) FROM t GROUP BY dt",
        "SELECT dt, count(*) FILTER (WHERE user_id > 5), sum(DISTINCT user_id) FROM t GROUP BY dt HAVING count(*) > 1",
        "SELECT user_id, string_agg(title, ',' ORDER BY at DESC, title), array_agg(title ORDER BY at, title) FROM t GROUP BY user_id",
        "SELECT user_id, first_value(title ORDER BY at, title), last_value(title ORDER BY at, title) FROM t GROUP BY user_id",
        "SELECT first_value(title ORDER BY at DESC, title), median(user_id), corr(user_id, user_id) > 0.99 FROM t",
        "SELECT dt, user_id, count(*), grouping(dt) FROM t GROUP BY CUBE (dt, user_id)",
        "SELECT dt, count(*) FROM t GROUP BY GROUPING SETS ((dt), ())",
        "SELECT DISTINCT user_id, dt FROM t",
        "SELECT user_id FROM t GROUP BY user_id ORDER BY user_id LIMIT 3",
        "SELECT at, title FROM t ORDER BY at DESC NULLS LAST, title LIMIT 7 OFFSET 2",
        "SELECT user_id, max(at) AS m FROM t GROUP BY user_id ORDER BY m DESC, user_id LIMIT 2",
        "SELECT a.title FROM t a JOIN t b ON a.user_id = b.user_id AND a.at < b.at",
        "SELECT count(*) FROM t a LEFT JOIN t b ON a.user_id = b.user_id AND a.at < b.at AND b.dt > a.dt",
        "SELECT count(*) FROM t a FULL JOIN t b ON a.user_id = b.user_id + 15",
        "SELECT count(*), min(b.title) FROM t a RIGHT JOIN t b ON a.user_id < b.user_id - 15",
        "SELECT count(*) FROM t a CROSS JOIN (SELECT * FROM t WHERE user_id = 1) b",
        "SELECT count(*) FROM t WHERE user_id NOT IN (SELECT user_id - 5 FROM t)",
        "SELECT count(*) FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE a.user_id = b.user_id AND b.at > a.at)",
        "SELECT count(*) FROM t a WHERE NOT EXISTS (SELECT 1 FROM t b WHERE a.user_id = b.user_id - 9)",
        "SELECT user_id FROM t INTERSECT SELECT user_id + 3 FROM t",
        "SELECT user_id FROM t EXCEPT SELECT user_id + 3 FROM t",
        "SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS v (a, b) JOIN t ON t.user_id = v.a",
    ] {
        check(&context, sql).await;
    }
}

/// Whatever is sent without having been compared has been compared here: kinds of nodes and expressions that
/// are taken for proven would otherwise go unseen.
#[tokio::test]
async fn plain_plans_need_no_comparison() {
    let (_fixture, context) = session().await;
    let sql = "SELECT dt, sum(user_id), count(*) FROM t WHERE title LIKE 'title%' AND user_id > 1 GROUP BY dt ORDER BY dt";
    let plan = planned(&context, sql).await;
    assert!(describe(&plan).unwrap().iter().all(Described::is_proven));
    check(&context, sql).await;
}

async fn run(fixture: &Fixture, plan: Arc<dyn ExecutionPlan>) -> Vec<RecordBatch> {
    collect(plan, fixture.context.task_ctx()).await.unwrap()
}

#[tokio::test]
async fn scans_and_writes_travel() {
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    fixture.insert(&layout, batch(0, 100, 0)).await;
    let (table, _) = fixture.table(&layout).await;
    let state = fixture.context.state();
    let scan = table
        .scan(&state, Some(&vec![2, 3, 0, 1]), &[], None)
        .await
        .unwrap();
    let arrived = round_trip(Arc::clone(&scan), &fixture.context.task_ctx()).unwrap();
    assert_eq!(arrived.schema(), scan.schema());
    assert_eq!(
        texts(&run(&fixture, arrived).await),
        texts(&run(&fixture, scan).await)
    );

    let scan = table.scan(&state, None, &[], None).await.unwrap();
    let target = WriteTarget::new(events(), &fixture.root).unwrap();
    let write = Arc::new(ShardWriteExec::new(scan, target.clone()));
    let arrived = round_trip(write, &fixture.context.task_ctx()).unwrap();
    assert_eq!(
        arrived.downcast_ref::<ShardWriteExec>().unwrap().target(),
        &target
    );
    let (files, rows) = written_files(&run(&fixture, arrived).await).unwrap();
    assert_eq!((files.len(), rows), (4, 100));
}

#[test]
fn other_bytes_are_refused() {
    let fixture = Fixture::new();
    let context = fixture.context.task_ctx();
    let converter = datafusion_proto::physical_plan::DefaultPhysicalProtoConverter {};
    for bytes in [&b""[..], b"WSH1", b"WSH1\x01{}", b"WSH2\x01", b"other"] {
        assert!(
            WatershedCodec
                .try_decode(bytes, &[], &context, &converter)
                .is_err()
        );
    }
}
