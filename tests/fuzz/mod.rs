//! Messages made wrong: whatever a client sends, the server has an answer, keeps its feet, and gives nobody
//! what is another's.
//!
//! Each run takes other messages. One that fails prints its seed, and `WATERSHED_TEST_SEED` repeats it.

mod material;
mod mutate;

use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use arrow_flight::{FlightInfo, Ticket};
use prost::Message;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tonic::{Code, Status};

use self::material::{
    STATEMENTS, Sample, closing, execution, prepare, samples, tables, update, updating, values,
};
use crate::harness::{Cluster, Options, Wire, frames, query, steps, ticket};

/// Rounds, each with fresh messages; `WATERSHED_TEST_STEPS` makes it more.
const ROUNDS: u64 = 20;
/// Wrong messages of a round.
const MESSAGES: usize = 100;

/// One who has something that nobody else may see.
struct Owner {
    wire: Wire,
    info: FlightInfo,
    handle: Vec<u8>,
    secret: String,
}

impl Owner {
    fn new(cluster: &Cluster, name: &str) -> Self {
        let wire = Wire::open(cluster.flight(), name);
        // What is secret stands in no message.
        let sql = format!("SELECT md5('what {name} knows') AS secret");
        let info = wire.info(&query(&sql)).unwrap();
        let handle = prepare(&wire, &sql);
        let mut owner = Self {
            wire,
            info,
            handle,
            secret: String::new(),
        };
        let rows = owner.wire.get(&ticket(&owner.info)).unwrap();
        owner.secret = texts(&rows.batches).remove(0);
        owner
    }

    /// The owner redeems his ticket, again and again, and his handle is still there.
    fn assert_owns(&self) {
        for _ in 0..2 {
            let rows = self
                .wire
                .get(&ticket(&self.info))
                .expect("the ticket is the owner's");
            assert_eq!(texts(&rows.batches), [self.secret.as_str()]);
        }
        let info = self
            .wire
            .info(&execution(&self.handle))
            .expect("the handle is the owner's");
        let rows = self.wire.get(&ticket(&info)).unwrap();
        assert_eq!(texts(&rows.batches), [self.secret.as_str()]);
    }
}

/// All values as texts.
fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let mut texts = Vec::new();
    for batch in batches {
        for column in batch.columns() {
            texts.extend((0..batch.num_rows()).map(|row| array_value_to_string(column, row).unwrap()));
        }
    }
    texts
}

fn cluster() -> Cluster {
    let cluster = Cluster::start(&Options::executors(1));
    let mut session = cluster.session();
    session.run("CREATE TABLE t (id BIGINT, s STRING) CLUSTERED BY (id) INTO 2 BUCKETS");
    session.run("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)");
    cluster
}

/// No process has met a mistake of its own.
#[track_caller]
fn assert_unharmed(cluster: &Cluster) {
    let log = cluster.log();
    for word in ["panicked", "XX000", "overflowed its stack"] {
        if let Some(at) = log.find(word) {
            let (from, to) = (at.saturating_sub(200), at + 1_000);
            panic!(
                "the log says: {}",
                &log[log.floor_char_boundary(from)..log.floor_char_boundary(to)]
            );
        }
    }
    cluster.assert_goes_on();
}

/// What goes wrong with a message must not look as if the server had a fault.
#[track_caller]
fn assert_told(status: &Status) {
    assert!(
        !matches!(
            status.code(),
            Code::Unknown | Code::Internal | Code::Unavailable | Code::DataLoss
        ),
        "{status:?}"
    );
    assert!(!status.message().is_empty(), "{status:?}");
    assert!(
        status.message().len() < 8 << 10,
        "{} bytes of error",
        status.message().len()
    );
}

/// Says how to repeat a run that failed.
struct Run {
    seed: u64,
    last: Option<Sample>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut last = format!("{:?}", self.last);
            last.truncate(last.floor_char_boundary(4_000));
            eprintln!(
                "WATERSHED_TEST_SEED={} repeats this run; the last message was {last}",
                self.seed
            );
        }
    }
}

fn seed() -> u64 {
    match std::env::var("WATERSHED_TEST_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
    }
}

