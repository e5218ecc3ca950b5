//! The drivers' scripts once more, where connections are encrypted and users log in.

use std::process::Command;

use super::script_with;
use crate::harness::{Cluster, Options};

const ADMIN_PASSWORD: &str = "open sesame";
const USER: &str = "ada";
const PASSWORD: &str = "correct horse";

const SCRIPTS: [&str; 9] = [
    "adbc_smoke.py",
    "adbc_parameters.py",
    "adbc_full.py",
    "adbc_ingest.py",
    "adbc_incremental.py",
    "frames.py",
    "frames_write.py",
    "pyarrow_flight.py",
    "sqlalchemy_dbapi.py",
];

#[test]
fn with_tls_and_users() {
    let mut options = Options::executors(2);
    options.arguments = vec!["--tls", "--require-login"];
    options.variables = vec![("WATERSHED_ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned())];
    let cluster = Cluster::start(&options);
    let authority = cluster.authority().unwrap().to_str().unwrap();
    let admin = format!(
        "CREATE USER {USER} PASSWORD '{PASSWORD}'; \
         GRANT SELECT, INSERT, CREATE, ALTER, DROP ON CATALOG watershed TO {USER}"
    );
    let made = Command::new(env!("CARGO_BIN_EXE_watershed"))
        .args([
            "sql",
            "--url",
            cluster.flight(),
            "--ca",
            authority,
            "--user",
            "admin",
            "-c",
            &admin,
        ])
        .env("WATERSHED_PASSWORD", ADMIN_PASSWORD)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let variables = [
        ("WATERSHED_TEST_CA", authority),
        ("WATERSHED_TEST_USER", USER),
        ("WATERSHED_TEST_PASSWORD", PASSWORD),
    ];
    for script in SCRIPTS {
        script_with(script, &[cluster.flight()], &variables);
    }
    assert!(!cluster.log().contains(PASSWORD), "a password is in the log");
}

/// `WATERSHED_TEST_STEPS` says how many statements run, `WATERSHED_TEST_SEED` which.
#[test]
fn views_tell_nothing_of_the_rows_that_they_leave_out() {
    let mut options = Options::executors(2);
    options.arguments = vec!["--require-login"];
    options.variables = vec![("WATERSHED_ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned())];
    let cluster = Cluster::start(&options);
    script_with("noninterference.py", &[cluster.flight(), ADMIN_PASSWORD], &[]);
}

/// `WATERSHED_TEST_STEPS` says how many statements run, `WATERSHED_TEST_SEED` which.
#[test]
fn statements_read_what_is_granted() {
    let mut options = Options::executors(1);
    options.arguments = vec!["--require-login"];
    options.variables = vec![("WATERSHED_ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned())];
    let cluster = Cluster::start(&options);
    script_with("privileges.py", &[cluster.flight(), ADMIN_PASSWORD], &[]);
}
