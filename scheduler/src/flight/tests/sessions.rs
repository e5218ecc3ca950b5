//! Sessions and their options.

use std::collections::BTreeMap;

use arrow_flight::Action;
use bytes::Bytes;
use prost::Message;

use super::super::options::{
    CloseSessionResult, CloseSessionStatus, GetSessionOptionsResult, OptionErrorKind, OptionValue,
    SessionOptionValue, SetSessionOptionsRequest, SetSessionOptionsResult, StringList,
};
use super::{Client, Server};

async fn act(client: &mut Client, name: &str, body: Vec<u8>) -> Bytes {
    let mut results = client.do_action(Action::new(name, body)).await.unwrap();
    results.message().await.unwrap().unwrap().body
}

async fn set(client: &mut Client, options: &[(&str, Option<OptionValue>)]) -> BTreeMap<String, i32> {
    let session_options = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), SessionOptionValue { value: value.clone() }))
        .collect();
    let body = SetSessionOptionsRequest { session_options }.encode_to_vec();
    let result = SetSessionOptionsResult::decode(act(client, "SetSessionOptions", body).await).unwrap();
    let errors = result.errors.into_iter();
    errors.map(|(name, error)| (name, error.value)).collect()
}

async fn option(client: &mut Client, name: &str) -> Option<String> {
    let result = act(client, "GetSessionOptions", Vec::new()).await;
    let options = GetSessionOptionsResult::decode(result).unwrap().session_options;
    match options.get(name)?.value.clone()? {
        OptionValue::Text(text) => Some(text),
        other => panic!("{other:?}"),
    }
}

fn text(value: &str) -> Option<OptionValue> {
    Some(OptionValue::Text(value.to_owned()))
}

#[tokio::test]
async fn options_are_set_one_by_one() {
    let server = Server::start().await;
    let mut client = server.client();
    assert_eq!(option(&mut client, "catalog").await.as_deref(), Some("watershed"));
    assert_eq!(option(&mut client, "schema").await.as_deref(), Some("public"));

    let errors = set(
        &mut client,
        &[
            ("schema", text("system")),
            ("catalog", text("other")),
            ("timezone", text("Mars")),
            ("nothing", text("x")),
            ("watershed.batch_size", Some(OptionValue::Integer(100))),
            (
                "statement_timeout",
                Some(OptionValue::Texts(StringList::default())),
            ),
        ],
    )
    .await;
    let (name, value) = (
        OptionErrorKind::InvalidName as i32,
        OptionErrorKind::InvalidValue as i32,
    );
    let expected = [
        ("catalog", value),
        ("nothing", name),
        ("statement_timeout", value),
        ("timezone", value),
    ];
    assert_eq!(
        errors,
        expected.map(|(name, error)| (name.to_owned(), error)).into()
    );
    assert_eq!(option(&mut client, "schema").await.as_deref(), Some("system"));
    assert_eq!(
        option(&mut client, "watershed.batch_size").await.as_deref(),
        Some("100")
    );

    assert!(
        set(&mut client, &[("schema", None), ("watershed.batch_size", None)])
            .await
            .is_empty()
    );
    assert_eq!(option(&mut client, "schema").await.as_deref(), Some("public"));
    assert_eq!(option(&mut client, "watershed.batch_size").await, None);
}

#[tokio::test]
async fn a_connection_is_a_session_unless_a_token_or_cookie_says_otherwise() {
    let server = Server::start().await;
    let (mut one, mut other) = (server.client(), server.client());
    set(&mut one, &[("schema", text("system"))]).await;
    assert_eq!(option(&mut other, "schema").await.as_deref(), Some("public"));
    assert_eq!(server.engine.sessions(), 2);

    // The cookie that the first is offered carries its session to another connection.
    let body = SetSessionOptionsRequest::default().encode_to_vec();
    let action = Action::new("SetSessionOptions", body);
    let response = one.inner_mut().do_action(action).await.unwrap();
    let cookie = response
        .metadata()
        .get("set-cookie")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let mut third = server.client();
    third.set_header("cookie", cookie.split(';').next().unwrap());
    assert_eq!(option(&mut third, "schema").await.as_deref(), Some("system"));
    third.set_header("cookie", "watershed_session=forged");
    assert_eq!(option(&mut third, "schema").await.as_deref(), Some("public"));

    // Two connections with one token share a session.
    let mut first = server.client();
    first.handshake("user", "password").await.unwrap();
    let mut second = server.client();
    second.set_token(first.token().unwrap().clone());
    set(&mut first, &[("schema", text("system"))]).await;
    assert_eq!(option(&mut second, "schema").await.as_deref(), Some("system"));
}

#[tokio::test]
async fn a_closed_session_begins_anew() {
    let server = Server::start().await;
    let mut client = server.client();
    set(&mut client, &[("schema", text("system"))]).await;
    let result = act(&mut client, "CloseSession", Vec::new()).await;
    assert_eq!(
        CloseSessionResult::decode(result).unwrap().status(),
        CloseSessionStatus::Closed
    );
    assert_eq!(server.engine.sessions(), 0);
    assert_eq!(option(&mut client, "schema").await.as_deref(), Some("public"));
}