#[test]
fn wrong_messages() {
    let mut run = Run {
        seed: seed(),
        last: None,
    };
    let mut random = StdRng::seed_from_u64(run.seed);
    let cluster = cluster();
    for _ in 0..steps(ROUNDS) {
        let owner = Owner::new(&cluster, "alice");
        let mut other = Wire::open(cluster.flight(), "mallory");
        limit(&other);
        let samples = samples(&other);
        let mut pool: Vec<_> = samples.iter().map(Sample::bytes).collect();
        pool.extend([
            ticket(&owner.info),
            execution(&owner.handle),
            owner.info.encode_to_vec(),
        ]);
        let token = other.token();
        for _ in 0..MESSAGES {
            let sample = made_wrong(&mut random, &samples, &pool);
            run.last = Some(sample.clone());
            if random.random_range(0..20) == 0 {
                other.set_token(wrong_token(&mut random, &token));
            }
            let (answered, rows) = send(&other, sample);
            if let Err(status) = &answered {
                assert_told(status);
            }
            assert!(!texts(&rows).contains(&owner.secret), "another's data was given");
            other.set_token(token.clone());
            if matches!(run.last, Some(Sample::Act("CloseSession", _))) {
                limit(&other);
            }
        }
        owner.assert_owns();
        other.assert_answers();
        assert_unharmed(&cluster);
    }
}

/// Some wrong statements ask for a great deal, and may.
fn limit(wire: &Wire) {
    wire.put(frames(&update("SET statement_timeout = '2s'"), None))
        .unwrap();
}

/// Sends a message, and gives the rows that came of it.
fn send(wire: &Wire, sample: Sample) -> (Result<(), Status>, Vec<RecordBatch>) {
    let mut rows = Vec::new();
    let answered = match sample {
        Sample::Info(bytes) => wire.info(&bytes).map(|info| {
            for endpoint in info.endpoint.iter().take(2) {
                let ticket = endpoint.ticket.clone().unwrap_or_default();
                match wire.get(&ticket.ticket) {
                    Ok(got) => rows.extend(got.batches),
                    Err(status) => assert_told(&status),
                }
            }
        }),
        Sample::Schema(bytes) => wire.schema(&bytes).map(drop),
        Sample::Poll(bytes) => wire.poll(&bytes).map(drop),
        Sample::Get(bytes) => wire.get(&bytes).map(|got| rows = got.batches),
        Sample::Act(kind, bytes) => wire.act(kind, &bytes).map(drop),
        Sample::Put(frames) => wire.put(frames).map(drop),
    };
    (answered, rows)
}

fn made_wrong(random: &mut StdRng, samples: &[Sample], pool: &[Vec<u8>]) -> Sample {
    let sample = samples.choose(random).expect("there are samples").clone();
    match random.random_range(0..10) {
        // Texts: statements and patterns.
        0 | 1 => {
            let text = STATEMENTS.choose(random).unwrap_or(&"");
            let text = mutate::wrong_text(random, text, &STATEMENTS);
            return match random.random_range(0..3) {
                0 => Sample::Get(tables(&text)),
                1 => Sample::Schema(query(&text)),
                _ => Sample::Info(query(&text)),
            };
        }
        // A right message in a wrong place.
        2 => {
            let bytes = pool.choose(random).cloned().unwrap_or_default();
            return placed(random, bytes);
        }
        _ => {}
    }
    match sample {
        Sample::Info(bytes) => Sample::Info(mutate::wrong(random, &bytes, pool)),
        Sample::Schema(bytes) => Sample::Schema(mutate::wrong(random, &bytes, pool)),
        Sample::Poll(bytes) => Sample::Poll(mutate::wrong(random, &bytes, pool)),
        Sample::Get(bytes) => Sample::Get(mutate::wrong(random, &bytes, pool)),
        Sample::Act(kind, bytes) => Sample::Act(kind, mutate::wrong(random, &bytes, pool)),
        Sample::Put(mut frames) => {
            let at = random.random_range(0..frames.len());
            match random.random_range(0..8) {
                0 => drop(frames.remove(at)),
                1 => frames.push(frames[at].clone()),
                2 => frames.reverse(),
                _ => {
                    let frame = &mut frames[at];
                    let part = match (random.random_range(0..6), frame.flight_descriptor.as_mut()) {
                        (0, Some(descriptor)) => &mut descriptor.cmd,
                        (0 | 1, _) => &mut frame.app_metadata,
                        (2 | 3, _) => &mut frame.data_body,
                        _ => &mut frame.data_header,
                    };
                    *part = mutate::wrong(random, part, pool).into();
                }
            }
            Sample::Put(frames)
        }
    }
}

