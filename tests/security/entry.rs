//! Ways in beside Flight SQL, and what those can write who may do nothing.

use super::{ADMIN_PASSWORD, login, secure};
use crate::harness::{Cluster, Options, Server, get_with};

const QUERY: &str = "v1/results?sql=SELECT%201%20AS%20a";

#[test]
fn http_is_open_to_this_machine_alone_where_nobody_logs_in() {
    let cluster = Cluster::start(&Options::executors(0));
    let url = format!("{}/{QUERY}", cluster.http());
    let (address, port) = cluster
        .http()
        .trim_start_matches("http://")
        .split_once(':')
        .unwrap();
    assert_eq!(address, "127.0.0.1");
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "LOCALHOST".to_owned(),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(get_with(&url, Some(&host), &[]).0, 200, "{host}");
    }
    for host in [
        format!("evil.example:{port}"),
        "evil.example".to_owned(),
        "localhost.evil.example".to_owned(),
    ] {
        let (status, body) = get_with(&url, Some(&host), &[]);
        assert_eq!(status, 403, "{host}: {body}");
    }
    // A port that others reach needs logins, or the word of whoever starts it.
    let store = tempfile::tempdir().unwrap();
    let arguments = [
        "dev",
        "--store",
        store.path().to_str().unwrap(),
        "--flight",
        "127.0.0.1:0",
        "--cluster",
        "127.0.0.1:0",
        "--http",
        "0.0.0.0:0",
    ];
    let log = Server::spawn(&arguments, &[], None).gives_up();
    assert!(log.contains("--allow-anonymous"), "{log}");
}

#[test]
fn logins_over_http_count_by_address_and_leave_others_alone() {
    let (cluster, mut admin) = secure();
    admin.run("CREATE USER ada PASSWORD 'hunter22'");
    let url = format!("{}/{QUERY}", cluster.http());
    let right = ["Authorization: Basic YWRhOmh1bnRlcjIy"];
    let wrong = ["Authorization: Basic YWRhOmh1bnRlcjIz"];
    assert_eq!(get_with(&url, None, &right).0, 200);
    let mut refused = 0;
    for _ in 0..30 {
        let (status, body) = get_with(&url, None, &wrong);
        assert!(status == 401 || status == 503, "{status} {body}");
        refused += u32::from(status == 503);
    }
    assert!(refused > 0, "wrong passwords are tried without end");
    // Over HTTP and Flight SQL they count together, as they come from one address.
    assert_eq!(super::refused(&cluster, "ada", "hunter23"), "53300");
    login(&cluster, "admin", ADMIN_PASSWORD);
}

#[test]
fn catalog_records_are_not_made_without_end() {
    let (cluster, mut admin) = secure();
    admin.run("CREATE USER ada PASSWORD 'hunter22'");
    let mut ada = login(&cluster, "ada", "hunter22");
    let made =
        (0..60).take_while(|_| ada.query("CREATE TOKEN t").is_ok() && ada.query("DROP TOKEN t").is_ok());
    let made = made.count();
    assert!((10..30).contains(&made), "{made}");
    ada.fails("CREATE TOKEN t", "53300");
    // A temporary external table would be everybody's.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.csv"), "a\n1\n").unwrap();
    let location = folder.path().display();
    admin.fails(
        &format!("CREATE EXTERNAL TABLE temp.x STORED AS CSV LOCATION '{location}'"),
        "0A000",
    );
}

#[test]
fn errors_name_no_object_that_one_may_not_see() {
    let (cluster, mut admin) = secure();
    for sql in [
        "CREATE USER ada PASSWORD 'hunter22'",
        "CREATE SCHEMA hr",
        "CREATE TABLE hr.salaries (a INT)",
        "CREATE TABLE hr.open (a INT)",
        "GRANT SELECT ON hr.open TO ada",
    ] {
        admin.run(sql);
    }
    let mut ada = login(&cluster, "ada", "hunter22");
    for sql in [
        "SELECT * FROM salaries",
        "SELECT * FROM hr.salarie",
        "DESCRIBE hr.salarie",
        "INSERT INTO hr.salarie VALUES (1)",
    ] {
        let told = ada.fails(sql, "42P01");
        assert!(!told.contains("Did you mean \"salaries\""), "{told}");
        assert!(!told.contains("hr.salaries"), "{told}");
    }
    let told = ada.fails("SELECT * FROM hr.ope", "42P01");
    assert!(told.contains("open"), "{told}");
}
