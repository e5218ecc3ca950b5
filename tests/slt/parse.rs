//! Reads a file of the corpus.

use std::path::{Path, PathBuf};

use super::run::Shape;

/// A file of the corpus.
#[derive(Debug)]
pub struct Script {
    pub path: PathBuf,
    pub shapes: Vec<Shape>,
    pub records: Vec<Record>,
}

/// A statement and what it must come to.
#[derive(Debug)]
pub struct Record {
    pub line: usize,
    pub sql: String,
    pub expected: Expected,
    /// Run in these shapes only; in all, if there is none.
    pub only: Vec<Shape>,
}

#[derive(Debug, PartialEq)]
pub enum Expected {
    Ok,
    /// Rows inserted.
    Count(i64),
    /// The SQLSTATE, and a part of the text.
    Error {
        code: String,
        text: String,
    },
    Rows {
        types: String,
        order: Order,
        /// Values are separated by white space, which is one blank here.
        rows: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As the query gives them: it has an ORDER BY that leaves no choice.
    Given,
    /// The query leaves the order open.
    Sorted,
}

pub fn read(path: &Path) -> Script {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let fail = |line: usize, what: &str| -> ! { panic!("{}:{line}: {what}", path.display()) };
    let shapes = match text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# shapes:"))
    {
        Some(names) => names.split_whitespace().map(Shape::named).collect(),
        None => fail(1, "the first line is \"# shapes: …\""),
    };
    let mut records = Vec::new();
    let mut only = Vec::new();
    let mut lines = (1..).zip(text.lines()).peekable();
    while let Some((line, text)) = lines.next() {
        // What DuckDB answers differently is skipped where it is the oracle, not here.
        if text.trim().is_empty() || text.starts_with('#') || text == "skipif duckdb" {
            continue;
        }
        if let Some(shape) = text.strip_prefix("onlyif ") {
            only.push(Shape::named(shape.trim()));
            continue;
        }
        let mut expected = heading(text).unwrap_or_else(|what| fail(line, &what));
        let mut sql = Vec::new();
        let mut answer = None;
        while let Some((_, text)) = lines.next_if(|(_, text)| !text.trim().is_empty()) {
            match &mut answer {
                None if text == "----" => answer = Some(Vec::new()),
                None => sql.push(text),
                Some(rows) => rows.push(text.split_whitespace().collect::<Vec<_>>().join(" ")),
            }
        }
        match (&mut expected, answer) {
            (Expected::Rows { rows, .. }, Some(answer)) => *rows = answer,
            (Expected::Rows { .. }, None) => fail(line, "a query has an answer after ----"),
            (_, Some(_)) => fail(line, "a statement has no answer"),
            (_, None) => {}
        }
        if sql.is_empty() {
            fail(line, "no SQL");
        }
        records.push(Record {
            line,
            sql: sql.join("\n"),
            expected,
            only: std::mem::take(&mut only),
        });
    }
    Script {
        path: path.to_owned(),
        shapes,
        records,
    }
}

fn heading(line: &str) -> Result<Expected, String> {
    let (kind, rest) = line
        .split_once(' ')
        .ok_or_else(|| format!("{line:?} says too little"))?;
    let (first, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match (kind, first) {
        ("statement", "ok") if rest.is_empty() => Ok(Expected::Ok),
        ("statement", "count") => rest
            .parse()
            .map(Expected::Count)
            .map_err(|_| format!("{rest:?} is no count")),
        ("statement" | "query", "error") => {
            let (code, text) = rest
                .strip_prefix('(')
                .and_then(|rest| rest.split_once(')'))
                .ok_or("an error is named by its SQLSTATE in parentheses")?;
            Ok(Expected::Error {
                code: code.to_owned(),
                text: text.trim().to_owned(),
            })
        }
        ("query", types) if types.chars().all(|letter| "BDIPRT?".contains(letter)) => {
            let order = match rest {
                "" | "nosort" => Order::Given,
                "rowsort" => Order::Sorted,
                other => return Err(format!("unknown order {other:?}")),
            };
            Ok(Expected::Rows {
                types: types.to_owned(),
                order,
                rows: Vec::new(),
            })
        }
        _ => Err(format!("{line:?} is no heading")),
    }
}

#[test]
fn headings() {
    assert_eq!(heading("statement count 3"), Ok(Expected::Count(3)));
    let error = Expected::Error {
        code: "42P01".to_owned(),
        text: "does not exist".to_owned(),
    };
    assert_eq!(heading("query error (42P01) does not exist"), Ok(error));
    let rows = Expected::Rows {
        types: "IT".to_owned(),
        order: Order::Sorted,
        rows: vec![],
    };
    assert_eq!(heading("query IT rowsort"), Ok(rows));
    for wrong in [
        "query",
        "query IX",
        "query IT sorted",
        "statement error 42P01",
        "statement okay",
        "select 1",
    ] {
        assert!(heading(wrong).is_err(), "{wrong}");
    }
}
