//! Users, what lets them in, and what they may do, against the built binary.

mod entry;
mod names;
mod views;

use std::thread::sleep;
use std::time::Duration;

use crate::harness::{Cluster, Options, Server, Session};

const ADMIN_PASSWORD: &str = "open sesame";
/// `ada:hunter22`, and `ada:hunter23`.
const BASIC: [&str; 2] = ["Basic YWRhOmh1bnRlcjIy", "Basic YWRhOmh1bnRlcjIz"];

/// A scheduler that lets in users alone, and logs all that it has to say.
fn secure() -> (Cluster, Session) {
    let mut options = Options::executors(0);
    options.arguments = vec!["--require-login"];
    options.variables = vec![
        ("WATERSHED_ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned()),
        (
            "WATERSHED_LOG",
            "info,watershed_scheduler=trace,watershed_sql=trace".to_owned(),
        ),
    ];
    let cluster = Cluster::start(&options);
    let admin = login(&cluster, "admin", ADMIN_PASSWORD);
    (cluster, admin)
}

#[track_caller]
fn login(cluster: &Cluster, user: &str, password: &str) -> Session {
    match Session::login(cluster.flight(), user, password) {
        Ok(session) => session,
        Err(failure) => panic!("{user} is not let in: {failure}"),
    }
}

/// The SQLSTATE with which someone is not let in.
#[track_caller]
fn refused(cluster: &Cluster, user: &str, password: &str) -> String {
    match Session::login(cluster.flight(), user, password) {
        Ok(_) => panic!("{user} is let in"),
        Err(failure) => failure.code.unwrap_or_else(|| panic!("{}", failure.text)),
    }
}

#[test]
fn users_see_and_do_what_they_may() {
    let (cluster, mut admin) = secure();
    for sql in [
        "CREATE USER ada PASSWORD 'hunter22'",
        "CREATE ROLE readers",
        "GRANT readers TO ada",
        "CREATE SCHEMA s",
        "CREATE TABLE s.t (a INT)",
        "INSERT INTO s.t VALUES (1)",
        "CREATE TABLE s.hidden (a INT)",
        "CREATE VIEW s.v AS SELECT a + 1 AS b FROM s.t",
    ] {
        admin.run(sql);
    }
    let mut ada = login(&cluster, "ada", "hunter22");
    assert_eq!(ada.value("SELECT current_user"), "ada");
    let told = ada.fails("SELECT * FROM s.t", "3F000");
    assert!(told.contains("you have no privilege on it"), "{told}");
    ada.fails("CREATE TABLE s.mine (a INT)", "42501");
    ada.fails("CREATE USER eve PASSWORD 'hunter22'", "42501");

    // A view is read with its own privileges.
    admin.run("GRANT SELECT ON s.v TO ada");
    assert_eq!(ada.value("SELECT b FROM s.v"), "2");
    ada.fails("SELECT a FROM s.t", "42P01");

    // By a role; and taken away again under a statement that is prepared.
    admin.run("GRANT SELECT, INSERT ON TABLE s.t TO readers");
    let mut prepared = ada.prepare("SELECT a FROM s.t").unwrap();
    assert_eq!(ada.run_prepared(&mut prepared).unwrap().rows(), [["1"]]);
    assert_eq!(
        ada.tables().iter().filter(|name| name.starts_with("s.")).count(),
        2
    );
    admin.run("REVOKE SELECT ON s.t FROM readers");
    let failure = ada.run_prepared(&mut prepared).unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("42501"), "{failure}");
    assert!(failure.text.contains("PermissionDenied"), "{failure}");
    assert!(failure.text.contains("GRANT SELECT ON s.t TO ada"), "{failure}");
    assert_eq!(ada.run("INSERT INTO s.t VALUES (2)"), 1);

    // What is listed is what may be known.
    assert_eq!(
        ada.rows("SHOW TABLES FROM s"),
        [["s", "t", "BASE TABLE"], ["s", "v", "VIEW"]]
    );
    let everything = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 's'";
    assert_eq!(
        (ada.value(everything), admin.value(everything)),
        ("2".to_owned(), "3".to_owned())
    );
    let listed = ada.tables();
    assert!(!listed.contains(&"s.hidden".to_owned()), "{listed:?}");
    assert!(admin.tables().contains(&"s.hidden".to_owned()));
    let others = "SELECT count(*) FROM system.queries WHERE principal <> current_user";
    assert_eq!(ada.value(others), "0");
    assert_ne!(admin.value(others), "0");

    // Secrets are nowhere to be seen.
    admin.run("SET PASSWORD FOR ada = 'hunter23'");
    let token = admin
        .rows("CREATE TOKEN FOR ada EXPIRES IN '1d'")
        .remove(0)
        .remove(1);
    assert!(token.starts_with("wst_"), "{token}");
    admin.fails("CREATE USER ada PASSWORD 'hunter24'", "42710");
    admin.fails("CREATE USER bob PASSWORD hunter25", "42601");
    let texts = admin
        .rows("SELECT statement, error_message FROM system.queries")
        .concat()
        .join(" ");
    assert!(texts.contains("SET PASSWORD FOR ada = '***'"), "{texts}");
    for place in [&texts, &cluster.log()] {
        for secret in ["hunter2", &token, ADMIN_PASSWORD, "argon2id"] {
            assert!(!place.contains(secret), "{secret}: {place}");
        }
    }
}

