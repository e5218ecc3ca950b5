//! Tests of the dialect.

mod limits;

use watershed_core::error::SqlState;

use super::*;

fn one(sql: &str) -> Statement {
    let mut parsed = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    assert_eq!(parsed.len(), 1, "{sql}");
    parsed.remove(0).statement
}

/// The code, and the place where it is known.
fn refused(sql: &str, code: SqlState) -> watershed_core::Error {
    let error = parse(sql).expect_err(sql);
    assert_eq!(error.code(), code, "{sql}: {error:?}");
    error
}

#[test]
fn statements_and_their_texts() {
    let parsed = parse(";; SELECT 1 ;\n  SHOW TABLES;VALUES (1, 'a;b') -- end").unwrap();
    let texts: Vec<_> = parsed.iter().map(|parsed| parsed.text.as_str()).collect();
    assert_eq!(texts, ["SELECT 1", "SHOW TABLES", "VALUES (1, 'a;b')"]);
    assert!(parse(" -- nothing\n ; /* at all */").unwrap().is_empty());
    assert!(parse("SELECT 'ä' AS \"ö\"; SELECT 2").unwrap()[1].text == "SELECT 2");
}

#[test]
fn tables() {
    let Statement::CreateTable(table) = one("CREATE TABLE IF NOT EXISTS Watershed.S.\"T\" (
           Id BIGINT NOT NULL, -- the key
           tags ARRAY<ARRAY<STRING>>, place STRUCT<lat DOUBLE, \"Lon\" DOUBLE> COMMENT 'it''s',
           price DECIMAL(12, 2), at TIMESTAMP, day DATE GENERATED ALWAYS AS (CAST(at AS DATE)) STORED,
           PRIMARY KEY (id, at)
         ) PARTITIONED BY (day, region STRING) CLUSTERED BY (id) SORTED BY (at, id) INTO 64 BUCKETS
         WITH (shard_map = 'none')")
    else {
        panic!("no table");
    };
    assert_eq!(table.name.to_string(), "s.T");
    assert!(table.if_not_exists);
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| format!("{} {}", column.name, column.data_type.sql()))
        .collect();
    assert_eq!(
        columns,
        [
            "id BIGINT",
            "tags ARRAY<ARRAY<STRING>>",
            "place STRUCT<lat DOUBLE, \"Lon\" DOUBLE>",
            "price DECIMAL(12, 2)",
            "at TIMESTAMP",
            "day DATE",
            "region STRING",
        ]
    );
    assert_eq!(table.columns[2].comment.as_deref(), Some("it's"));
    assert_eq!(table.columns[5].generated.as_deref(), Some("CAST(at AS DATE)"));
    assert_eq!(table.primary_key, ["id", "at"]);
    assert_eq!(table.partition_by, ["day", "region"]);
    assert_eq!(table.sort_by, ["at", "id"]);
    assert_eq!(
        table.sharding,
        Some(Clustering {
            key: "id".to_owned(),
            shards: Some(64)
        })
    );
    assert_eq!(table.shard_map.as_deref(), Some("none"));
}

#[test]
fn options_of_tables() {
    let Statement::CreateTable(table) =
        one("CREATE TABLE t (a INT) WITH (shard_key = 'a', shards = 8, sort_by = 'a')")
    else {
        panic!("no table");
    };
    assert_eq!(table.sharding.unwrap().shards, Some(8));
    assert_eq!(table.sort_by, ["a"]);
    let error = refused(
        "CREATE TABLE t (a INT) WITH (shard_keys = 'a')",
        SqlState::UndefinedObject,
    );
    assert_eq!(error.hint(), Some("Did you mean \"shard_key\"?"));
    assert_eq!(error.position().unwrap().column, 30);
    refused(
        "CREATE TABLE t (a INT) WITH (shards = 8)",
        SqlState::InvalidTableDefinition,
    );
    refused(
        "CREATE TABLE t (a INT) WITH (shards = many)",
        SqlState::InvalidParameterValue,
    );
    refused(
        "CREATE TABLE t (a INT) CLUSTERED BY (a) INTO 2 BUCKETS WITH (shard_key = 'a')",
        SqlState::InvalidTableDefinition,
    );
}

