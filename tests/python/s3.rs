//! An S3 server of others, so that a store is a bucket.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::NamedTempFile;

use super::interpreter;
use crate::harness::Options;

/// Bytes of answers that the server gave to reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fetched {
    /// Of the tables' data files.
    pub data: u64,
    /// Of everything: logs of tables, the catalog, lists.
    pub all: u64,
}

/// A server with one bucket. It ends when this is dropped.
pub struct Bucket {
    server: Child,
    endpoint: String,
    /// What the server was asked for.
    log: NamedTempFile,
}

impl Bucket {
    pub fn serve() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/s3_server.py");
        let log = NamedTempFile::new().unwrap();
        let mut server = Command::new(interpreter())
            .arg("-B")
            .arg(script)
            .arg(log.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be started");
        let mut endpoint = String::new();
        let output = server.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut endpoint).unwrap();
        assert!(
            endpoint.starts_with("http://"),
            "the S3 server did not start: {endpoint:?}"
        );
        Self {
            server,
            endpoint: endpoint.trim().to_owned(),
            log,
        }
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn log(&self) -> &Path {
        self.log.path()
    }

    /// What was fetched so far.
    pub fn fetched(&self) -> Fetched {
        let mut fetched = Fetched::default();
        for line in std::fs::read_to_string(self.log()).unwrap().lines() {
            let mut words = line.split(' ');
            let (Some(method), Some(path), Some(bytes)) = (words.next(), words.next(), words.next()) else {
                panic!("a line of the S3 server's log has three words: {line:?}");
            };
            if method != "GET" {
                continue;
            }
            let bytes: u64 = bytes.parse().unwrap();
            fetched.all += bytes;
            if path.ends_with(".parquet") && !path.contains("_delta_log") {
                fetched.data += bytes;
            }
        }
        fetched
    }

    /// A cluster whose store is a folder of the bucket.
    pub fn options(&self, executors: usize, folder: &str) -> Options {
        Options {
            store: Some(format!("s3://watershed/{folder}")),
            variables: vec![
                ("AWS_ENDPOINT", self.endpoint.clone()),
                ("AWS_ACCESS_KEY_ID", "tester".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
                ("AWS_REGION", "us-east-1".to_owned()),
            ],
            ..Options::executors(executors)
        }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}
