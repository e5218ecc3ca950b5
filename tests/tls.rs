//! TLS on the ports that clients use: certificates made and given, swapped, trusted and not, and peers that
//! connect and then say nothing.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use watershed_core::net::DevCertificate;

use crate::harness::{Cluster, Options, Server, Session, get, signal, text_of, wait_until};
use crate::python::script_with;
use crate::shell::{Outcome, shell};

fn with_tls(executors: usize) -> Options {
    Options {
        arguments: vec!["--tls"],
        ..Options::executors(executors)
    }
}

/// A certificate, and the authority that issued it, which no server here has.
fn stranger() -> (TempDir, DevCertificate) {
    let folder = tempfile::tempdir().unwrap();
    let made = DevCertificate::keep(folder.path(), &[], chrono::Utc::now()).unwrap();
    (folder, made)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn refused(outcome: &Outcome, parts: &[&str]) {
    assert_eq!((outcome.code, outcome.text()), (3, ""), "{outcome:?}");
    for part in parts.iter().chain(&["ERROR 57P03", "HINT: "]) {
        assert!(outcome.err.contains(part), "{part}\n{}", outcome.err);
    }
}

#[test]
fn dev_makes_a_certificate_and_the_shell_checks_it() {
    let store = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&with_tls(1).store(store.path()));
    let url = cluster.flight();
    let authority = cluster.authority().unwrap();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    assert!(cluster.http().starts_with("https://"), "{}", cluster.http());
    assert_eq!(authority, store.path().join("tls/ca.pem"));
    for key in ["key.pem", "ca-key.pem"] {
        let mode = fs::metadata(store.path().join("tls").join(key))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }

    let ask = ["--format", "csv", "-c", "SELECT 1 AS n"];
    let trusting = |url: &str, authority: &str| shell(url, &[&["--ca", authority], &ask[..]].concat(), "");
    for url in [
        url.to_owned(),
        url.replace("127.0.0.1", "localhost"),
        url.replace("https://", "grpc+tls://"),
    ] {
        let outcome = trusting(&url, text(authority));
        assert_eq!((outcome.code, outcome.text()), (0, "n\n1\n"), "{outcome:?}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_watershed"))
        .args(["sql", "--format", "csv", "-c", "SELECT 1 AS n"])
        .envs([("WATERSHED_URL", url), ("WATERSHED_CA", text(authority))])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n1\n", "{output:?}");

    let (_folder, other) = stranger();
    refused(
        &trusting(url, text(&other.authority())),
        &["not trusted", url, "--ca"],
    );
    refused(&shell(url, &ask, ""), &["not trusted", "--ca", "dev --tls"]);
    let plain = url.replace("https://", "http://");
    refused(&shell(&plain, &ask, ""), &["expects TLS", "https://"]);
    // An executor's HTTP port has none.
    let http = cluster.executors()[0].http.replace("http://", "https://");
    refused(
        &trusting(&http, text(authority)),
        &["does not speak TLS", "http://"],
    );
    let no_tls = trusting(&plain, text(authority));
    assert_eq!(no_tls.code, 2, "{no_tls:?}");

    // Trust outlives a restart.
    let before = fs::read(authority).unwrap();
    assert_eq!(cluster.stop(), 0);
    let cluster = Cluster::start(&with_tls(1).store(store.path()));
    assert_eq!(fs::read(cluster.authority().unwrap()).unwrap(), before);
    cluster.assert_goes_on();
}

#[test]
fn drivers_over_tls() {
    let cluster = Cluster::start(&with_tls(1));
    let (_folder, other) = stranger();
    let trust = [("WATERSHED_TEST_CA", text(cluster.authority().unwrap()))];
    let facts = [cluster.flight(), cluster.http(), text(&other.authority())].map(ToOwned::to_owned);
    script_with("tls.py", &facts.each_ref().map(String::as_str), &trust);
    let as_somebody = [
        trust[0],
        ("WATERSHED_TEST_USER", "tester"),
        ("WATERSHED_TEST_PASSWORD", "secret"),
    ];
    script_with("adbc_smoke.py", &[cluster.flight()], &as_somebody);
    let shell = [env!("CARGO_BIN_EXE_watershed"), cluster.flight(), trust[0].1];
    script_with("prompt.py", &shell, &[]);
    cluster.assert_goes_on();
}

