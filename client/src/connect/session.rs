//! What makes the calls of one client one session: a connection, who asks, and the cookies the server
//! sets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::transport::Channel;

/// Servers set a few; more would only grow every request.
const COOKIES_MAX: usize = 16;
const COOKIE_BYTES_MAX: usize = 1 << 10;

/// A channel that says who asks, and sends back the cookies it was given.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    channel: Channel,
    authorization: Arc<Mutex<Option<HeaderValue>>>,
    cookies: Arc<Mutex<Cookies>>,
}

impl Session {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            authorization: Arc::default(),
            cookies: Arc::default(),
        }
    }

    /// What calls are sent with from now on, those of clones included.
    pub(super) fn authorize(&self, authorization: HeaderValue) {
        *self.authorization.lock() = Some(authorization);
    }

    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.authorization.lock().clone()
    }
}

impl Service<Request<Body>> for Session {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(authorization) = self.authorization()
            && !request.headers().contains_key(AUTHORIZATION)
        {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        if let Some(cookies) = self.cookies.lock().header() {
            request.headers_mut().insert(COOKIE, cookies);
        }
        let cookies = Arc::clone(&self.cookies);
        let answer = self.channel.call(request);
        Box::pin(async move {
            let response = answer.await?;
            cookies.lock().keep(response.headers());
            Ok(response)
        })
    }
}

/// They stand for a session, and are as secret as a token.
#[derive(Default)]
struct Cookies(BTreeMap<String, String>);

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Cookies {
    fn header(&self) -> Option<HeaderValue> {
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty())
            .then(|| HeaderValue::try_from(pairs.join("; ")).ok())
            .flatten()
    }

    fn keep(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE) {
            let Ok(cookie) = cookie.to_str() else { continue };
            let mut parts = cookie.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let expired = parts
                .filter_map(|attribute| attribute.split_once('='))
                .any(|(key, value)| {
                    key.eq_ignore_ascii_case("max-age") && value.parse::<i64>().is_ok_and(|age| age <= 0)
                });
            if expired {
                self.0.remove(name);
            } else if name.len() + value.len() <= COOKIE_BYTES_MAX
                && (self.0.len() < COOKIES_MAX || self.0.contains_key(name))
            {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(replies: &[&'static str], expected: Option<&str>) {
        let mut cookies = Cookies::default();
        for reply in replies {
            let mut headers = HeaderMap::new();
            headers.insert(SET_COOKIE, HeaderValue::from_static(reply));
            cookies.keep(&headers);
        }
        let header = cookies.header();
        assert_eq!(header.as_ref().map(|value| value.to_str().unwrap()), expected);
    }

    #[test]
    fn cookies_are_sent_back() {
        check(&[], None);
        check(&["session=abc; Path=/; HttpOnly"], Some("session=abc"));
        check(&["b=2", "a=1", "b=3"], Some("a=1; b=3"));
        check(&["a=1", "a=; Max-Age=0"], None);
        check(&["nonsense"], None);
        let cookies = Cookies([("session".to_owned(), "abc".to_owned())].into());
        assert_eq!(format!("{cookies:?}"), "{\"session\"}");
    }

    #[test]
    fn cookies_are_bounded() {
        let mut cookies = Cookies::default();
        for n in 0..100 {
            let mut headers = HeaderMap::new();
            headers.insert(SET_COOKIE, HeaderValue::try_from(format!("c{n}=1")).unwrap());
            cookies.keep(&headers);
        }
        assert_eq!(cookies.0.len(), COOKIES_MAX);
    }
}
