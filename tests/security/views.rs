//! Views: whose rights they have, what they read, and what their readers find out about the rows that they leave out.

use super::{login, secure};
use crate::harness::{Cluster, Options, Session};

/// A table of salaries, a view of some of its rows, and `bob`, who may read the view.
fn payroll(admin: &mut Session) {
    for sql in [
        "CREATE USER bob PASSWORD 'hunter22'",
        "CREATE SCHEMA hr",
        "CREATE TABLE hr.pay (id BIGINT, who STRING, note STRING, salary BIGINT, at TIMESTAMP) CLUSTERED BY (id) INTO 4 BUCKETS",
        "INSERT INTO hr.pay SELECT v, 'p' || v, CAST(v AS STRING), v, TIMESTAMP '2024-01-01' + v * INTERVAL '1' HOUR \
         FROM generate_series(1, 99) AS g(v)",
        "INSERT INTO hr.pay VALUES (100, 'boss', 'the secret note', 100, TIMESTAMP '2024-06-01')",
        "CREATE VIEW hr.few AS SELECT id, who, note, salary, at FROM hr.pay WHERE who <> 'boss'",
        "CREATE VIEW hr.last AS SELECT id, who, note FROM hr.pay ORDER BY note LIMIT 5",
        "CREATE VIEW hr.later AS SELECT id, who, note FROM hr.pay ORDER BY note DESC OFFSET 1",
        "GRANT SELECT ON hr.last TO bob",
        "GRANT SELECT ON hr.later TO bob",
        "GRANT SELECT ON hr.few TO bob",
    ] {
        admin.run(sql);
    }
}

#[test]
fn names_of_common_table_expressions_open_no_table() {
    let (cluster, mut admin) = secure();
    payroll(&mut admin);
    let mut bob = login(&cluster, "bob", "hunter22");
    bob.run("USE hr");
    for sql in [
        "WITH pay AS (SELECT 1) SELECT [(SELECT string_agg(who, ',') FROM pay)]",
        "WITH pay AS (SELECT 1) SELECT ARRAY[(SELECT max(who) FROM pay)]",
        "WITH pay AS (SELECT 1) SELECT ARRAY(SELECT who FROM pay)",
        "WITH pay AS (SELECT 1) SELECT {'a': (SELECT max(who) FROM pay)}",
        "WITH pay AS (SELECT 1) SELECT list_transform([1], x -> (SELECT max(who) FROM pay))",
        "WITH pay AS (SELECT 1) SELECT * FROM (VALUES ((SELECT max(who) FROM pay))) AS t(a)",
        "WITH RECURSIVE pay AS (SELECT max(who) AS who FROM pay) SELECT who FROM pay",
        "EXPLAIN WITH pay AS (SELECT 1) SELECT [(SELECT string_agg(who, ',') FROM pay)]",
        "SELECT * FROM (SELECT * FROM pay) AS few",
        "SELECT (SELECT max(who) FROM pay) FROM few",
        "CREATE TEMPORARY TABLE mine AS SELECT * FROM pay",
        "CREATE TEMPORARY VIEW mine AS SELECT * FROM pay",
    ] {
        match bob.query(sql) {
            Ok(table) => panic!("{sql}: {:?}", table.rows()),
            Err(failure) => {
                let code = failure.code.clone().unwrap_or_default();
                assert!(
                    ["42501", "42703", "42P01", "0A000"].contains(&code.as_str()),
                    "{sql}: {failure}"
                );
            }
        }
    }
    // One's own object of the name is read, and not the table that one may not read.
    bob.run("CREATE TEMPORARY TABLE pay AS SELECT 7 AS who");
    assert_eq!(bob.value("SELECT who FROM pay"), "7");
    bob.fails("SELECT who FROM hr.pay", "42P01");
}

#[test]
fn a_user_of_a_dropped_owners_name_is_not_the_owner() {
    let (cluster, mut admin) = secure();
    payroll(&mut admin);
    let make = |admin: &mut Session| {
        for sql in [
            "CREATE USER ada PASSWORD 'hunter22'",
            "GRANT SELECT ON hr.pay TO ada",
            "GRANT CREATE ON SCHEMA hr TO ada",
        ] {
            admin.run(sql);
        }
    };
    make(&mut admin);
    login(&cluster, "ada", "hunter22").run("CREATE VIEW hr.adas AS SELECT who FROM hr.pay WHERE id < 3");
    admin.run("GRANT SELECT ON hr.adas TO bob");
    let mut bob = login(&cluster, "bob", "hunter22");
    assert_eq!(bob.value("SELECT count(*) FROM hr.adas"), "2");
    admin.run("DROP USER ada");
    bob.fails("SELECT count(*) FROM hr.adas", "42501");
    make(&mut admin);
    bob.fails("SELECT count(*) FROM hr.adas", "42501");
    admin.run("CREATE OR REPLACE VIEW hr.adas AS SELECT who FROM hr.pay WHERE id < 2");
    assert_eq!(bob.value("SELECT count(*) FROM hr.adas"), "1");
}

