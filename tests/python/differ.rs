//! Random statements, whose results have to be those of DuckDB: `tests/differ` generates, runs and compares them.
//!
//! A difference is printed as the smallest script that shows it, with the seed, round and statement that found it.
//! `WATERSHED_TEST_STEPS` says how many statements run, `WATERSHED_TEST_SEED` which; `WATERSHED_TEST_DIFFER` passes
//! further options to `python -m differ`.

use std::env;
use std::path::Path;
use std::process::Command;

use super::{interpreter, text};
use crate::harness::{Cluster, Options, steps};

/// Statements of a run without `WATERSHED_TEST_STEPS`.
const STATEMENTS: u64 = 3000;
/// A run without `WATERSHED_TEST_STEPS` starts no further statement after this.
const SECONDS: &str = "150";
/// The seed is fixed: a change fails for what it did, and campaigns with other seeds look for the rest.
const SEED: &str = "1";

#[test]
fn random_statements_agree_with_duckdb() {
    let cluster = Cluster::start(&Options::executors(3));
    let mut command = python("differ");
    command
        .arg(cluster.flight())
        .args([
            "--seed",
            &env::var("WATERSHED_TEST_SEED").unwrap_or_else(|_| SEED.to_owned()),
        ])
        .args(["--statements", &steps(STATEMENTS).to_string()]);
    if env::var_os("WATERSHED_TEST_STEPS").is_none() {
        command.args(["--seconds", SECONDS]);
    }
    if let Ok(options) = env::var("WATERSHED_TEST_DIFFER") {
        command.args(options.split_whitespace());
    }
    eprintln!("{}", printed(command));
    cluster.assert_goes_on();
}

#[test]
fn the_differ_compares_and_minimizes() {
    printed(python("differ.selftest"));
}

/// Python that runs a module of the differ.
fn python(module: &str) -> Command {
    let mut command = Command::new(interpreter());
    command
        .args(["-B", "-m", module])
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    command
}

/// What a command prints; it has to succeed.
#[track_caller]
fn printed(mut command: Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{}\n{}", output.status, text(&output));
    text(&output)
}