#[test]
fn logins_hold_as_long_as_what_they_rest_on() {
    let (cluster, mut admin) = secure();
    admin.run("CREATE USER ada PASSWORD 'hunter22'");
    let url = cluster.flight();
    for (user, password) in [
        ("ada", "wrong"),
        ("eve", "hunter22"),
        ("admin", "hunter22"),
        ("", ""),
    ] {
        assert_eq!(refused(&cluster, user, password), "28P01", "{user}");
    }
    for header in [None, Some("Bearer None"), Some("Bearer wst_unknown")] {
        let told = Session::with_header(url, header).fails("SELECT 1", "28000");
        assert!(told.starts_with("Unauthenticated"), "{told}");
    }

    // A password with every call has one session.
    let mut basic = Session::with_header(url, Some(BASIC[0]));
    basic.run("SET timezone = 'Asia/Tokyo'");
    assert_eq!(basic.value("SHOW timezone"), "Asia/Tokyo");

    // So has a token, which is also taken for a password.
    let mut ada = login(&cluster, "ada", "hunter22");
    let token = ada.rows("CREATE TOKEN laptop").remove(0).remove(1);
    let mut bearer = Session::with_header(url, Some(&format!("Bearer {token}")));
    bearer.run("SET timezone = 'Asia/Tokyo'");
    assert_eq!(bearer.value("SHOW timezone"), "Asia/Tokyo");
    assert_eq!(
        login(&cluster, "whoever", &token).value("SELECT current_user"),
        "ada"
    );
    let mut by_token = login(&cluster, "ada", &token);

    // Another password ends logins by the old one, and leaves tokens.
    admin.run("ALTER USER ada PASSWORD 'hunter23'");
    ada.fails("SELECT 1", "28000");
    basic.fails("SELECT 1", "28P01");
    assert_eq!(bearer.value("SELECT 1"), "1");
    assert_eq!(by_token.value("SELECT 1"), "1");
    let mut ada = login(&cluster, "ada", "hunter23");
    ada.run("DROP TOKEN laptop");
    bearer.fails("SELECT 1", "28000");
    by_token.fails("SELECT 1", "28000");

    // A token expires.
    let brief = ada.rows("CREATE TOKEN brief EXPIRES '1s'").remove(0).remove(1);
    sleep(Duration::from_millis(1_100));
    assert_eq!(refused(&cluster, "ada", &brief), "28000");

    // Whoever is dropped is out, and whoever gets the name is another.
    let kept = format!("Bearer {}", ada.token());
    let mut basic = Session::with_header(url, Some(BASIC[1]));
    assert_eq!(basic.value("SELECT current_user"), "ada");
    admin.run("DROP USER ada");
    ada.fails("SELECT 1", "28000");
    basic.fails("SELECT 1", "28P01");
    admin.run("CREATE USER ada PASSWORD 'hunter23'");
    Session::with_header(url, Some(&kept)).fails("SELECT 1", "28000");

    // Whoever guesses is stopped, which stops nobody else.
    let mut tries = 0;
    let code = loop {
        let code = refused(&cluster, "ada", "wrong");
        tries += 1;
        if code != "28P01" || tries > 50 {
            break code;
        }
    };
    assert_eq!(code, "53300", "after {tries} tries");
    login(&cluster, "admin", ADMIN_PASSWORD);
}

#[test]
fn nobody_is_let_in_by_mistake() {
    let mut options = Options::executors(0);
    options.arguments = vec!["--require-login"];
    let log = Cluster::fails_to_start(&options);
    assert!(log.contains("WATERSHED_ADMIN_PASSWORD"), "{log}");
    let store = tempfile::tempdir().unwrap();
    let mut arguments = vec!["scheduler", "--store", store.path().to_str().unwrap()];
    for port in ["--flight", "--http", "--cluster"] {
        arguments.extend([port, "127.0.0.1:0"]);
    }
    let secret = ("WATERSHED_CLUSTER_SECRET", "0123456789abcdef".to_owned());
    let log = Server::spawn(&arguments, &[secret], None).gives_up();
    assert!(log.contains("--admin-password-file"), "{log}");
}

