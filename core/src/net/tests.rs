//! Ports and clients of this module, talking to each other.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Extension, Request as Asked};
use axum::routing::any;
use chrono::{DateTime, Days, Utc};
use http::{HeaderMap, Request};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt};

use super::incoming::Incoming;
use super::serve::serve_grpc_pinging;
use super::*;
use crate::error::{Error, SqlState};

/// Certificates in a folder of their own.
struct Certificates {
    folder: TempDir,
    dev: DevCertificate,
}

impl Certificates {
    fn new() -> Self {
        Self::made(&[], Utc::now())
    }

    fn made(names: &[&str], now: DateTime<Utc>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let dev = DevCertificate::keep(folder.path(), &names, now).unwrap();
        Self { folder, dev }
    }

    fn tls(&self) -> ServerTls {
        ServerTls::load(&self.dev.certificate(), &self.dev.key()).unwrap()
    }

    fn client(&self, url: &str) -> Channel {
        dial_client_trusting(url, &self.dev.authority()).unwrap()
    }
}

async fn port(tls: Option<ServerTls>) -> Bound {
    let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    bound.with_tls(tls)
}

/// Serves a port whose answers say which connection asked and how long its headers are.
async fn serve(tls: Option<ServerTls>, ping: Duration) -> (String, DropGuard) {
    let answer = |Extension(peer): Extension<Peer>, asked: Asked| async move {
        assert_eq!(peer.address, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let length: usize = asked.headers().values().map(|value| value.len()).sum();
        [
            ("x-connection", peer.connection.0.to_string()),
            ("x-length", length.to_string()),
        ]
    };
    let routes = Routes::from(Router::new().fallback(any(answer)));
    let bound = port(tls).await;
    let url = bound.url();
    let shutdown = CancellationToken::new();
    tokio::spawn(serve_grpc_pinging(bound, routes, shutdown.clone(), ping));
    (url, shutdown.drop_guard())
}

const NO_PING: Duration = Duration::from_secs(60);

async fn ask(channel: &mut Channel, request: Request<Body>) -> Result<HeaderMap, tonic::transport::Error> {
    let response = channel.ready().await?.call(request).await?;
    Ok(response.headers().clone())
}

fn question() -> Request<Body> {
    Request::get("http://server/").body(Body::empty()).unwrap()
}

fn number(headers: &HeaderMap, name: &str) -> usize {
    headers[name].to_str().unwrap().parse().unwrap()
}

async fn connection(channel: &mut Channel) -> usize {
    number(&ask(channel, question()).await.unwrap(), "x-connection")
}

#[tokio::test]
async fn connections_over_tls_are_numbered() {
    let certificates = Certificates::new();
    let (url, _server) = serve(Some(certificates.tls()), NO_PING).await;
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let (mut one, mut two) = (certificates.client(&url), certificates.client(&url));
    let first = connection(&mut one).await;
    assert_ne!(connection(&mut two).await, first);
    assert_eq!(connection(&mut one).await, first);
}

#[tokio::test]
async fn small_answers_over_tls_do_not_wait_for_acknowledgements() {
    let certificates = Certificates::new();
    let (url, _server) = serve(Some(certificates.tls()), NO_PING).await;
    let mut client = certificates.client(&url);
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        connection(&mut client).await;
        fastest = fastest.min(start.elapsed());
    }
    assert!(fastest < Duration::from_millis(30), "{fastest:?}");
}

