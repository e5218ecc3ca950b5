//! The SQL corpus: files of statements and their answers, run over Flight SQL in several shapes of
//! cluster. Most tests of what SQL does belong here. The format is sqllogictest's:
//!
//! ```text
//! # shapes: one three killed bucket
//!
//! statement ok
//! CREATE TABLE t (id BIGINT, name STRING)
//!
//! statement count 2
//! INSERT INTO t VALUES (1, 'a'), (2, NULL)
//!
//! query IT rowsort
//! SELECT * FROM t
//! ----
//! 1 a
//! 2 NULL
//!
//! statement error (42P01) nearest
//! SELECT * FROM tt
//! ```
//!
//! The first line names the shapes a file runs in: `one` is a single executor, with the path of each
//! query chosen by the scheduler; in `three`, queries go to three executors; in `killed`, one of the
//! three is killed half-way through the file; in `bucket`, the store is on S3; in `staged`, queries go to three
//! executors in stages. Answers must be the
//! same. An error is named by its SQLSTATE, and may be followed by a part of its text.
//!
//! A query's letters are its columns' types: `B`oolean, `I`nteger, `R`eal, `D`ate, timestam`P`,
//! `T`ext, `?` for all others. Reals match within 1e-9 of their size. Each file has a cluster of
//! its own, and `$DATA` stands for the folder `tests/data`.

mod compare;
mod parse;
mod run;

use std::path::{Path, PathBuf};

use run::Shape;

/// Runs every file of a folder that names the shape, and reports all that differs at once.
#[track_caller]
fn run_folder(folder: &str, shape: Shape) {
    let mut failures = Vec::new();
    let mut files = 0;
    for path in files_of(folder) {
        let script = parse::read(&path);
        if !script.shapes.contains(&shape) {
            continue;
        }
        files += 1;
        failures.extend(run::run(&script, shape));
    }
    assert!(
        files > 0,
        "no file in tests/slt/{folder} names the shape {shape:?}"
    );
    assert!(
        failures.is_empty(),
        "{} differences:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

fn files_of(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/slt")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .collect();
    files.sort();
    files
}

macro_rules! corpus {
    ($($name:ident: $folder:literal in $shape:ident;)+) => {
        $(
            #[test]
            fn $name() {
                run_folder($folder, Shape::$shape);
            }
        )+
    };
}

corpus! {
    common_on_one: "common" in One;
    common_on_three: "common" in Three;
    common_while_one_is_killed: "common" in Killed;
    common_in_a_bucket: "common" in Bucket;
    common_in_stages: "common" in Staged;
    ddl_on_one: "ddl" in One;
    ddl_on_three: "ddl" in Three;
    ddl_in_a_bucket: "ddl" in Bucket;
    errors_on_one: "errors" in One;
    errors_on_three: "errors" in Three;
    errors_in_stages: "errors" in Staged;
    system_on_one: "system" in One;
    system_on_three: "system" in Three;
}

/// Every file is run by some test, and says in which shapes.
#[test]
fn no_file_is_left_out() {
    for folder in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt")).unwrap() {
        let folder = folder.unwrap();
        if folder.file_type().unwrap().is_dir() {
            let name = folder.file_name().into_string().unwrap();
            let known = ["common", "ddl", "errors", "system"];
            assert!(
                known.contains(&name.as_str()),
                "tests/slt/{name} is run by no test"
            );
            for file in files_of(&name) {
                assert!(
                    !parse::read(&file).shapes.is_empty(),
                    "{}: no shapes",
                    file.display()
                );
            }
        }
    }
}