fn placed(random: &mut StdRng, bytes: Vec<u8>) -> Sample {
    match random.random_range(0..7) {
        0 => Sample::Info(bytes),
        1 => Sample::Schema(bytes),
        2 => Sample::Poll(bytes),
        3 => Sample::Get(bytes),
        4 => Sample::Act("CancelFlightInfo", bytes),
        5 => Sample::Act("ClosePreparedStatement", bytes),
        _ => Sample::Put(frames(&bytes, Some(&values()))),
    }
}

/// A token that the server did not give. It is nobody's.
fn wrong_token(
    random: &mut StdRng,
    token: &tonic::metadata::MetadataValue<tonic::metadata::Ascii>,
) -> tonic::metadata::MetadataValue<tonic::metadata::Ascii> {
    let mut wrong = token.to_str().unwrap_or_default().as_bytes().to_vec();
    let at = random.random_range(0..wrong.len());
    wrong[at] = random.random_range(b' '..=b'~');
    wrong.truncate(random.random_range(at..=wrong.len()).max(1));
    String::from_utf8_lossy(&wrong)
        .parse()
        .unwrap_or_else(|_| token.clone())
}

/// What is another's is refused by every call that takes it, and stays what it was.
#[test]
fn tickets_and_handles_are_their_makers() {
    let cluster = cluster();
    let owner = Owner::new(&cluster, "alice");
    let polled = owner
        .wire
        .poll(&query("SELECT count(*) FROM t a, t b, t c"))
        .unwrap();
    let stranger = Wire::open(cluster.flight(), "mallory");
    let nobody = {
        let mut nobody = Wire::open(cluster.flight(), "");
        nobody.set_token("Bearer None".parse().unwrap());
        nobody
    };
    for other in [&stranger, &nobody] {
        let denied = |answer: Result<(), Status>, code: Code| {
            let status = answer.expect_err("it is another's");
            assert_eq!(status.code(), code, "{status}");
        };
        let foreign = ticket(&owner.info);
        denied(other.get(&foreign).map(drop), Code::PermissionDenied);
        denied(other.poll(&foreign).map(drop), Code::PermissionDenied);
        if let Some(next) = &polled.flight_descriptor {
            denied(other.poll(&next.cmd).map(drop), Code::PermissionDenied);
        }
        let cancel = arrow_flight::CancelFlightInfoRequest::new(owner.info.clone()).encode_to_vec();
        denied(
            other.act("CancelFlightInfo", &cancel).map(drop),
            Code::PermissionDenied,
        );
        let renew = arrow_flight::RenewFlightEndpointRequest::new(owner.info.endpoint[0].clone());
        denied(
            other.act("RenewFlightEndpoint", &renew.encode_to_vec()).map(drop),
            Code::PermissionDenied,
        );

        // A handle that is another's is as one that there is not.
        let (execution, updating) = (execution(&owner.handle), updating(&owner.handle));
        denied(other.info(&execution).map(drop), Code::NotFound);
        denied(other.schema(&execution).map(drop), Code::NotFound);
        denied(other.poll(&execution).map(drop), Code::NotFound);
        denied(
            other.put(frames(&execution, Some(&values()))).map(drop),
            Code::NotFound,
        );
        denied(other.put(frames(&updating, None)).map(drop), Code::NotFound);
        other
            .act("ClosePreparedStatement", &closing(&owner.handle))
            .expect("closing nothing is no error");

        // Forged: each byte of a ticket counts.
        for at in (0..foreign.len()).step_by(7) {
            let mut forged = foreign.clone();
            forged[at] ^= 0x20;
            assert!(other.get(&forged).is_err(), "byte {at}");
            assert!(owner.wire.get(&forged).is_err(), "byte {at}");
        }
        denied(other.get(&Ticket::new("").ticket).map(drop), Code::Unimplemented);
        owner.assert_owns();
    }
    assert_unharmed(&cluster);
}
