//! Who is let in, and how it is said that somebody is not.

use chrono::Utc;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use watershed_core::net::{DevCertificate, ServerTls};

use super::*;
use crate::query::tests::server::{Gate, start_guarded};

/// `ada:lovelace`.
const ADA: &str = "Basic YWRhOmxvdmVsYWNl";

struct Server {
    url: String,
    gate: Arc<Gate>,
    _serving: DropGuard,
}

impl Server {
    async fn start(gate: Arc<Gate>, tls: Option<ServerTls>) -> Self {
        let shutdown = CancellationToken::new();
        let (url, _) = start_guarded("127.0.0.1:0", tls, Arc::clone(&gate), shutdown.clone()).await;
        Self {
            url,
            gate,
            _serving: shutdown.drop_guard(),
        }
    }

    async fn connect(&self, credentials: Credentials) -> Result<Client> {
        let options = ConnectOptions {
            authorities: None,
            credentials,
        };
        Client::connect_with(&self.url, options).await
    }
}

fn ada(password: &str) -> Credentials {
    Credentials::Password {
        user: "ada".into(),
        password: Secret::new(password),
    }
}

#[tokio::test]
async fn a_password_is_sent_once_and_then_a_token() {
    let server = Server::start(Gate::of(ADA), None).await;
    let client = server.connect(ada("lovelace")).await.unwrap();
    assert_eq!(client.update("INSERT 3").await.unwrap(), Some(3));
    client.run("INSERT 3").await.unwrap();
    client.query("NUMBERS 3").await.unwrap();
    assert_eq!(server.gate.handshakes(), 1);
    let shown = format!("{client:?}");
    assert!(
        !shown.contains("lovelace") && !shown.contains("token-"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_forgotten_token_costs_another_handshake() {
    let server = Server::start(Gate::of(ADA), None).await;
    let client = server.connect(ada("lovelace")).await.unwrap();
    for (forgotten, handshakes) in [(1, 2), (2, 3), (3, 4)] {
        server.gate.forget();
        match forgotten {
            1 => drop(client.query("NUMBERS 3").await.unwrap()),
            2 => drop(client.update("INSERT 3").await.unwrap()),
            _ => client.prepare("NUMBERS 3").await.unwrap().close().await,
        }
        assert_eq!(server.gate.handshakes(), handshakes);
    }
    // Many calls at once do not all shake hands.
    server.gate.forget();
    let calls = (0..8).map(|_| client.update("INSERT 1"));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap(), Some(1));
    }
    assert_eq!(server.gate.handshakes(), 5);
}

#[tokio::test]
async fn who_is_not_let_in_learns_why() {
    let server = Server::start(Gate::of(ADA), None).await;
    let check = |error: Error, hint: &str| {
        assert_eq!(error.code(), SqlState::InvalidAuthorization, "{error:?}");
        assert!(
            error.hint().is_some_and(|found| found.contains(hint)),
            "{error:?}"
        );
    };
    check(server.connect(ada("byron")).await.unwrap_err(), "password");
    check(
        server.connect(Credentials::Anonymous).await.unwrap_err(),
        "--user",
    );
    let token = Credentials::Token(Secret::new("old"));
    check(server.connect(token).await.unwrap_err(), "token");
    assert_eq!(server.gate.handshakes(), 0);
}

#[tokio::test]
async fn a_token_needs_no_handshake() {
    let server = Server::start(Gate::of(ADA), None).await;
    let token = server.gate.token().replace("Bearer ", "");
    let client = server.connect(Credentials::Token(Secret::new(token))).await;
    client.unwrap().query("NUMBERS 3").await.unwrap();
    assert_eq!(server.gate.handshakes(), 0);
}

fn certificate() -> (TempDir, DevCertificate) {
    let folder = tempfile::tempdir().unwrap();
    let made = DevCertificate::keep(folder.path(), &[], Utc::now()).unwrap();
    (folder, made)
}

#[tokio::test]
async fn certificates_are_checked() {
    let (_folder, made) = certificate();
    let (_other_folder, other) = certificate();
    let tls = ServerTls::load(&made.certificate(), &made.key()).unwrap();
    let server = Server::start(Gate::of(ADA), Some(tls)).await;
    let connect = |url: String, authorities: Option<PathBuf>| async move {
        let options = ConnectOptions {
            authorities,
            credentials: ada("lovelace"),
        };
        Client::connect_with(&url, options).await
    };
    let url = server.url.clone();
    let client = connect(url.clone(), Some(made.authority())).await.unwrap();
    assert_eq!(client.update("INSERT 3").await.unwrap(), Some(3));
    let local = url.replace("https://127.0.0.1", "grpc+tls://localhost");
    connect(local, Some(made.authority())).await.unwrap();

    let error = connect(url.clone(), Some(other.authority())).await.unwrap_err();
    assert!(error.message().contains("not trusted"), "{error:?}");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("--ca")),
        "{error:?}"
    );
    let plain = url.replace("https://", "http://");
    let error = connect(plain, None).await.unwrap_err();
    assert_eq!(error.code(), SqlState::CannotConnectNow);
    assert!(error.message().contains("expects TLS"), "{error:?}");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("https://")),
        "{error:?}"
    );
    assert_eq!(
        server.gate.handshakes(),
        2,
        "nobody is told a password before that"
    );

    let without = Server::start(Gate::of(ADA), None).await;
    let tls_url = without.url.replace("http://", "https://");
    let error = connect(tls_url, Some(made.authority())).await.unwrap_err();
    assert!(error.message().contains("does not speak TLS"), "{error:?}");
}
