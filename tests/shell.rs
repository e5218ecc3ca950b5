//! `watershed sql` as scripts use it: data on standard output, all else on standard error, and an exit
//! code that says how it went.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use arrow::ipc::reader::StreamReader;

use crate::harness::{Cluster, Options, signal, wait_until};

#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Outcome {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }
}

pub fn shell(url: &str, arguments: &[&str], input: &str) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_watershed"))
        .args(["sql", "--url", url])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Dropped at the end of the statement, which ends the child's input.
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        out: output.stdout,
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn scripts() {
    let cluster = Cluster::start(&Options::executors(1));
    let run = |arguments: &[&str], input: &str| shell(cluster.flight(), arguments, input);

    let query = "SELECT 1 AS n, 'a,\"b' AS s, NULL AS nothing";
    let csv = run(&["-c", query, "--format", "csv"], "");
    assert_eq!(
        (csv.code, csv.text()),
        (0, "n,s,nothing\n1,\"a,\"\"b\",\n"),
        "{csv:?}"
    );
    assert_eq!(csv.err, "", "data alone is no news");

    let json = run(&["-c", query, "--format", "json"], "");
    let row: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    assert_eq!(row, serde_json::json!({"n": 1, "s": "a,\"b", "nothing": null}));

    let ipc = run(
        &[
            "-c",
            "SELECT * FROM (VALUES (1), (2)) AS t(n)",
            "--format",
            "arrow",
        ],
        "",
    );
    let rows: usize = StreamReader::try_new(ipc.out.as_slice(), None)
        .unwrap()
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert_eq!((ipc.code, rows), (0, 2));

    let table = run(&["-c", query], "");
    assert!(
        table.text().contains('n') && table.text().contains("a,\"b"),
        "{table:?}"
    );

    // Several statements share a session, from the command line, a file and a pipe.
    let script = "CREATE TABLE t (id INT);\nINSERT INTO t VALUES (1), (2); -- two\nSELECT sum(id) AS total FROM t;\nDROP TABLE t;\n";
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(script.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    for outcome in [
        run(&["--format", "csv", "-c", script], ""),
        run(&["--format", "csv", "-f", path], ""),
        run(&["--format", "csv"], script),
        run(&["--format", "csv", "-f", "-"], script),
    ] {
        assert_eq!((outcome.code, outcome.text()), (0, "total\n3\n"), "{outcome:?}");
    }
    let setting = run(
        &[
            "--format",
            "csv",
            "-c",
            "SET watershed.execution = 'local'",
            "-c",
            "SHOW watershed.execution",
        ],
        "",
    );
    assert!(setting.text().ends_with("local\n"), "{setting:?}");
}

#[test]
fn mistakes() {
    let cluster = Cluster::start(&Options::executors(1));
    let run = |arguments: &[&str]| shell(cluster.flight(), arguments, "");

    let unknown = run(&["-c", "SELECT *\nFROM nowhere"]);
    assert_eq!((unknown.code, unknown.text()), (1, ""), "{unknown:?}");
    assert!(
        unknown.err.contains("42P01") && unknown.err.contains("nowhere"),
        "{}",
        unknown.err
    );
    let lines: Vec<_> = unknown.err.lines().collect();
    let caret = lines.iter().position(|line| line.trim() == "^").expect("a caret");
    let column = |line: &str, what: &str| line.find(what).map(|at| line[..at].chars().count());
    assert_eq!(
        column(lines[caret], "^"),
        column(lines[caret - 1], "nowhere"),
        "{}",
        unknown.err
    );

    let stopped = run(&["--format", "csv", "-c", "SELECT 1 AS n; SELEC; SELECT 2 AS n"]);
    assert_eq!(
        (stopped.code, stopped.text()),
        (1, "n\n1\n"),
        "nothing runs after a mistake: {stopped:?}"
    );
    assert!(stopped.err.contains("42601"), "{}", stopped.err);

    assert_eq!(run(&["--no-such-option"]).code, 2);
    assert_eq!(run(&["-f", "/no/such/file"]).code, 2);
    let nobody = shell("http://127.0.0.1:9", &["-c", "SELECT 1"], "");
    assert_eq!(nobody.code, 3, "{nobody:?}");
    assert!(nobody.err.contains("127.0.0.1:9"), "{}", nobody.err);
}

#[test]
fn an_interrupt_cancels_the_query() {
    let cluster = Cluster::start(&Options::executors(1));
    let endless = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b";
    let mut child = Command::new(env!("CARGO_BIN_EXE_watershed"))
        .args(["sql", "--url", cluster.flight(), "-c", endless])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut session = cluster.session();
    let running =
        "SELECT count(*) FROM system.queries WHERE state = 'running' AND statement LIKE '%100000000%'";
    // The question is in the list, too.
    assert!(wait_until(Duration::from_secs(10), || session.value(running) == "2"));
    signal(child.id(), "INT");
    let start = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        wait_until(Duration::from_secs(5), || session.value(running) == "1"),
        "the server goes on with what nobody waits for"
    );
    assert!(start.elapsed() < Duration::from_secs(7));
}