#[test]
fn external_tables() {
    let Statement::CreateExternalTable(table) = one("CREATE OR REPLACE EXTERNAL TABLE t (a INT, b STRING)
         STORED AS CSV PARTITIONED BY (dt DATE) LOCATION '/data/t' OPTIONS ('format.has_header' 'true', delimiter ';')")
    else {
        panic!("no table");
    };
    assert!(table.or_replace);
    assert_eq!(table.columns.len(), 3);
    assert_eq!(table.partition_by, ["dt"]);
    assert_eq!(table.options["has_header"], "true");
    assert_eq!(table.options["delimiter"], ";");
    one("CREATE EXTERNAL TABLE t STORED AS parquet LOCATION 's3://b/x' WITH ()");
    one("CREATE EXTERNAL TABLE t STORED AS DELTA LOCATION 'x' WITH (version = 3)");
    one(
        "CREATE EXTERNAL TABLE t (a INT, b INT) STORED AS CSV WITH ORDER (a DESC NULLS LAST, b) LOCATION 'x'",
    );
    let error = refused(
        "CREATE EXTERNAL TABLE t STORED AS PARQUETTE LOCATION 'x'",
        SqlState::UndefinedObject,
    );
    assert_eq!(error.hint(), Some("Did you mean PARQUET?"));
    let error = refused(
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'x' OPTIONS (delimeter ';')",
        SqlState::UndefinedObject,
    );
    assert_eq!(error.hint(), Some("Did you mean \"delimiter\"?"));
    refused("CREATE EXTERNAL TABLE t STORED AS CSV", SqlState::SyntaxError);
    refused("CREATE EXTERNAL TABLE t LOCATION 'x'", SqlState::SyntaxError);
}

#[test]
fn the_rest_of_definitions() {
    for sql in [
        "CREATE SCHEMA IF NOT EXISTS s",
        "DROP SCHEMA IF EXISTS s CASCADE",
        "DROP TABLE IF EXISTS a.b RESTRICT",
        "DROP VIEW v",
        "CREATE OR REPLACE VIEW v (a, b) AS SELECT 1, 2",
        "CREATE VIEW IF NOT EXISTS v AS (SELECT 1 UNION ALL SELECT 2) ORDER BY 1",
        "ALTER TABLE IF EXISTS t ADD COLUMN IF NOT EXISTS x ARRAY<INT>",
        "ALTER TABLE t DROP x",
        "ALTER TABLE t RENAME COLUMN a TO b",
        "ALTER TABLE t RENAME TO u",
        "ALTER VIEW IF EXISTS v RENAME TO w",
        "CREATE TABLE t (a, b) AS SELECT 1, 2",
        "CREATE TABLE t (a VARCHAR(10), b INT UNSIGNED, c STRUCT(d INT), e INT ARRAY,)",
        "SELECT a, FROM t FETCH FIRST 2 ROWS ONLY",
        "\u{feff}SELECT 1",
        "PREPARE p (INT) AS SELECT $1",
        "EXECUTE p (1, 'a')",
        "DEALLOCATE ALL",
        "SUMMARIZE t",
        "SUMMARIZE SELECT 1",
        "DESCRIBE (SELECT 1)",
        "SHOW FUNCTIONS LIKE 'a%'",
        "CREATE TABLE t CLUSTERED BY (a) INTO 4 BUCKETS AS SELECT 1 AS a",
        "INSERT INTO t (a, \"B\") VALUES (1, 'x'), (2, NULL)",
        "DELETE FROM s.t AS x WHERE x.a IN (SELECT 1) OR b IS NULL",
        "UPDATE t SET a = a + 1, \"B\" = CASE WHEN c THEN 'x' END WHERE d > ?",
        "INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x",
        "EXPLAIN ANALYZE VERBOSE SELECT 1",
        "DESCRIBE t",
        "SHOW CREATE TABLE s.t",
        "SHOW COLUMNS IN t",
        "SHOW TABLES FROM s LIKE 'a%'",
        "SHOW ALL",
        "SHOW TIME ZONE",
        "USE watershed.public",
    ] {
        one(sql);
    }
}

#[test]
fn settings() {
    fn check(sql: &str, name: &str, value: Option<&str>) {
        assert_eq!(
            one(sql),
            Statement::Set {
                name: name.to_owned(),
                value: value.map(str::to_owned)
            },
            "{sql}"
        );
    }
    check(
        "SET watershed.execution = 'local'",
        "watershed.execution",
        Some("local"),
    );
    check(
        "SET watershed.execution TO staged",
        "watershed.execution",
        Some("staged"),
    );
    check("set TIME ZONE 'Europe/Berlin'", "timezone", Some("Europe/Berlin"));
    check("SET TIME ZONE LOCAL", "timezone", None);
    check("SET timezone = DEFAULT", "timezone", None);
    check(
        "SET watershed.batch_size = 100",
        "watershed.batch_size",
        Some("100"),
    );
    check("RESET statement_timeout", "statement_timeout", None);
    let schema = Statement::Use {
        schema: "s".to_owned(),
    };
    for sql in [
        "SET search_path = s",
        "SET search_path TO 's'",
        "SET SCHEMA 's'",
        "USE s",
        "USE SCHEMA S",
    ] {
        assert_eq!(one(sql), schema, "{sql}");
    }
}

#[test]
fn queries_that_datafusion_plans() {
    for sql in [
        "SELECT EXTRACT(YEAR FROM ts), INTERVAL '1' HOUR, INTERVAL '1 day', [1, 2], ARRAY['a'] FROM t",
        "SELECT data->'a'->>'b', data ? 'k', x::BIGINT FROM t WHERE data->>'a' = 'b'",
        "SELECT count(*) FILTER (WHERE a > 1) OVER (PARTITION BY b ORDER BY c ROWS 2 PRECEDING) FROM t",
        "SELECT * EXCLUDE (a) FROM t QUALIFY row_number() OVER (ORDER BY a) = 1",
        "SELECT {'a': 1}, MAP {'k': 2}, struct(1 AS x)",
        "FROM t",
        "TABLE t",
        "SELECT a FROM t GROUP BY ROLLUP (a) HAVING count(*) > 1 ORDER BY ALL",
        "SELECT DATE '2026-01-01', TIMESTAMP '2026-01-01 00:00:00', E'a\\n', 1_000, X'ff'",
        "SELECT * FROM a LEFT JOIN b USING (k) CROSS JOIN LATERAL (SELECT 1) l, unnest([1]) u",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n",
        "(SELECT 1) EXCEPT (SELECT 2) INTERSECT SELECT 3 LIMIT 1 OFFSET 2",
        "SELECT CASE WHEN a THEN 1 ELSE 2 END, NOT a IS NULL, - -1, a BETWEEN 1 AND 2 FROM t",
        "SELECT substring('abc' FROM 2), position('a' IN 'b'), trim(BOTH ' ' FROM x), CAST(x AS DECIMAL(3,1)) FROM t",
    ] {
        one(sql);
    }
}

#[test]
fn operators_bind_as_expected() {
    let Statement::Query(query) = one("SELECT data->>'a' = 'b' AND data->'c' ? 'd'") else {
        panic!("no query");
    };
    let shown = format!("{query:?}").replace(' ', "");
    // Each operator comes after its left side: what binds tighter comes first.
    let place = |op: &str| {
        shown
            .find(&format!("op:{op}"))
            .unwrap_or_else(|| panic!("no {op}: {shown}"))
    };
    assert!(
        place("LongArrow") < place("Eq") && place("Eq") < place("And"),
        "{shown}"
    );
    assert!(
        place("And") < place("Arrow") && place("Arrow") < place("Question"),
        "{shown}"
    );
}

#[test]
fn mistakes_have_a_place() {
    fn check(sql: &str, line: u64, column: u64, message: &str) {
        let error = refused(sql, SqlState::SyntaxError);
        assert_eq!(error.message(), message, "{sql}");
        let position = error.position().unwrap();
        assert_eq!((position.line, position.column), (line, column), "{sql}");
    }
    check("SELECT FROM FROM t", 1, 13, "expected an expression, found FROM");
    check("SELECT 1\nWHERE )", 2, 7, "expected an expression, found )");
    check(
        "CREATE TABLE t (a INT,, b INT)",
        1,
        23,
        "expected a column's name, found ,",
    );
    check(
        "CREATE TABLE t (a INT",
        1,
        22,
        "expected , or ) after a column, but the statement ends",
    );
    check("SELECT 'open", 1, 8, "unterminated string literal");
    check(
        "SELECT 1 SELECT 2",
        1,
        10,
        "expected the end of the statement, found SELECT",
    );
    check("DELETE t", 1, 8, "expected FROM, found t");
    check("UPDATE t SET a", 1, 15, "expected =, but the statement ends");
    check("DELETE FROM (SELECT 1)", 1, 13, "expected a table's name");
    check("SELET 1", 1, 1, "expected a statement, found SELET");
    let error = refused("SELET 1", SqlState::SyntaxError);
    assert_eq!(error.hint(), Some("Did you mean SELECT?"));
}

#[test]
fn what_is_not_built_says_so() {
    for sql in [
        "UPDATE t SET (a, b) = (1, 2)",
        "UPDATE t SET a = 1 FROM u WHERE t.b = u.b",
        "UPDATE t SET a = 1 RETURNING a",
        "DELETE FROM t USING u WHERE t.a = u.a",
        "DELETE FROM t LIMIT 1",
        "DELETE FROM t, u",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
        "COPY t TO 'x'",
        "BEGIN",
        "COMMIT",
        "TRUNCATE t",
        "VACUUM t",
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "INSERT INTO t VALUES (1) RETURNING a",
        "INSERT OVERWRITE t SELECT 1",
        "CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a INT DEFAULT 1)",
        "CREATE TABLE t (a INT UNIQUE)",
        "CREATE TABLE t (a INT, FOREIGN KEY (a) REFERENCES u (b))",
        "CREATE TABLE t (a ARRAY<VARCHAR(10)>)",
        "CREATE TABLE t (a MAP<STRING, INT>)",
        "SELECT 1 FETCH FIRST 1 ROW WITH TIES",
        "SELECT TOP 10 PERCENT a FROM t",
        "PREPARE p AS DROP TABLE t",
        "CREATE TABLE t (a TIME)",
        "ALTER TABLE t ALTER COLUMN a TYPE BIGINT",
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM t TABLESAMPLE (10)",
        "SELECT * FROM (SELECT * FROM t TABLESAMPLE BERNOULLI (10)) s",
        "SELECT 1 INTO t",
        "EXPLAIN CREATE SCHEMA s",
    ] {
        let error = refused(sql, SqlState::FeatureNotSupported);
        assert!(!error.message().ends_with('.'), "{sql}");
    }
}

#[test]
fn names_are_quoted_where_they_must() {
    fn check(name: &str, written: &str) {
        assert_eq!(identifier(name), written);
    }
    check("cdn_logs", "cdn_logs");
    check("Cdn", "\"Cdn\"");
    check("order", "\"order\"");
    check("from", "\"from\"");
    check("a b", "\"a b\"");
    check("a\"b", "\"a\"\"b\"");
    check("1a", "\"1a\"");
    check("", "\"\"");
    assert_eq!(literal("it's"), "'it''s'");
}
