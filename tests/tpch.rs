//! TPC-H beside DuckDB, over the same files and over tables of our own, on each path.

use crate::harness::{Cluster, Options};
use crate::python::script;

/// A scale factor for the whole matrix: every query on every path, with one, two and three executors.
const MATRIX: &str = "WATERSHED_TEST_SCALE_FACTOR";

#[test]
fn twins() {
    let Ok(scale_factor) = std::env::var(MATRIX) else {
        return compare(3, &["--staged", "1,3,6,13"]);
    };
    for executors in 1..=3 {
        compare(
            executors,
            &[
                "--scale-factor",
                &scale_factor,
                "--paths",
                "local,pipelined,staged",
            ],
        );
    }
}

fn compare(executors: usize, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&Options::executors(executors));
    let arguments = [cluster.flight(), folder.path().to_str().unwrap()];
    let output = script("tpch_twins.py", &[&arguments, options].concat());
    eprintln!("{executors} executors\n{output}");
}
