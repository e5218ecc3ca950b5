//! Writers of one table by way of several schedulers: all rows of all of them are there, and none has to try again.

use std::thread;

use crate::harness::{Cluster, Options, Session};

const WRITERS: usize = 3;
const INSERTS: usize = 12;

#[test]
fn appends_by_several_schedulers_need_no_retry() {
    let store = tempfile::tempdir().unwrap();
    let options = Options::executors(0).store(store.path());
    let clusters = [Cluster::start(&options), Cluster::start(&options)];
    clusters[0]
        .session()
        .run("CREATE TABLE t (writer INT, number INT)");
    let writers: Vec<_> = clusters
        .iter()
        .flat_map(|cluster| (0..WRITERS).map(|_| cluster.flight().to_owned()))
        .enumerate()
        .map(|(writer, url)| {
            thread::spawn(move || {
                let mut session = Session::open(&url);
                for number in 0..INSERTS {
                    session.run(&format!("INSERT INTO t VALUES ({writer}, {number})"));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let all = (2 * WRITERS * INSERTS).to_string();
    for cluster in &clusters {
        let rows = cluster
            .session()
            .rows("SELECT count(*), count(DISTINCT writer * 1000 + number) FROM t");
        assert_eq!(rows, [[all.clone(), all.clone()]]);
    }
}
