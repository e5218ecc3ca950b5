//! `watershed dev`: a scheduler and its executors, each a process of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Server, Session, alive, signal, wait_until};

/// Processes that were killed, or whose parent was, are gone by then.
const END_LIMIT: Duration = Duration::from_secs(20);

/// How a cluster is started.
#[derive(Debug, Clone)]
pub struct Options {
    pub executors: usize,
    /// Where its data lies, a folder or a URL; a folder of its own that goes with it, if this is not given.
    pub store: Option<String>,
    /// Environment variables of all its processes.
    pub variables: Vec<(&'static str, String)>,
    /// More options of `dev`.
    pub arguments: Vec<&'static str>,
    /// No file of any process may grow beyond this: a disk that is full for those who need more.
    pub file_limit_kib: Option<u64>,
}

impl Options {
    pub fn executors(executors: usize) -> Self {
        Self {
            executors,
            store: None,
            variables: Vec::new(),
            arguments: Vec::new(),
            file_limit_kib: None,
        }
    }

    pub fn store(mut self, store: &Path) -> Self {
        self.store = Some(store.to_str().unwrap().to_owned());
        self
    }
}

/// An executor as the ready file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executor {
    pub node: String,
    pub http: String,
    pub pid: u32,
}

/// A running cluster. Dropped, it ends every process of it.
pub struct Cluster {
    dev: Server,
    flight: String,
    http: String,
    authority: Option<PathBuf>,
    executors: Vec<Executor>,
    _store: Option<TempDir>,
}

impl Cluster {
    /// Starts a cluster and waits until it answers queries.
    pub fn start(options: &Options) -> Self {
        let (mut dev, store) = spawn(options);
        let facts = dev.ready();
        let executors = facts["executors"]
            .as_array()
            .unwrap_or_else(|| panic!("the ready file lists the executors: {facts}"))
            .iter()
            .map(|executor| Executor {
                node: text_of(executor, "node"),
                http: text_of(executor, "http"),
                pid: u32::try_from(executor["pid"].as_u64().expect("an executor has a pid")).unwrap(),
            })
            .collect::<Vec<_>>();
        assert_eq!(executors.len(), options.executors, "{facts}");
        Self {
            dev,
            flight: text_of(&facts, "flight"),
            http: text_of(&facts, "http"),
            authority: facts["ca"].as_str().map(PathBuf::from),
            executors,
            _store: store,
        }
    }

    /// Starts a cluster that has to give up, and gives what it logged.
    pub fn fails_to_start(options: &Options) -> String {
        let (dev, _store) = spawn(options);
        dev.gives_up()
    }

    pub fn flight(&self) -> &str {
        &self.flight
    }

    pub fn http(&self) -> &str {
        &self.http
    }

    /// The certificate of the authority that `dev --tls` made.
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    pub fn executors(&self) -> &[Executor] {
        &self.executors
    }

    /// The process that was started, the parent of all others.
    pub fn pid(&self) -> u32 {
        self.dev.pid()
    }

    /// Everything that its processes have logged.
    pub fn log(&self) -> String {
        self.dev.log()
    }

    pub fn session(&self) -> Session {
        match &self.authority {
            Some(authority) => Session::open_trusting(&self.flight, authority),
            None => Session::open(&self.flight),
        }
    }

    /// Asks the cluster to end, and waits until every process of it has. Gives the exit code.
    pub fn stop(mut self) -> i32 {
        let code = self.dev.stop();
        let survivors = self.survivors();
        assert!(
            survivors.is_empty(),
            "still running after watershed dev ended: {survivors:?}"
        );
        code
    }

    /// Kills every process of the cluster at once, as a power failure would.
    pub fn crash(mut self) {
        self.kill_all();
    }

    /// Every process lives, and queries are answered.
    #[track_caller]
    pub fn assert_goes_on(&self) {
        assert_eq!(self.session().value("SELECT 1"), "1");
        assert_eq!(self.survivors(), self.executors, "an executor has died");
    }

    /// Executors that run.
    pub fn survivors(&self) -> Vec<Executor> {
        self.executors
            .iter()
            .filter(|executor| alive(executor.pid))
            .cloned()
            .collect()
    }

    fn kill_all(&mut self) {
        // The parent first: it might start what it finds missing.
        self.dev.kill();
        for executor in &self.executors {
            signal(executor.pid, "KILL");
        }
        assert!(
            wait_until(END_LIMIT, || self.survivors().is_empty()) || std::thread::panicking(),
            "SIGKILL did not end {:?}",
            self.survivors()
        );
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill_all();
    }
}

fn spawn(options: &Options) -> (Server, Option<TempDir>) {
    let own = options.store.is_none().then(|| tempfile::tempdir().unwrap());
    let store = match &own {
        Some(own) => own.path().to_str().unwrap(),
        None => options.store.as_deref().unwrap(),
    };
    let executors = options.executors.to_string();
    let mut arguments = vec!["dev", "--executors", &executors, "--store", store];
    for port in ["--flight", "--http", "--cluster"] {
        arguments.extend([port, "127.0.0.1:0"]);
    }
    arguments.extend(&options.arguments);
    let dev = Server::spawn(&arguments, &options.variables, options.file_limit_kib);
    (dev, own)
}

/// A text of a ready file.
#[track_caller]
pub fn text_of(facts: &Value, name: &str) -> String {
    match facts[name].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("the ready file has no {name:?}: {facts}"),
    }
}
