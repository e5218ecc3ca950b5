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

#[tokio::test]
async fn all_columns_of_wide_tables() {
    let mut fixture = Fixture::new().await;
    let columns: Vec<String> = (0..300).map(|n| format!("{n} + v AS c{n}")).collect();
    let create = format!(
        "CREATE TABLE wide AS SELECT {} FROM (VALUES (0), (1000)) t(v)",
        columns.join(", ")
    );
    fixture.all(&[create.as_str()]).await;
    for (sql, width, first) in [
        ("SELECT * FROM wide ORDER BY c5 DESC LIMIT 1", 300, "1000"),
        ("SELECT * FROM wide WHERE c7 = 7", 300, "0"),
        (
            "SELECT * FROM wide ORDER BY row_number() OVER (ORDER BY c1 DESC) LIMIT 1",
            300,
            "1000",
        ),
        ("SELECT * FROM wide ORDER BY 1 LIMIT 1", 300, "0"),
        (
            "SELECT * FROM wide a JOIN wide b ON a.c1 = b.c1 WHERE a.c0 = 0",
            600,
            "0",
        ),
    ] {
        let plan = fixture.plan(sql).await.unwrap();
        assert_eq!(plan.schema().fields().len(), width, "{sql}");
        let rows = fixture.run(sql).await.unwrap();
        assert_eq!(rows.len(), 1, "{sql}");
        assert!(rows[0].starts_with(&format!("{first}|")), "{sql}: {}", rows[0]);
    }
    assert!(
        fixture
            .plan("SELECT * FROM wide ORDER BY count(*)")
            .await
            .is_err()
    );
    // More columns than one scan summarizes, in their order.
    let rows = fixture
        .run("SUMMARIZE SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17 FROM wide")
        .await
        .unwrap();
    let names: Vec<&str> = rows.iter().filter_map(|row| row.split('|').next()).collect();
    let expected: Vec<String> = (0..18).map(|n| format!("c{n}")).collect();
    assert_eq!(names, expected);
    assert!(
        fixture
            .plan("SUMMARIZE SELECT a.*, b.* FROM wide a, wide b")
            .await
            .is_err()
    );
}
