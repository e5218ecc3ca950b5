//! A scheduler and executors that are killed and come back under their names, with the folders they had.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{Server, Session, signal, text_of, wait_until};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const JOIN_LIMIT: Duration = Duration::from_secs(30);
const ANY_PORT: &str = "127.0.0.1:0";

pub struct Processes {
    folder: TempDir,
    scheduler: Server,
    flight: String,
    cluster: String,
    /// By number; none while it is dead.
    executors: Vec<Option<Server>>,
}

impl Processes {
    pub fn start(executors: usize) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("watershed-cache-")
            .tempdir()
            .unwrap();
        let mut scheduler = scheduler(folder.path(), ANY_PORT, ANY_PORT);
        let facts = scheduler.ready();
        let mut processes = Self {
            folder,
            scheduler,
            flight: text_of(&facts, "flight"),
            cluster: text_of(&facts, "cluster"),
            executors: (0..executors).map(|_| None).collect(),
        };
        for number in 0..executors {
            processes.revive(number);
        }
        processes
    }

    pub fn flight(&self) -> &str {
        &self.flight
    }

    /// Where the tables' folders lie.
    pub fn tables(&self) -> PathBuf {
        self.folder.path().join("store/tables")
    }

    /// The process of an executor that lives.
    pub fn pid(&self, number: usize) -> Option<u32> {
        Some(self.executors[number].as_ref()?.pid())
    }

    pub fn alive(&self) -> Vec<usize> {
        self.numbers(true)
    }

    pub fn dead(&self) -> Vec<usize> {
        self.numbers(false)
    }

    fn numbers(&self, alive: bool) -> Vec<usize> {
        let numbered = self.executors.iter().enumerate();
        numbered
            .filter(|(_, executor)| executor.is_some() == alive)
            .map(|(number, _)| number)
            .collect()
    }

    pub fn kill(&mut self, number: usize) {
        if let Some(mut executor) = self.executors[number].take() {
            signal(executor.pid(), "KILL");
            executor.kill();
        }
    }

    /// Starts a dead executor anew, and waits until it is a member.
    pub fn revive(&mut self, number: usize) {
        let node = format!("executor-{number}");
        let (store, work) = (self.store(), self.folder.path().join(&node));
        let server = Server::spawn(
            &[
                "executor",
                "--node",
                &node,
                "--store",
                store.to_str().unwrap(),
                "--work-dir",
                work.to_str().unwrap(),
                "--scheduler",
                &self.cluster,
                "--listen",
                ANY_PORT,
                "--http",
                ANY_PORT,
            ],
            &[("WATERSHED_CLUSTER_SECRET", SECRET.to_owned())],
            None,
        );
        let pid = server.pid();
        self.executors[number] = Some(server);
        let question = format!("SELECT count(*) FROM system.executors WHERE process_id = {pid}");
        let mut session = Session::open(&self.flight);
        assert!(
            wait_until(JOIN_LIMIT, || session.value(&question) == "1"),
            "{node} does not join"
        );
    }

    /// Kills the scheduler and starts it again where it was; sessions are gone.
    pub fn restart_scheduler(&mut self) {
        let address = |url: &str| url.strip_prefix("http://").expect("plain HTTP").to_owned();
        self.scheduler.kill();
        self.scheduler = scheduler(
            self.folder.path(),
            &address(&self.flight),
            &address(&self.cluster),
        );
        self.scheduler.ready();
        let alive = self.alive().len().to_string();
        let mut session = Session::open(&self.flight);
        assert!(
            wait_until(JOIN_LIMIT, || session
                .value("SELECT count(*) FROM system.executors")
                == alive),
            "executors do not register with the new scheduler"
        );
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }
}

fn scheduler(folder: &Path, flight: &str, cluster: &str) -> Server {
    let (store, work) = (folder.join("store"), folder.join("scheduler"));
    Server::spawn(
        &[
            "scheduler",
            "--store",
            store.to_str().unwrap(),
            "--work-dir",
            work.to_str().unwrap(),
            "--flight",
            flight,
            "--cluster",
            cluster,
            "--http",
            ANY_PORT,
            "--allow-anonymous",
        ],
        &[("WATERSHED_CLUSTER_SECRET", SECRET.to_owned())],
        None,
    )
}
