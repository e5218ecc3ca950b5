//! The catalog's log: what is missing or damaged is found and repaired, what is old is compacted. Files that nobody may see or
//! needs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::{Cluster, Options, Server, wait_until};

/// What a busy machine may take.
const LIMIT: Duration = Duration::from_secs(150);

fn records(store: &Path) -> Vec<PathBuf> {
    complete_files(&store.join("catalog"))
}

/// The files of a log, without those that are being written.
fn complete_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut records: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.len() == 25))
        .collect();
    records.sort();
    records
}

/// Runs the doctor; gives whether it is content, and what it says.
fn doctor(store: &Path, repair: bool) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watershed"));
    command.args(["doctor", "--store", store.to_str().unwrap()]);
    if repair {
        command.arg("--repair");
    }
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn missing_and_damaged_records_are_found_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path();
    let options = Options::executors(0).store(store);
    let cluster = Cluster::start(&options);
    let mut session = cluster.session();
    for name in ["one", "two", "three"] {
        session.run(&format!("CREATE TABLE {name} (a INT)"));
    }
    // Under a running scheduler, the number of a record that has gone is not used again.
    let newest = records(store).pop().unwrap();
    let text = fs::read(&newest).unwrap();
    fs::remove_file(&newest).unwrap();
    let told = session.update("CREATE SCHEMA s").unwrap_err();
    assert_eq!(told.code.as_deref(), Some("XX001"), "{told}");
    assert!(
        told.text.contains("is missing") && told.text.contains("watershed doctor"),
        "{told}"
    );
    assert!(!newest.exists());
    drop(cluster);

    // Nor by a scheduler that starts.
    let log = Cluster::fails_to_start(&options);
    assert!(
        log.contains("is missing") && log.contains("watershed doctor"),
        "{log}"
    );
    assert!(!newest.exists());
    // A backup helps, and without one the record alone is given up.
    fs::write(&newest, &text).unwrap();
    assert!(doctor(store, false).0);
    fs::write(&newest, "").unwrap();
    let log = Cluster::fails_to_start(&options);
    assert!(
        log.contains("is damaged") && log.contains("watershed doctor"),
        "{log}"
    );
    let (content, told) = doctor(store, false);
    assert!(
        !content && told.contains("is damaged") && told.contains("--repair"),
        "{told}"
    );
    let (content, told) = doctor(store, true);
    assert!(content && told.contains("replaced"), "{told}");
    let cluster = Cluster::start(&options);
    let mut session = cluster.session();
    session.run("INSERT INTO two VALUES (1)");
    session.fails("SELECT * FROM three", "42P01");
    let before = records(store).len();
    session.run("CREATE SCHEMA s");
    assert_eq!(records(store).len(), before + 1);
    drop(cluster);

    // One in the middle.
    let middle = records(store).remove(1);
    fs::remove_file(&middle).unwrap();
    let log = Cluster::fails_to_start(&options);
    assert!(log.contains("is missing"), "{log}");
    let (content, told) = doctor(store, true);
    assert!(content, "{told}");
    let cluster = Cluster::start(&options);
    cluster.session().run("INSERT INTO two VALUES (2)");
    let elsewhere = tempfile::tempdir().unwrap();
    let (content, told) = doctor(elsewhere.path(), false);
    assert!(!content && told.contains("no catalog"), "{told}");
}

#[test]
fn many_records_become_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path();
    let options = Options::executors(0).store(store);
    let cluster = Cluster::start(&options);
    let mut session = cluster.session();
    session.run("CREATE TABLE kept (a INT)");
    session.run("INSERT INTO kept VALUES (7)");
    for _ in 0..150 {
        session.run("CREATE SCHEMA s");
        session.run("DROP SCHEMA s");
    }
    session.run("CREATE SCHEMA s");
    let snapshots = || complete_files(&store.join("catalog/snapshots")).len();
    assert!(wait_until(LIMIT, || snapshots() == 1), "{}", snapshots());
    drop(cluster);
    // It stands for the records before it.
    for record in &records(store)[1..100] {
        fs::remove_file(record).unwrap();
    }
    let cluster = Cluster::start(&options);
    let mut session = cluster.session();
    assert_eq!(session.value("SELECT a FROM kept"), "7");
    session.run("CREATE TABLE s.t (a INT)");
    assert_eq!(session.rows("SHOW TABLES FROM s"), [["s", "t", "BASE TABLE"]]);
}

