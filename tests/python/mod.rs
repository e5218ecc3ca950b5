//! Real drivers: scripts in Python, which get the address of a running cluster as their first argument.
//! They bring an environment of their own, made once under the target folder.

mod appended;
mod differ;
mod s3;
mod secure;
mod tools;

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use crate::harness::{Cluster, Options};

pub use s3::Bucket;

const REQUIREMENTS: &str = include_str!("requirements.txt");
const DOCUMENTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/src/catalog/documented.sql");

#[test]
fn adbc() {
    let cluster = Cluster::start(&Options::executors(1));
    script("adbc_smoke.py", &[cluster.flight()]);
}

#[test]
fn adbc_parameters() {
    against_a_cluster("adbc_parameters.py");
}

#[test]
fn adbc_untyped() {
    against_a_cluster("adbc_untyped.py");
}

#[test]
fn adbc_beside_literals() {
    against_a_cluster("adbc_beside_literals.py");
}

#[test]
fn adbc_full() {
    against_a_cluster("adbc_full.py");
}

#[test]
fn pyarrow_flight() {
    against_a_cluster("pyarrow_flight.py");
}

#[test]
fn adbc_ingest() {
    against_a_cluster("adbc_ingest.py");
}

#[test]
fn file_values() {
    against_a_cluster("file_values.py");
}

#[test]
fn functions_of_anything() {
    against_a_cluster("functions_of_anything.py");
}

#[test]
fn predicates() {
    against_a_cluster("predicates.py");
}

#[test]
fn adbc_incremental() {
    against_a_cluster("adbc_incremental.py");
}

#[test]
fn frames() {
    against_a_cluster("frames.py");
    against_a_cluster("frames_write.py");
}

/// The library under Superset; and Superset itself, which takes an environment of a gigabyte, where asked for.
#[test]
fn sqlalchemy() {
    against_a_cluster("sqlalchemy_dbapi.py");
    if env::var_os("WATERSHED_TEST_SUPERSET").is_some() {
        let cluster = Cluster::start(&Options::executors(2));
        let folder = python_folder().join("superset");
        script(
            "superset_headless.py",
            &[cluster.flight(), folder.to_str().unwrap()],
        );
    }
}

/// SQLAlchemy 2 has no place beside SQLAlchemy 1.4, and takes an environment of its own, where asked for.
#[test]
fn sqlalchemy_2() {
    if env::var_os("WATERSHED_TEST_SQLALCHEMY2").is_some() {
        let cluster = Cluster::start(&Options::executors(2));
        let folder = python_folder().join("sqlalchemy2");
        script("sqlalchemy2.py", &[cluster.flight(), folder.to_str().unwrap()]);
    }
}

#[track_caller]
fn against_a_cluster(name: &str) {
    let cluster = Cluster::start(&Options::executors(2));
    script(name, &[cluster.flight()]);
    cluster.assert_goes_on();
}

#[test]
fn restart() {
    let store = tempfile::tempdir().unwrap();
    survives(&Options::executors(2).store(store.path()));
}

/// The same in a bucket, where a commit is a conditional put.
#[test]
fn restart_on_s3() {
    let bucket = Bucket::serve();
    survives(&bucket.options(2, "restart"));
}

/// Data of a bucket is fetched once, and never taken for that of another version of its file.
#[test]
fn data_of_s3_is_kept() {
    let bucket = Bucket::serve();
    let cluster = Cluster::start(&bucket.options(1, "data"));
    script(
        "s3_data_cache.py",
        &[
            cluster.flight(),
            bucket.endpoint(),
            bucket.log().to_str().unwrap(),
        ],
    );
    cluster.assert_goes_on();
}

fn survives(options: &Options) {
    let cluster = Cluster::start(options);
    script("documented_ddl.py", &[cluster.flight(), DOCUMENTED]);
    script("restart.py", &[cluster.flight(), "write"]);
    cluster.crash();
    let cluster = Cluster::start(options);
    script("restart.py", &[cluster.flight(), "read"]);
    script("documented_ddl.py", &[cluster.flight(), DOCUMENTED]);
    assert_eq!(cluster.stop(), 0);
}

