//! Queries that are long, or as deep as they may be.

use super::*;

/// Deep or long, and all of them valid.
fn large_queries() -> Vec<(String, &'static str)> {
    vec![
        (format!("SELECT {}1{}", "(".repeat(450), ")".repeat(450)), "1"),
        (format!("SELECT 1{}", " + 1".repeat(450)), "451"),
        (
            format!("SELECT count(*) FROM t WHERE a = 0{}", " OR a = 1".repeat(10_000)),
            "1",
        ),
        (
            format!("SELECT count(*) FROM t WHERE a = 1{}", " AND a < 9".repeat(450)),
            "1",
        ),
        (
            format!("SELECT count(*) FROM t WHERE a IN (1{})", ", 2".repeat(20_000)),
            "1",
        ),
        (
            format!("SELECT {}a{} FROM t", "abs(".repeat(200), ")".repeat(200)),
            "1",
        ),
        (
            format!(
                "SELECT CASE {} END FROM t",
                "WHEN a = 2 THEN 2 WHEN a = 1 THEN 1 ".repeat(500)
            ),
            "1",
        ),
        (format!("SELECT {}1{}", "(SELECT ".repeat(8), ")".repeat(8)), "1"),
        (
            format!(
                "SELECT a FROM {}t{}",
                "(SELECT a FROM ".repeat(60),
                ") x".repeat(60)
            ),
            "1",
        ),
        (
            format!(
                "SELECT count(*) FROM (SELECT 1{}) x",
                " UNION ALL SELECT 1".repeat(200)
            ),
            "201",
        ),
    ]
}

#[tokio::test]
async fn large_queries_are_planned_on_an_ordinary_stack() {
    let mut fixture = Fixture::new().await;
    fixture.all(&["CREATE TABLE t AS SELECT 1 AS a"]).await;
    for (sql, _) in large_queries() {
        fixture
            .plan(&sql)
            .await
            .unwrap_or_else(|error| panic!("{}: {error:?}", &sql[..60]));
    }
}

/// DataFusion's optimizer and its execution recurse too: they need threads with a larger stack.
#[test]
fn large_queries_give_their_answers() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut fixture = Fixture::new().await;
            fixture.all(&["CREATE TABLE t AS SELECT 1 AS a"]).await;
            for (sql, expected) in large_queries() {
                let rows = fixture
                    .run(&sql)
                    .await
                    .unwrap_or_else(|error| panic!("{}: {error:?}", &sql[..60]));
                assert_eq!(rows, [expected], "{}", &sql[..60]);
            }
        });
    };
    std::thread::Builder::new()
        .stack_size(16 << 20)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}