fn data_files(store: &Path) -> Vec<PathBuf> {
    let mut open = vec![store.join("tables")];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn files_of_writes_that_fail_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path();
    let cluster = Cluster::start(&Options::executors(2).store(store));
    let mut session = cluster.session();
    session.run("CREATE TABLE source (id BIGINT) CLUSTERED BY (id) INTO 4 BUCKETS");
    session.run("INSERT INTO source SELECT value FROM generate_series(1, 20000)");
    session.run("CREATE TABLE sink (id BIGINT, day INT) PARTITIONED BY (day)");
    let before = data_files(store).len();
    for path in ["local", "pipelined", "staged"] {
        session.run(&format!("SET watershed.execution = '{path}'"));
        // More files than are open at a time are complete when the last row fails.
        let select = "SELECT id, CAST(id % 200 AS INT) AS day FROM source WHERE 10 / (19999 - id) < 100000";
        session.fails(&format!("INSERT INTO sink {select}"), "22012");
        session.fails(&format!("CREATE TABLE made AS {select}"), "22012");
        session.run("SET statement_timeout = '150ms'");
        let slow = "SELECT a.id, CAST(a.id % 200 AS INT) FROM source a JOIN source b ON a.id <= b.id";
        session.fails(&format!("INSERT INTO sink {slow}"), "57014");
        session.run("SET statement_timeout = '0'");
        assert!(
            wait_until(LIMIT, || data_files(store).len() == before),
            "{path}: {:?}",
            data_files(store).len() - before
        );
    }
    assert_eq!(session.value("SELECT count(*) FROM sink"), "0");
    session.run("INSERT INTO sink SELECT id, 1 FROM source");
    assert_eq!(session.value("SELECT count(*) FROM sink"), "20000");
}

#[test]
fn files_with_secrets_that_others_can_read_draw_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for (mode, warned) in [(0o644, true), (0o600, false)] {
        let store = tempfile::tempdir().unwrap();
        let secret = file("secret", "0123456789abcdef", mode);
        let password = file("password", "open sesame", mode);
        let mut arguments = vec!["scheduler", "--store", store.path().to_str().unwrap()];
        for port in ["--flight", "--http", "--cluster"] {
            arguments.extend([port, "127.0.0.1:0"]);
        }
        arguments.extend(["--secret-file", &secret, "--admin-password-file", &password]);
        let mut server = Server::spawn(&arguments, &[], None);
        server.ready();
        let log = server.log();
        assert_eq!(log.contains("may read the cluster's secret"), warned, "{log}");
        assert_eq!(log.contains("may read the admin's password"), warned, "{log}");
        server.stop();
    }
}

#[test]
fn as_many_files_may_be_open_as_the_system_allows() {
    let cluster = Cluster::start(&Options::executors(1));
    for pid in [cluster.pid(), cluster.executors()[0].pid] {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .unwrap();
        let fields: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(fields[3], fields[4], "{line}");
    }
}

#[test]
fn temporary_tables_have_a_limit_of_bytes() {
    let cluster = Cluster::start(&Options {
        arguments: vec!["--temporary-limit", "150KiB"],
        ..Options::executors(1)
    });
    let mut session = cluster.session();
    let rows = "SELECT md5(CAST(value AS STRING)) AS text FROM generate_series(1, 5000) AS s(value)";
    session.run(&format!("CREATE TEMPORARY TABLE one AS {rows}"));
    let told = session.fails(&format!("CREATE TEMPORARY TABLE two AS {rows}"), "53000");
    assert!(told.contains("--temporary-limit"), "{told}");
    session.fails(&format!("INSERT INTO one {rows}"), "53000");
    session.fails("SELECT * FROM two", "42P01");
    session.run("DROP TABLE one");
    session.run(&format!("CREATE TEMPORARY TABLE two AS {rows}"));
    assert_eq!(session.value("SELECT count(*) FROM two"), "5000");
    session.run(&format!("CREATE TABLE lasting AS {rows}"));
}