#[test]
fn peers_that_say_nothing_keep_nobody_out() {
    let cluster = Cluster::start(&with_tls(0));
    let address = cluster.flight().trim_start_matches("https://");
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    let start = Instant::now();
    assert_eq!(cluster.session().value("SELECT 1"), "1");
    // The silent ones are let go after ten seconds; nobody waits for that.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    drop(silent);
}

#[test]
fn a_certificate_is_swapped_while_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (_first_folder, first) = stranger();
    let (_second_folder, second) = stranger();
    let put = |made: &DevCertificate| {
        fs::copy(made.key(), path("key.pem")).unwrap();
        fs::copy(made.certificate(), path("certificate.pem")).unwrap();
    };
    put(&first);
    let (certificate, key, store) = (path("certificate.pem"), path("key.pem"), path("store"));
    let mut arguments = vec!["scheduler", "--allow-anonymous", "--store", text(&store)];
    for port in ["--flight", "--http", "--cluster"] {
        arguments.extend([port, "127.0.0.1:0"]);
    }
    arguments.extend(["--tls-cert", text(&certificate), "--tls-key", text(&key)]);
    let secret = ("WATERSHED_CLUSTER_SECRET", "0123456789abcdef".to_owned());
    let mut server = Server::spawn(&arguments, &[secret], None);
    let facts = server.ready();
    let flight = text_of(&facts, "flight");
    let trusts = |made: &DevCertificate| {
        let authority = made.authority();
        shell(&flight, &["--ca", text(&authority), "-c", "SELECT 1"], "").code == 0
    };
    assert!(trusts(&first) && !trusts(&second));
    let mut open = Session::open_trusting(&flight, &first.authority());
    open.run("SET watershed.batch_size = 100");

    put(&second);
    assert!(
        wait_until(Duration::from_secs(30), || trusts(&second)),
        "the files were not looked at"
    );
    assert!(!trusts(&first));
    let kept = open.rows("SHOW watershed.batch_size").remove(0);
    assert_eq!(
        kept.last().map(String::as_str),
        Some("100"),
        "the open connection goes on"
    );

    // A broken pair changes nothing, and is told of.
    fs::write(path("certificate.pem"), "nonsense").unwrap();
    signal(server.pid(), "HUP");
    assert!(wait_until(Duration::from_secs(10), || {
        server.log().contains("the old one stays")
    }));
    assert!(trusts(&second));
    // Read at once where it is asked for.
    put(&first);
    signal(server.pid(), "HUP");
    assert!(wait_until(Duration::from_secs(20), || trusts(&first)));
    assert_eq!(server.stop(), 0);
}

#[test]
fn what_is_no_certificate_is_refused_at_the_start() {
    let (_folder, one) = stranger();
    let (_other_folder, other) = stranger();
    let (certificate, key) = (one.certificate(), other.key());
    let with = |arguments: &[&'static str]| {
        Cluster::fails_to_start(&Options {
            arguments: arguments.to_vec(),
            ..Options::executors(0)
        })
    };
    let log = with(&["--tls-cert", "/no/such/file", "--tls-key", "/no/such/file"]);
    assert!(log.contains("cannot read /no/such/file"), "{log}");
    assert!(with(&["--tls-cert", "/no/such/file"]).contains("--tls-key"));
    let store = tempfile::tempdir().unwrap();
    let arguments = [
        "dev",
        "--store",
        text(store.path()),
        "--tls-cert",
        text(&certificate),
        "--tls-key",
        text(&key),
    ];
    let log = Server::spawn(&arguments, &[], None).gives_up();
    assert!(
        log.contains("KeyMismatch") || log.contains("cannot be used"),
        "{log}"
    );
    assert!(log.contains("HINT: "), "{log}");
}

/// Without a certificate, nothing changes.
#[test]
fn without_a_certificate_ports_are_plain() {
    let cluster = Cluster::start(&Options::executors(0));
    assert!(cluster.flight().starts_with("http://"));
    assert_eq!(get(&format!("{}/healthz", cluster.http())).0, 200);
    assert_eq!(cluster.authority(), None);
}
