//! TPC-DS beside DuckDB, over the same files and over tables of our own, on each path.

use crate::harness::{Cluster, Options};
use crate::python::script;

/// A scale factor for the whole matrix: all 99 queries on every path.
const MATRIX: &str = "WATERSHED_TEST_SCALE_FACTOR";

/// Queries that differ in shape: correlated subqueries, rollups with windows, set operations, self joins of windows,
/// full joins, many-way joins, cases over counts.
const CHOSEN: &str = "1,9,17,36,38,51,70,87,97,99";

#[test]
fn twins() {
    match std::env::var(MATRIX) {
        Ok(scale_factor) => compare(&[
            "--scale-factor",
            &scale_factor,
            "--paths",
            "local,pipelined,staged",
            "--cached",
        ]),
        Err(_) => compare(&["--queries", CHOSEN]),
    }
}

fn compare(options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&Options::executors(3));
    let arguments = [cluster.flight(), folder.path().to_str().unwrap()];
    let output = script("tpcds_twins.py", &[&arguments, options].concat());
    eprintln!("{output}");
    cluster.assert_goes_on();
}