#[test]
fn cached_results_are_shown_to_their_users() {
    let (cluster, mut admin) = secure();
    for sql in [
        "CREATE USER ada PASSWORD 'hunter22'",
        "CREATE TABLE shown (a INT)",
        "INSERT INTO shown VALUES (7)",
        "CREATE TABLE hidden (a INT)",
        "INSERT INTO hidden VALUES (8)",
        "GRANT SELECT ON shown TO ada",
        "GRANT SELECT ON distributed_query_cache TO ada",
        "GRANT SELECT ON cache_invalidation_events TO ada",
    ] {
        admin.run(sql);
    }
    assert_eq!(admin.value("SELECT sum(a) AS s FROM hidden"), "8");
    assert_eq!(
        admin.value("SELECT sum(shown.a + hidden.a) AS s FROM shown, hidden"),
        "15"
    );
    let listed = "SELECT results FROM distributed_query_cache WHERE results LIKE '%\"s\":%' ORDER BY results";
    let rows = |answers: &[&str]| -> Vec<Vec<String>> {
        answers
            .iter()
            .map(|answer| vec![format!("[{{\"s\":{answer}}}]")])
            .collect()
    };
    let mut ada = login(&cluster, "ada", "hunter22");
    assert_eq!(ada.rows(listed), rows(&[]));
    assert_eq!(ada.value("SELECT sum(a) AS s FROM shown"), "7");
    assert_eq!(ada.rows(listed), rows(&["7"]));
    assert_eq!(admin.rows(listed), rows(&["15", "7", "8"]));

    // She evicts what she sees, if she may at all.
    ada.fails("DELETE FROM distributed_query_cache", "42501");
    ada.fails(
        "INSERT INTO cache_invalidation_events (cache_key) VALUES ('shown')",
        "42501",
    );
    admin.run("GRANT INSERT ON cache_invalidation_events TO ada");
    let told = ada.fails(
        "INSERT INTO cache_invalidation_events (cache_key) VALUES ('hidden')",
        "42P01",
    );
    assert!(told.contains("names no table"), "{told}");
    admin.run("GRANT DELETE ON distributed_query_cache TO ada");
    assert_eq!(ada.run("DELETE FROM distributed_query_cache"), 1);
    assert_eq!(admin.rows(listed), rows(&["15", "8"]));

    // Tables that she may not know of are not named to her.
    admin.run("INSERT INTO cache_invalidation_events (cache_key) VALUES ('hidden'), ('shown')");
    let keys = "SELECT cache_key FROM cache_invalidation_events WHERE cache_key LIKE 'public.%' ORDER BY 1";
    assert_eq!(ada.rows(keys), [["public.shown"]]);
    assert_eq!(admin.rows(keys), [["public.hidden"], ["public.shown"]]);

    // A result that was made before a view was narrowed, or of a table that had the name before, is not shown to those who
    // read what has the name now; nor is what pruning found in rows that a view leaves out.
    for sql in [
        "CREATE VIEW few AS SELECT a FROM hidden",
        "CREATE TABLE again AS SELECT 9 AS s",
    ] {
        admin.run(sql);
    }
    assert_eq!(admin.value("SELECT sum(a) AS s FROM few"), "8");
    assert_eq!(admin.value("SELECT s FROM again"), "9");
    for sql in [
        "CREATE OR REPLACE VIEW few AS SELECT a FROM hidden WHERE a < 5",
        "CREATE OR REPLACE TABLE again AS SELECT 10 AS s",
        "GRANT SELECT ON few TO ada",
        "GRANT SELECT ON again TO ada",
    ] {
        admin.run(sql);
    }
    assert_eq!(ada.rows(listed), rows(&[]));
    assert_eq!(ada.value("SELECT count(*) AS s FROM few WHERE a > 7"), "0");
    let counts = "SELECT results, completed_shards, total_shards FROM distributed_query_cache WHERE results LIKE '%\"s\":%'";
    assert_eq!(ada.rows(counts), [["[{\"s\":0}]", "NULL", "NULL"]]);
    ada.run("DELETE FROM distributed_query_cache");

    // Right after a REVOKE there is neither a result nor its row.
    assert_eq!(ada.value("SELECT sum(a) AS s FROM shown"), "7");
    assert_eq!(ada.rows(listed), rows(&["7"]));
    admin.run("REVOKE SELECT ON shown FROM ada");
    assert_eq!(ada.rows(listed), rows(&[]));
    ada.fails("SELECT sum(a) AS s FROM shown", "42P01");
    ada.fails("UPDATE cache_layers SET ttl_seconds = 1", "42P01");
}
