//! Damaged files: a clear error, and every process goes on.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Cluster, Options};

#[test]
fn a_damaged_data_file() {
    let store = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&Options::executors(2).store(store.path()));
    let mut session = cluster.session();
    session.run("CREATE TABLE t (id BIGINT, n INT) CLUSTERED BY (id) INTO 2 BUCKETS");
    session.run("INSERT INTO t SELECT value, value AS n FROM generate_series(1, 1000) AS s(value)");
    for file in files(store.path(), ".parquet") {
        let mut bytes = fs::read(&file).unwrap();
        let (from, to) = (bytes.len() / 4, bytes.len() - 8);
        bytes[from..to].fill(0xAA);
        fs::write(&file, bytes).unwrap();
    }
    for path in ["local", "pipelined"] {
        session.run(&format!("SET watershed.execution = '{path}'"));
        let text = session.fails("SELECT sum(n) FROM t", "XX001");
        assert!(text.contains(".parquet"), "the file is named: {text}");
    }
    cluster.assert_goes_on();
}

/// The catalog's last record is cut short: nothing may be made up in its place.
#[test]
fn a_truncated_catalog_record() {
    let store = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&Options::executors(1).store(store.path()));
    cluster.session().run("CREATE TABLE t (id BIGINT)");
    cluster.crash();
    let mut records = files(&store.path().join("catalog"), ".json");
    // The number of the newest lies beside them.
    records.retain(|path| !path.ends_with("newest.json"));
    records.sort();
    let last = records.pop().expect("the catalog has records");
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() / 2]).unwrap();
    let log = Cluster::fails_to_start(&Options::executors(1).store(store.path()));
    let name = last.file_name().unwrap().to_str().unwrap();
    assert!(
        log.contains("XX001") && log.contains(name),
        "the record is named: {log}"
    );
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_str().unwrap().ends_with(ending) {
            found.push(path);
        }
    }
    found
}
