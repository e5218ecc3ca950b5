//! The words of statements: those that begin one, and what to say of any other.

use sqlparser::tokenizer::Location;
use watershed_core::error::{Error, nearest};

use super::error::{at, syntax};

/// The words that statements begin with, for completion and hints.
pub const STATEMENT_KEYWORDS: &[&str] = &[
    "ALTER",
    "CREATE",
    "DEALLOCATE",
    "DELETE",
    "DESCRIBE",
    "DROP",
    "EXECUTE",
    "EXPLAIN",
    "GRANT",
    "INSERT",
    "KILL",
    "PREPARE",
    "RESET",
    "REVOKE",
    "SELECT",
    "SET",
    "SHOW",
    "SUMMARIZE",
    "TABLE",
    "UPDATE",
    "USE",
    "VALUES",
    "WITH",
];

/// Further words of statements, for completion.
pub const EXPRESSION_KEYWORDS: &[&str] = &[
    "ALL",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BUCKETS",
    "BY",
    "CASE",
    "CAST",
    "CLUSTERED",
    "COLUMNS",
    "CROSS",
    "CURRENT_DATE",
    "CURRENT_TIMESTAMP",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPIRES",
    "EXTERNAL",
    "EXTRACT",
    "FALSE",
    "FROM",
    "FULL",
    "GENERATED",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "KEY",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOCATION",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PARTITIONED",
    "PASSWORD",
    "PRIMARY",
    "PRIVILEGES",
    "RIGHT",
    "ROLE",
    "SCHEMA",
    "SCHEMAS",
    "SORTED",
    "STORED",
    "TABLES",
    "THEN",
    "TOKEN",
    "TRUE",
    "UNION",
    "USER",
    "USING",
    "VERBOSE",
    "VIEW",
    "WHEN",
    "WHERE",
];

/// What to say of a word that begins no statement of ours.
pub(super) fn refused(word: &str, start: Location) -> Error {
    let upper = word.to_uppercase();
    let later = |hint: Option<&str>| {
        let error = Error::unsupported(format!("{upper} is not supported yet"));
        let error = match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        };
        at(error, start)
    };
    match upper.as_str() {
        "MERGE" | "TRUNCATE" | "REPLACE" => later(Some("INSERT and DROP TABLE are what changes tables now.")),
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "END" | "SAVEPOINT" | "RELEASE" | "ABORT" => {
            later(Some("Each statement commits by itself."))
        }
        "COPY" => later(Some(
            "Use CREATE EXTERNAL TABLE and INSERT … SELECT to load files.",
        )),
        "OPTIMIZE" | "VACUUM" | "ANALYZE" | "ANALYSE" | "REFRESH" | "CALL" | "COMMENT" | "CLUSTER"
        | "REINDEX" | "LOCK" | "LISTEN" | "NOTIFY" | "UNLISTEN" | "DECLARE" | "FETCH" | "CLOSE"
        | "CANCEL" | "LOAD" | "UNLOAD" | "CACHE" | "UNCACHE" | "PRAGMA" | "ATTACH" | "DETACH" | "INSTALL"
        | "MSCK" | "DISCARD" | "DO" | "RENAME" | "DENY" | "REASSIGN" | "SECURITY" | "IMPORT"
        | "CHECKPOINT" | "ASSERT" => later(None),
        _ => {
            let error = syntax(format!("expected a statement, found {word}"), start);
            match nearest(&upper, STATEMENT_KEYWORDS.iter().copied()) {
                Some(near) => error.with_hint(format!("Did you mean {near}?")),
                None => error.with_hint(format!(
                    "Statements begin with {}.",
                    STATEMENT_KEYWORDS.join(", ")
                )),
            }
        }
    }
}