#[test]
fn others_read_and_write_our_tables() {
    let store = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&Options::executors(2).store(store.path()));
    script(
        "foreign_writer.py",
        &[cluster.flight(), store.path().to_str().unwrap()],
    );
}

/// Not a test of ours alone: the corpus says what DuckDB says.
#[test]
fn the_corpus_has_the_answers_of_duckdb() {
    script(
        "slt_oracle.py",
        &[concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slt/common")],
    );
}

/// The runner of sqllogictest files finds the corpus right, and a wrong row wrong.
#[test]
fn the_runner_of_sqllogictest_judges() {
    let cluster = Cluster::start(&Options::executors(1));
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slt/common");
    let run = |folder: &str, only: &str| judge(&[folder, cluster.flight(), "--only", only]);
    let (right, printed) = run(corpus, "expressions*");
    assert!(right && printed.contains("'equal'"), "{printed}");
    let folder = tempfile::tempdir().unwrap();
    let records =
        "query I\nSELECT 1 + 1\n----\n3\n\nquery T rowsort\nSELECT 'b' UNION SELECT 'a'\n----\na\nb\n";
    fs::write(folder.path().join("wrong.slt"), records).unwrap();
    let (right, printed) = run(folder.path().to_str().unwrap(), "*");
    assert!(!right && printed.contains("{'rows': 1, 'equal': 1}"), "{printed}");
}

/// DataFusion's own files, where somebody has unpacked them: what is other than they say is for people to read.
#[test]
fn files_of_datafusion() {
    let Some(folder) = env::var_os("WATERSHED_TEST_DATAFUSION") else {
        return;
    };
    for path in ["local", "pipelined"] {
        let cluster = Cluster::start(&Options::executors(3));
        let (_, printed) = judge(&[folder.to_str().unwrap(), cluster.flight(), "--path", path]);
        eprintln!("{printed}");
        cluster.assert_goes_on();
    }
}

fn judge(arguments: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/datafusion_slt.py");
    let output = Command::new(interpreter())
        .arg("-B")
        .arg(script)
        .args(arguments)
        .output()
        .unwrap();
    (output.status.success(), text(&output))
}

/// Runs a script of this folder, and gives what it printed; all of it is shown if it fails.
#[track_caller]
pub fn script(name: &str, arguments: &[&str]) -> String {
    script_with(name, arguments, &[])
}

/// The same with environment variables: `WATERSHED_TEST_CA`, `WATERSHED_TEST_USER` and
/// `WATERSHED_TEST_PASSWORD` are what `support.connect` connects with.
#[track_caller]
pub fn script_with(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let output = Command::new(interpreter())
        .arg("-B")
        .arg(folder.join(name))
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(
        output.status.success(),
        "{name} {arguments:?}: {}\n{}",
        output.status,
        text(&output)
    );
    text(&output)
}

/// Python with what `requirements.txt` lists, installed if this is the first to ask.
pub fn interpreter() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    REQUIREMENTS.hash(&mut hasher);
    let folder = python_folder().join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let complete = folder.join("complete");
    let python = folder.join("environment/bin/python");
    if !complete.exists() {
        let environment = folder.join("environment");
        install(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
        );
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/requirements.txt");
        install(
            Command::new(&python)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--no-deps",
                    "--disable-pip-version-check",
                    "--quiet",
                    "--progress-bar=off",
                    "--retries=10",
                    "-r",
                ])
                .arg(requirements),
        );
        File::create(complete).unwrap();
    }
    python
}

/// Where environments are: the binary is in a folder of the target folder, wherever that was put.
fn python_folder() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_watershed"))
        .ancestors()
        .nth(2)
        .expect("a target folder");
    target.join("python")
}

/// Runs a step of the installation. A package registry may fail for a moment: the step is tried three times.
#[track_caller]
fn install(command: &mut Command) {
    let mut failures = Vec::new();
    for _ in 0..3 {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        if output.status.success() {
            return;
        }
        failures.push(format!("{}\n{}", output.status, text(&output)));
        thread::sleep(Duration::from_secs(5));
    }
    panic!("{command:?}: {}", failures.join("\n"));
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
