//! `watershed demo` and `watershed bench`: their exit code says whether every answer was right.

use std::process::Command;

fn run(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_watershed"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_demo_is_right() {
    run(&["demo", "--rows", "20000"]);
}

#[test]
fn the_benchmark_verifies() {
    run(&[
        "bench",
        "tpch",
        "--scale-factor",
        "0.001",
        "--runs",
        "1",
        "--paths",
        "pipelined",
    ]);
}
