//! Tools that people have, each in an environment of its own: `WATERSHED_TEST_TOOLS` names those that take a minute and
//! more, or need what is not on every machine; `all` is all of them.

use std::env;

use super::{python_folder, script};
use crate::harness::{Cluster, Options};

#[test]
fn dlt() {
    tool("dlt");
}

/// Great Expectations.
#[test]
fn gx() {
    tool("gx");
}

#[test]
fn dbt() {
    if is_asked_for("dbt") {
        tool("dbt");
    }
}

/// It needs Node.js and npm.
#[test]
fn node() {
    if is_asked_for("node") {
        tool("node");
    }
}

/// It needs Java 17, and fetches 240 MB.
#[test]
fn java() {
    if is_asked_for("java") {
        tool("java");
    }
}

fn is_asked_for(name: &str) -> bool {
    let asked = env::var("WATERSHED_TEST_TOOLS").unwrap_or_default();
    asked.split(',').any(|word| word == name || word == "all")
}

#[track_caller]
fn tool(name: &str) {
    let cluster = Cluster::start(&Options::executors(2));
    let folder = python_folder().join(name);
    script(
        &format!("with_{name}.py"),
        &[cluster.flight(), folder.to_str().unwrap()],
    );
    cluster.assert_goes_on();
}