#[test]
fn views_have_the_rights_of_their_owners() {
    let (cluster, mut admin) = secure();
    payroll(&mut admin);
    for sql in [
        "CREATE USER ada PASSWORD 'hunter22'",
        "GRANT SELECT ON hr.pay TO ada",
        "GRANT CREATE ON SCHEMA hr TO ada",
    ] {
        admin.run(sql);
    }
    let mut ada = login(&cluster, "ada", "hunter22");
    let mut bob = login(&cluster, "bob", "hunter22");
    ada.run("CREATE VIEW hr.adas AS SELECT who FROM hr.pay WHERE id < 3");
    admin.run("GRANT SELECT ON hr.adas TO bob");
    admin.run("CREATE VIEW hr.above AS SELECT count(*) AS n FROM hr.adas");
    admin.run("GRANT SELECT ON hr.above TO bob");
    let count = "SELECT count(*) FROM hr.adas";
    assert_eq!(bob.value(count), "2");
    assert_eq!(bob.value("SELECT n FROM hr.above"), "2");
    // A right that the owner loses, the view loses, for everyone and for views above.
    admin.run("REVOKE SELECT ON hr.pay FROM ada");
    bob.fails(count, "42501");
    bob.fails("SELECT n FROM hr.above", "42501");
    admin.fails(count, "42501");
    admin.run("GRANT SELECT ON hr.pay TO ada");
    assert_eq!(bob.value(count), "2");
    // A table that replaces the one it reads is the same for it; one that has the name later is not.
    admin.run("CREATE OR REPLACE TABLE hr.pay AS SELECT 1 AS id, 'one' AS who");
    assert_eq!(bob.value(count), "1");
    admin.run("DROP TABLE hr.pay");
    admin.run("CREATE TABLE hr.pay (id BIGINT, who STRING)");
    admin.run("GRANT SELECT ON hr.pay TO ada");
    let told = bob.fails(count, "42P01");
    assert!(told.contains("CREATE OR REPLACE VIEW"), "{told}");
    admin.run("CREATE OR REPLACE VIEW hr.adas AS SELECT who FROM hr.pay");
    assert_eq!(bob.value(count), "0");
    // Neither is a table the view that it was, nor the other way round, also where a view reads it for another one.
    for sql in [
        "CREATE TABLE hr.under (who STRING)",
        "INSERT INTO hr.under VALUES ('seen'), ('hidden')",
        "CREATE VIEW hr.middle AS SELECT who FROM hr.under WHERE who = 'seen'",
        "CREATE VIEW hr.top AS SELECT who FROM hr.middle",
        "GRANT SELECT ON hr.top TO bob",
    ] {
        admin.run(sql);
    }
    assert_eq!(bob.rows("SELECT who FROM hr.top"), [["seen"]]);
    admin.run("DROP VIEW hr.middle");
    admin.run("ALTER TABLE hr.under RENAME TO middle");
    bob.fails("SELECT who FROM hr.top", "42P01");
    // Whoever is gone has no rights.
    admin.run("CREATE USER eve PASSWORD 'hunter22'");
    admin.run("GRANT SELECT, CREATE ON SCHEMA hr TO eve");
    login(&cluster, "eve", "hunter22").run("CREATE VIEW hr.eves AS SELECT who FROM hr.pay");
    assert_eq!(admin.value("SELECT count(*) FROM hr.eves"), "0");
    admin.run("DROP USER eve");
    admin.fails("SELECT count(*) FROM hr.eves", "42501");
}

