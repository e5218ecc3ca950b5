//! Handshakes and headers, where everyone is let in and where not.

use arrow_flight::{BasicAuth, HandshakeRequest, HandshakeResponse};
use bytes::Bytes;
use prost::Message;
use tonic::{Code, Request, Status};

use super::fake::{Fake, LOGIN_LIFETIME};
use super::{Client, Server, query, status, ticket};

async fn secure() -> Server {
    let mut engine = Fake::new();
    engine.user = Some(("ada".to_owned(), "secret".to_owned()));
    Server::with(engine).await
}

/// A handshake with these messages and this header: the token of the header, and the payload.
async fn shake(
    client: &mut Client,
    messages: Vec<Bytes>,
    header: Option<&str>,
) -> Result<(String, Bytes), Status> {
    let messages = messages.into_iter().map(|payload| HandshakeRequest {
        protocol_version: 0,
        payload,
    });
    let messages: Vec<_> = messages.collect();
    let mut request = Request::new(futures::stream::iter(messages));
    if let Some(header) = header {
        request
            .metadata_mut()
            .insert("authorization", header.parse().unwrap());
    }
    let response = client.inner_mut().handshake(request).await?;
    let token = response
        .metadata()
        .get("authorization")
        .unwrap()
        .to_str()
        .unwrap();
    let token = token.strip_prefix("Bearer ").unwrap().to_owned();
    let answer: HandshakeResponse = response.into_inner().message().await?.unwrap();
    Ok((token, answer.payload))
}

#[tokio::test]
async fn everyone_is_let_in_however_they_ask() {
    let server = Server::start().await;
    let mut client = server.client();
    for (messages, header) in [
        (vec![], Some("Basic YTpiYw==")),
        (vec![], Some("Basic YTpiYw")),
        (vec![Bytes::new()], Some("Basic YTpiYw")),
        (vec![], Some("Bearer whatever")),
        (vec![Bytes::from_static(b"old")], None),
        (vec![], None),
    ] {
        let (token, payload) = shake(&mut client, messages, header).await.unwrap();
        assert_eq!(payload, token.as_bytes());
        let mut client = server.client();
        client.set_token(token);
        assert_eq!(query(&mut client, "SELECT 1").await.num_rows(), 1);
    }
    let mut client = server.client();
    client.set_token("None".to_owned());
    assert_eq!(query(&mut client, "SELECT 1").await.num_rows(), 1);
}

#[tokio::test]
async fn only_those_who_may_are_let_in() {
    let server = secure().await;
    let mut client = server.client();
    let refused = client.execute("SELECT 1".to_owned(), None).await.unwrap_err();
    assert_eq!(status(refused).code(), Code::Unauthenticated);
    for header in ["Basic YWRhOndyb25n", "Bearer forged", "Basic !"] {
        let refused = shake(&mut client, vec![], Some(header)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{header}");
    }
    client.handshake("ada", "secret").await.unwrap();
    assert_eq!(query(&mut client, "SELECT 1").await.num_rows(), 1);
    client.set_token("forged".to_owned());
    let refused = client.get_catalogs().await.unwrap_err();
    assert_eq!(status(refused).code(), Code::Unauthenticated);

    // The older handshake, and a password with every call.
    let auth = BasicAuth {
        username: "ada".to_owned(),
        password: "secret".to_owned(),
    };
    let payload = Bytes::from(auth.encode_to_vec());
    let (token, _) = shake(&mut server.client(), vec![payload], None).await.unwrap();
    assert!(!token.is_empty());
    let mut client = server.client();
    client.set_header("authorization", "Basic YWRhOnNlY3JldA");
    let before = server.engine.sessions();
    for _ in 0..2 {
        assert_eq!(query(&mut client, "SELECT 1").await.num_rows(), 1);
    }
    assert_eq!(server.engine.sessions(), before + 1);
}

#[tokio::test]
async fn a_token_is_as_good_as_its_login() {
    let server = secure().await;
    let mut client = server.client();
    client.handshake("ada", "secret").await.unwrap();
    let first = format!("Bearer {}", client.token().unwrap());
    server.clock.advance(LOGIN_LIFETIME / 2);
    // A token for a token is no new login.
    let (second, _) = shake(&mut server.client(), vec![], Some(&first)).await.unwrap();
    client.set_token(second);
    server.clock.advance(LOGIN_LIFETIME / 2);
    client.get_catalogs().await.unwrap();
    server.clock.advance(LOGIN_LIFETIME / 2);
    let refused = client.get_catalogs().await.unwrap_err();
    assert_eq!(status(refused).code(), Code::Unauthenticated);
    let refused = shake(&mut server.client(), vec![], Some(&first))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn another_servers_token_and_ticket_are_foreign() {
    let (server, other) = (secure().await, secure().await);
    let mut client = server.client();
    client.handshake("ada", "secret").await.unwrap();
    let info = client.execute("SELECT 1".to_owned(), None).await.unwrap();
    let mut stranger = other.client();
    stranger.set_token(client.token().unwrap().clone());
    assert_eq!(
        status(stranger.get_catalogs().await.unwrap_err()).code(),
        Code::Unauthenticated
    );
    stranger.clear_token();
    stranger.handshake("ada", "secret").await.unwrap();
    let refused = stranger.do_get(ticket(&info)).await.unwrap_err();
    assert_eq!(status(refused).code(), Code::PermissionDenied);
}
