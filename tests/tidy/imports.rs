//! Which crate may use what, so that an upgrade touches one crate and a socket is opened in one place.

use super::{crates, none, read, sources};

/// A library and the crates that may name it. `""` is the binary.
const LIBRARIES: [(&str, &[&str]); 15] = [
    ("sqlparser", &["sql"]),
    ("deltalake_core", &["storage"]),
    ("datafusion_distributed", &["cluster", "executor", "scheduler"]),
    ("ballista_core", &["cluster", "executor", "scheduler"]),
    ("ballista_executor", &["executor"]),
    ("ballista_scheduler", &["scheduler"]),
    ("foyer", &["storage"]),
    ("arrow_flight", &["client", "cluster", "executor", "scheduler"]),
    ("rustyline", &["client"]),
    ("rcgen", &["core"]),
    ("rustls", &["core"]),
    ("rustls_native_certs", &["core"]),
    ("tokio_rustls", &["core"]),
    ("argon2", &["scheduler"]),
    ("anyhow", &[]),
];

/// The crates, each after all it may depend on.
const ORDER: [(&str, &[&str]); 7] = [
    ("core", &[]),
    ("storage", &["core"]),
    ("cluster", &["core", "storage"]),
    ("sql", &["core", "storage"]),
    ("client", &["core"]),
    ("executor", &["core", "storage", "cluster"]),
    ("scheduler", &["core", "storage", "cluster", "sql"]),
];

/// What opens a socket.
const SOCKETS: [&str; 8] = [
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixListener",
    "Server::builder",
    "transport::Endpoint",
    "axum::serve",
    "connect_lazy",
];

#[test]
fn libraries_are_used_where_they_belong() {
    let mut findings = Vec::new();
    for source in sources() {
        for (library, users) in LIBRARIES {
            if !users.contains(&source.package()) {
                findings.extend(source.mentions(library));
            }
        }
    }
    none("These libraries belong to other crates.", &findings);
}

#[test]
fn crates_depend_in_one_direction() {
    let mut findings = Vec::new();
    for name in crates() {
        let Some((_, allowed)) = ORDER.iter().find(|(known, _)| *known == name) else {
            findings.push(format!("{name} has no place in the order yet"));
            continue;
        };
        let manifest = read(format!("{name}/Cargo.toml"));
        let (_, dependencies) = manifest
            .split_once("[dependencies]")
            .expect("it has dependencies");
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let other = line
                .strip_prefix("watershed-")
                .and_then(|rest| rest.split(['.', ' ', '=']).next());
            if let Some(other) = other.filter(|other| !allowed.contains(other)) {
                findings.push(format!("{name}/Cargo.toml: watershed-{other}"));
            }
        }
        if !manifest.contains("[lints]\nworkspace = true") {
            findings.push(format!("{name}/Cargo.toml does not take the workspace's lints"));
        }
    }
    none("Dependencies point one way.", &findings);
}

#[test]
fn one_module_opens_sockets() {
    let findings: Vec<_> = sources()
        .iter()
        .filter(|source| !source.path.starts_with("core/src/net/"))
        .flat_map(|source| SOCKETS.iter().flat_map(|word| source.mentions(word)))
        .collect();
    none(
        "core::net opens every socket, so that TLS is switched on in one place.",
        &findings,
    );
}
