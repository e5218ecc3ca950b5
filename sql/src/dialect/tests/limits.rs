//! What is too long or too deep is refused, and what is not is read.

use super::*;

#[test]
fn depth_is_limited_before_anything_recurses() {
    let deep = [
        format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}1", "-".repeat(3).replace('-', "- ").repeat(10_000)),
        format!("SELECT {}true", "NOT ".repeat(10_000)),
        format!(
            "SELECT {}1{}",
            "CASE WHEN true THEN ".repeat(10_000),
            " END".repeat(10_000)
        ),
        format!("SELECT {}1{}", "abs(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}1{}", "(SELECT ".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT * FROM {}t{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}1{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("SELECT 1{}", " + 1".repeat(10_000)),
        format!("SELECT 1{}", "::INT".repeat(10_000)),
        format!("SELECT 1{}", " IS NULL".repeat(10_000)),
        format!("SELECT a{}", " AND a".repeat(10_000)),
        format!("SELECT 1{}", " BETWEEN 1 AND 2".repeat(10_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(10_000)),
        format!("SELECT * FROM t{}", ", t".repeat(10_000)),
        format!("SELECT * FROM t{}", " JOIN t ON true".repeat(10_000)),
        format!(
            "SELECT CAST(x AS {}INT{})",
            "ARRAY<".repeat(10_000),
            ">".repeat(10_000)
        ),
        format!(
            "CREATE TABLE t (a {}INT{})",
            "STRUCT<a ".repeat(10_000),
            ">".repeat(10_000)
        ),
        format!("{}SELECT 1", "EXPLAIN ".repeat(10_000)),
        format!("SELECT {}'1'", "INTERVAL ".repeat(10_000)),
        "(".repeat(TEXT_LIMIT.min(1_000_000)),
        format!("SELECT {}1{}", "(SELECT ".repeat(11), ")".repeat(11)),
        format!("SELECT {}1{}", "((SELECT ".repeat(11), "))".repeat(11)),
        format!(
            "SELECT 1 WHERE {}1{}",
            "1 IN (SELECT 1 WHERE ".repeat(11),
            ")".repeat(11)
        ),
        format!(
            "SELECT 1 WHERE {}1{}",
            "EXISTS (SELECT 1 FROM t JOIN u ON ".repeat(11),
            ")".repeat(11)
        ),
    ];
    for sql in deep {
        let error = parse(&sql).expect_err(&sql[..60]);
        assert_eq!(
            error.code(),
            SqlState::StatementTooComplex,
            "{}: {error:?}",
            &sql[..60]
        );
    }
}

#[test]
fn what_is_long_but_not_deep_is_read() {
    let long = [
        format!("SELECT 1{}", ", 1 + 1".repeat(10_000)),
        format!(
            "SELECT * FROM t WHERE a = 1{}",
            " OR a = 1 AND b > 2".repeat(10_000)
        ),
        format!("SELECT * FROM t WHERE a IN (1{})", ", 1".repeat(100_000)),
        format!("VALUES (1, -2){}", ", (1, -2)".repeat(50_000)),
        format!("SELECT '{}'", "x".repeat(10 << 20)),
        format!(
            "SELECT CASE {} END FROM t",
            "WHEN a = 1 AND b THEN 2 ".repeat(5_000)
        ),
        format!("SELECT {}1{}", "(".repeat(400), ")".repeat(400)),
        format!("SELECT 1{}", " + 1".repeat(400)),
        format!("SELECT {}1{}", "(SELECT ".repeat(10), ")".repeat(10)),
        format!("SELECT {} 1", "(SELECT 1) + ".repeat(50)),
        format!(
            "SELECT * FROM {}t{}",
            "(SELECT * FROM ".repeat(50),
            ") x".repeat(50)
        ),
        format!("{}SELECT 1{}", "(".repeat(20), ")".repeat(20)),
        format!("WITH {}y AS (SELECT 1) SELECT 1", "x AS (SELECT 1), ".repeat(50)),
        format!("SELECT 1{}", " UNION ALL (SELECT 1)".repeat(50)),
    ];
    for sql in long {
        parse(&sql).unwrap_or_else(|error| panic!("{}: {error:?}", &sql[..60]));
    }
    let limits = [
        format!("SELECT a{}", " OR a".repeat(OR_LIMIT + 1)),
        format!("SELECT '{}'", "x".repeat(TEXT_LIMIT)),
        "1,".repeat(TOKEN_LIMIT),
        " ".repeat(TEXT_LIMIT - 1),
    ];
    for sql in limits {
        let error = parse(&sql).expect_err(&sql[..60]);
        assert_eq!(error.code(), SqlState::StatementTooComplex);
        assert!(error.hint().is_some());
    }
}

#[test]
fn nested_brackets_take_no_exponential_time() {
    let started = std::time::Instant::now();
    for depth in [20, 60, 100, 240] {
        let open = "(".repeat(depth);
        let close = ")".repeat(depth);
        // Right or wrong, it must end soon.
        for sql in [
            format!("SELECT * FROM {open}t{close}"),
            format!("SELECT {open}1{close}"),
            format!("SELECT * FROM {open}SELECT 1{close}"),
            format!("SELECT * FROM t WHERE a IN {open}1{close}"),
            format!("SELECT {}x{close}", "f(".repeat(depth)),
            format!(
                "SELECT {}x{}",
                "CASE a WHEN ".repeat(depth),
                " THEN 1 END".repeat(depth)
            ),
        ] {
            drop(parse(&sql));
        }
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

/// Where sqlparser tries a call in two ways, both in each of the two around it, that is no reason to try for hours.
#[test]
fn a_text_is_not_read_again_and_again() {
    let check = |sql: &str, state: Option<SqlState>| {
        let read = parse(sql).map(|_| ()).map_err(|error| error.code());
        assert_eq!(read.err(), state, "{sql}");
    };
    for depth in [3, 100] {
        let cast = format!("SELECT {}1{}", "CAST(".repeat(depth), " AS INT)".repeat(depth));
        check(&cast, None);
        check(&cast[..cast.len() - 1], Some(SqlState::SyntaxError));
        check(
            &format!("SELECT {}", "TRY_CAST(".repeat(depth)),
            Some(SqlState::SyntaxError),
        );
        let case = "CASE WHEN true THEN ".repeat(depth);
        check(&format!("SELECT {case}1{}", " END".repeat(depth)), None);
        check(&format!("SELECT {case}"), Some(SqlState::SyntaxError));
        let part = format!(
            "SELECT {}s{}",
            "substring(".repeat(depth),
            " FROM 2)".repeat(depth)
        );
        check(&part, None);
    }
    let open = |call: &str, depth| format!("SELECT {}", call.repeat(depth));
    for call in [
        "position(",
        "substring(",
        "ceil(",
        "overlay(",
        "convert(",
        "case (",
    ] {
        check(&open(call, 5), Some(SqlState::SyntaxError));
        check(&open(call, 100), Some(SqlState::StatementTooComplex));
    }
    check("SELECT position, floor, substring, case, \"cast\" FROM t", None);
    check(
        "SELECT position('a' IN s), position('b', s), floor(1.5), ceil(x), substring(s, 2) FROM t",
        None,
    );
}