#[test]
fn views_hide_the_rows_that_they_leave_out() {
    let mut options = Options::executors(2);
    options.arguments = vec!["--require-login"];
    options.variables = vec![("WATERSHED_ADMIN_PASSWORD", super::ADMIN_PASSWORD.to_owned())];
    let cluster = Cluster::start(&options);
    let mut admin = login(&cluster, "admin", super::ADMIN_PASSWORD);
    payroll(&mut admin);
    let mut bob = login(&cluster, "bob", "hunter22");
    for path in ["auto", "local", "pipelined", "staged"] {
        bob.run(&format!("SET watershed.execution = '{path}'"));
        // Each of them fails if it is evaluated over the row of the boss.
        for (sql, expected) in [
            ("SELECT count(*) FROM hr.few WHERE CAST(note AS INT) > 0", "99"),
            (
                "SELECT count(*) FROM hr.few WHERE 1000 / (salary - 100) < 0",
                "99",
            ),
            (
                "SELECT count(*) FROM hr.few WHERE salary > 0 AND CAST(note AS INT) > 90",
                "9",
            ),
            ("SELECT sum(CAST(note AS INT)) FROM hr.few", "4950"),
            (
                "SELECT count(*) FILTER (WHERE CAST(note AS INT) > 50) FROM hr.few",
                "49",
            ),
            (
                "SELECT max(n) FROM (SELECT CAST(note AS INT) AS n FROM hr.few ORDER BY 1000 / (salary - 100) LIMIT 200) AS q",
                "99",
            ),
            (
                "SELECT CAST(note AS INT) FROM hr.few ORDER BY CAST(note AS INT) DESC LIMIT 1",
                "99",
            ),
            (
                "SELECT count(*) FROM hr.few AS a JOIN (VALUES (1), (2)) AS b(x) ON CAST(a.note AS INT) = b.x",
                "2",
            ),
            (
                "SELECT count(*) FROM hr.few AS a JOIN hr.few AS b ON a.id = b.id AND 1 / (a.salary - 100) = 0",
                "98",
            ),
            (
                "SELECT count(*) FROM (SELECT CAST(note AS INT) AS n FROM hr.few GROUP BY 1 HAVING CAST(max(note) AS INT) > 0) AS q",
                "99",
            ),
            (
                "SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY CAST(note AS INT)) AS r FROM hr.few) AS q WHERE r > 50",
                "49",
            ),
            (
                "SELECT count(*) FROM hr.few WHERE id IN (SELECT CAST(note AS INT) FROM hr.few)",
                "99",
            ),
            (
                "SELECT count(*) FROM (SELECT 1 FROM hr.few AS a WHERE EXISTS (SELECT 1 FROM hr.few AS b WHERE b.id = a.id AND CAST(b.note AS INT) > 0)) AS q",
                "99",
            ),
            (
                "SELECT count(*) FROM hr.few WHERE at > TIMESTAMP '2024-01-02' AND who LIKE 'p%' AND id BETWEEN 30 AND 40",
                "11",
            ),
            ("SELECT min(salary) + max(salary) FROM hr.few", "100"),
            (
                "SELECT count(*) FROM hr.few WHERE note IS NOT NULL AND 10 / (salary - 100) <> 7 OR id < 0",
                "99",
            ),
            (
                "SELECT count(*) FROM (SELECT id FROM hr.few ORDER BY 10 / (salary - 100) > 3, CAST(note AS INT) > 5) AS q",
                "99",
            ),
            (
                "SELECT count(*) FROM hr.last AS a JOIN hr.last AS b ON a.id = b.id",
                "5",
            ),
            (
                "SELECT count(*) FROM hr.few WHERE id IN (SELECT id FROM hr.last)",
                "5",
            ),
            (
                "SELECT count(*) FROM hr.last AS a LEFT JOIN hr.last AS b ON a.who = b.who",
                "5",
            ),
            ("SELECT count(DISTINCT who) FROM hr.later WHERE who = 'boss'", "0"),
            (
                "SELECT count(*) FROM hr.later AS a JOIN hr.later AS b ON a.id = b.id",
                "99",
            ),
        ] {
            assert_eq!(bob.value(sql), expected, "{path}: {sql}");
        }
        let plan = bob
            .rows("EXPLAIN SELECT count(*) FROM hr.few WHERE CAST(note AS INT) > 0")
            .concat()
            .join("\n");
        assert!(plan.contains("View: hr.few"), "{plan}");
        assert!(!plan.contains("boss") && !plan.contains("pay"), "{plan}");
        bob.fails("EXPLAIN ANALYZE SELECT count(*) FROM hr.few", "42501");
    }
    // Whoever may read the table has nothing to find out.
    let plan = admin
        .rows("EXPLAIN SELECT count(*) FROM hr.few WHERE salary > 3")
        .concat()
        .join("\n");
    assert!(plan.contains("pay"), "{plan}");
    assert!(!plan.contains("Guard"), "{plan}");
}
