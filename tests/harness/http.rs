//! HTTP as a probe sees it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The status and body of `GET url`.
pub fn get(url: &str) -> (u16, String) {
    get_with(url, None, &[])
}

/// The same for another host's name, and with further headers.
pub fn get_with(url: &str, host: Option<&str>, headers: &[&str]) -> (u16, String) {
    let rest = url.strip_prefix("http://").expect("plain HTTP");
    let (address, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{url}: {error}"));
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let host = host.unwrap_or(address);
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}