#[tokio::test]
async fn a_certificate_is_swapped_under_open_connections() {
    let (old, new) = (Certificates::new(), Certificates::new());
    let tls = old.tls();
    let (url, _server) = serve(Some(tls.clone()), NO_PING).await;
    let shutdown = CancellationToken::new();
    let _watching = shutdown.clone().drop_guard();
    tokio::spawn(tls.watch(Duration::from_millis(5), shutdown));
    let mut before = old.client(&url);
    let first = connection(&mut before).await;

    for (from, to) in [
        (new.dev.key(), old.dev.key()),
        (new.dev.certificate(), old.dev.certificate()),
    ] {
        fs::copy(from, to).unwrap();
    }
    let swapped = async {
        loop {
            if ask(&mut new.client(&url), question()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), swapped)
        .await
        .unwrap();
    assert_eq!(
        connection(&mut before).await,
        first,
        "the open connection goes on"
    );
    let refused = ask(&mut old.client(&url), question()).await.unwrap_err();
    assert_eq!(explained(&url, &refused).code(), SqlState::CannotConnectNow);
}

#[tokio::test]
async fn silent_peers_do_not_keep_others_out() {
    let certificates = Certificates::new();
    let (url, _server) = serve(Some(certificates.tls()), NO_PING).await;
    let address = url.trim_start_matches("https://");
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let connected = tokio::time::timeout(Duration::from_secs(5), async {
        connection(&mut certificates.client(&url)).await
    });
    assert_eq!(connected.await.unwrap(), silent.len());
}

/// A port with TLS that takes one connection, and peers that connect to it and say nothing.
async fn silent(
    certificates: &Certificates,
    peers: usize,
    limits: (usize, Duration),
) -> (String, tokio::task::JoinHandle<()>, Vec<TcpStream>) {
    let bound = port(Some(certificates.tls())).await;
    let (url, address) = (bound.url(), bound.address());
    let incoming = Incoming::new(bound.into_listener(), Some(certificates.tls().for_grpc()));
    let mut incoming = incoming.with_limits(limits.0, limits.1);
    let serving = tokio::spawn(async move { drop(incoming.next().await) });
    let mut silent = Vec::new();
    for _ in 0..peers {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    (url, serving, silent)
}

async fn is_hung_up_on(peer: &mut TcpStream, limit: Duration) -> bool {
    let answer = tokio::time::timeout(limit, peer.read(&mut [0])).await;
    matches!(answer, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn the_oldest_handshake_makes_room() {
    let certificates = Certificates::new();
    let patient = (2, Duration::from_secs(60));
    let (url, serving, mut silent) = silent(&certificates, 3, patient).await;
    assert!(is_hung_up_on(&mut silent[0], Duration::from_secs(5)).await);
    assert!(!is_hung_up_on(&mut silent[2], Duration::from_millis(100)).await);
    // Another peer gets through.
    let mut client = certificates.client(&url);
    tokio::spawn(async move { ask(&mut client, question()).await });
    tokio::time::timeout(Duration::from_secs(5), serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_handshake_has_a_deadline() {
    let certificates = Certificates::new();
    let (_, _serving, mut peers) = silent(&certificates, 1, (9, Duration::from_millis(50))).await;
    assert!(is_hung_up_on(&mut peers[0], Duration::from_secs(5)).await);
}

#[tokio::test]
async fn http_is_served_over_both_versions_of_tls() {
    let certificates = Certificates::new();
    let bound = port(Some(certificates.tls())).await;
    let url = bound.url();
    let shutdown = CancellationToken::new();
    let _server = shutdown.clone().drop_guard();
    tokio::spawn(serve_http(bound, health_router(Readiness::default()), shutdown));
    for version in tls::VERSIONS {
        let authority = certificates.dev.authority();
        let mut stream = tls::connect_trusting(&url, &authority, version, b"http/1.1").await;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
            "{version:?}: {answer}"
        );
    }
}

/// What the client says of a connection that failed.
#[track_caller]
fn explained(url: &str, error: &tonic::transport::Error) -> Error {
    explain_tls(url, error).unwrap_or_else(|| panic!("{error:?}"))
}

#[tokio::test]
async fn failures_say_what_to_do() {
    async fn check(url: &str, trusting: &Certificates, message: &str, hint: &str) -> Error {
        let refused = ask(&mut trusting.client(url), question()).await.unwrap_err();
        let error = explained(url, &refused);
        let text = format!("{} / {}", error.message(), error.hint().unwrap_or_default());
        assert_eq!(error.code(), SqlState::CannotConnectNow, "{text}");
        assert!(error.message().contains(message), "{text}");
        assert!(error.message().contains(url), "{text}");
        assert!(error.hint().is_some_and(|found| found.contains(hint)), "{text}");
        error
    }
    let now = Utc::now();
    let good = Certificates::new();
    let (url, _server) = serve(Some(good.tls()), NO_PING).await;
    check(&url, &Certificates::new(), "not trusted", "--ca").await;
    // 127.0.0.2 is this machine, too, but no name in the certificate.
    let bound = bind("127.0.0.2:0".parse().unwrap()).await.unwrap();
    let elsewhere = bound.with_tls(Some(good.tls()));
    let elsewhere_url = elsewhere.url();
    let shutdown = CancellationToken::new();
    let _elsewhere = shutdown.clone().drop_guard();
    tokio::spawn(serve_grpc(elsewhere, Routes::default(), shutdown));
    let error = check(&elsewhere_url, &good, "another name", "name").await;
    assert_eq!(error.detail(), Some("it is for localhost, 127.0.0.1, ::1"));

    let expired = Certificates::made(&[], now - Days::new(400));
    let (url, _server) = serve(Some(expired.tls()), NO_PING).await;
    let error = check(&url, &expired, "expired", "clocks").await;
    let until = (now - Days::new(35)).format("it was valid until %Y-%m-%d 00:00 UTC");
    assert_eq!(error.detail(), Some(until.to_string().as_str()));
    let early = Certificates::made(&[], now + Days::new(400));
    let (url, _server) = serve(Some(early.tls()), NO_PING).await;
    check(&url, &early, "not valid yet", "clocks").await;

    let (plain, _server) = serve(None, NO_PING).await;
    let as_tls = plain.replace("http://", "https://");
    check(&as_tls, &good, "does not speak TLS", "http://").await;

    let bound = port(Some(good.tls())).await;
    let url = bound.url();
    let shutdown = CancellationToken::new();
    let _http = shutdown.clone().drop_guard();
    tokio::spawn(serve_http(bound, health_router(Readiness::default()), shutdown));
    check(&url, &good, "does not speak Flight SQL", "32010").await;

    // One that reads what it does not understand, and hangs up.
    let bound = port(None).await;
    let url = bound.url().replace("http://", "https://");
    let listener = bound.into_listener();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        }
    });
    check(&url, &good, "does not speak TLS", "http://").await;
}

#[tokio::test]
async fn a_port_with_tls_is_recognized() {
    let certificates = Certificates::new();
    let (with, _server) = serve(Some(certificates.tls()), NO_PING).await;
    let (without, _server) = serve(None, NO_PING).await;
    assert!(speaks_tls(&with).await);
    assert!(speaks_tls(&with.replace("https://", "http://")).await);
    assert!(!speaks_tls(&without).await);
    assert!(!speaks_tls("http://127.0.0.1:1").await);
}

#[test]
fn authorities_need_tls() {
    let certificates = Certificates::new();
    let authority = certificates.dev.authority();
    let refused = dial_client_trusting("http://127.0.0.1:1", &authority).unwrap_err();
    assert!(
        refused.hint().is_some_and(|hint| hint.contains("https://")),
        "{refused:?}"
    );
    let no_certificate = certificates.folder.path().join("key.pem");
    for path in [no_certificate.as_path(), "/no/such/file".as_ref()] {
        let refused = dial_client_trusting("https://127.0.0.1:1", path).unwrap_err();
        assert!(refused.message().contains(path.to_str().unwrap()), "{refused:?}");
    }
}

#[tokio::test]
async fn headers_of_64_kib_are_read() {
    let (url, _server) = serve(None, NO_PING).await;
    let mut client = dial_client(&url).unwrap();
    let mut asked = question();
    for n in 0..8 {
        let name = http::HeaderName::try_from(format!("x-option-{n}")).unwrap();
        let value = http::HeaderValue::try_from("v".repeat(8 << 10)).unwrap();
        asked.headers_mut().insert(name, value);
    }
    let answer = ask(&mut client, asked).await.unwrap();
    assert!(number(&answer, "x-length") >= 64 << 10);
}

#[tokio::test]
async fn pings_of_idle_clients_are_answered() {
    let (url, _server) = serve(None, NO_PING).await;
    let mut client = Endpoint::from_shared(url)
        .unwrap()
        .http2_keep_alive_interval(Duration::from_millis(10))
        .keep_alive_timeout(Duration::from_millis(500))
        .keep_alive_while_idle(true)
        .connect_lazy();
    let first = connection(&mut client).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(connection(&mut client).await, first);
}

#[tokio::test]
async fn idle_clients_are_pinged() {
    const PING: u8 = 6;
    let (url, _server) = serve(None, Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .unwrap();
    let no_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream
        .write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", no_settings.as_slice()].concat())
        .await
        .unwrap();
    let pinged = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == PING {
                return head[4];
            }
        }
    };
    let flags = tokio::time::timeout(Duration::from_secs(10), pinged)
        .await
        .unwrap();
    assert_eq!(flags & 1, 0, "a ping, not an answer to one");
}

#[tokio::test]
async fn silent_connections_are_closed_without_tls_too() {
    let bound = port(None).await;
    let address = bound.address();
    let incoming = Incoming::new(bound.into_listener(), None);
    let mut incoming = incoming.with_connections(3, Duration::from_millis(200));
    let (sender, mut accepted) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let mut connection = incoming.next().await;
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                sender.send(
                    connection
                        .read_to_end(&mut bytes)
                        .await
                        .map_err(|error| error.kind()),
                )
            });
        }
    });
    // Two silent ones, and one that sends a little, time out; one that has begun does not.
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1").await.unwrap();
    let mut timed_out = Vec::new();
    for _ in 0..2 {
        let ended = tokio::time::timeout(Duration::from_secs(10), accepted.recv());
        timed_out.push(ended.await.unwrap().unwrap());
    }
    assert_eq!(timed_out, [Err(std::io::ErrorKind::TimedOut); 2]);
    assert!(is_hung_up_on(&mut silent, Duration::from_secs(5)).await);
    let mut begun = TcpStream::connect(address).await.unwrap();
    begun
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    begun.shutdown().await.unwrap();
    assert_eq!(accepted.recv().await.unwrap(), Ok(27));
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_at_once() {
    let bound = port(None).await;
    let address = bound.address();
    let incoming = Incoming::new(bound.into_listener(), None);
    let mut incoming = incoming.with_connections(4, Duration::from_secs(60));
    let (sender, mut accepted) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move { while sender.send(incoming.next().await).is_ok() {} });
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(TcpStream::connect(address).await.unwrap());
    }
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(accepted.recv().await.unwrap());
    }
    assert!(is_hung_up_on(&mut peers[3], Duration::from_secs(5)).await);
    assert!(!is_hung_up_on(&mut peers[0], Duration::from_millis(50)).await);
    held.clear();
    TcpStream::connect(address).await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(5), accepted.recv());
    assert!(next.await.unwrap().is_some());
}

#[tokio::test]
async fn slow_requests_over_http_are_closed() {
    let bound = port(None).await;
    let address = bound.address();
    let shutdown = CancellationToken::new();
    let _server = shutdown.clone().drop_guard();
    let router = health_router(Readiness::default());
    tokio::spawn(super::serve::serve_http_within(
        bound,
        router,
        shutdown,
        Duration::from_millis(300),
    ));
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        .await
        .unwrap();
    let dripping = async {
        // One header after the other, and never the last.
        while slow.write_all(b"X-More: 1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), dripping)
        .await
        .unwrap();
}
