//! The walk: one random step after the other, all by one hand, so that between a cached answer and a fresh
//! one nothing is written.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::ask::{Answer, Pair, Seen, compare};
use super::foreign::ForeignWriter;
use super::processes::Processes;
use super::questions::{Question, draw, respelled};
use super::tables::{EVENTS, Events, Places, version, view};
use crate::harness::{Session, signal};

const EXECUTORS: usize = 3;
/// Steps that a failure shows.
const TRACE: usize = 40;
/// Questions that are likely to be asked again.
const RECENT: usize = 8;
/// Less would prove nothing.
const HITS_PER_HUNDRED: u64 = 2;

/// Small tables are otherwise read by the scheduler, which keeps no fragments; and where whole answers are kept,
/// fragments are hardly ever asked for.
const SETTINGS: [&[&str]; 8] = [
    &[],
    &[PIPELINED],
    &[PIPELINED, "SET watershed.result_cache = 'off'"],
    &[PIPELINED, "SET watershed.result_cache = 'off'", ELSEWHERE],
    &[PIPELINED, ELSEWHERE],
    // Joins exchange rows.
    &[
        PIPELINED,
        "SET watershed.result_cache = 'off'",
        "SET watershed.broadcast_limit = '0'",
    ],
    &["SET watershed.execution = 'local'"],
    &[
        "SET watershed.execution = 'local'",
        "SET watershed.result_cache = 'off'",
    ],
];
const PIPELINED: &str = "SET watershed.execution = 'pipelined'";
const ELSEWHERE: &str = "SET TIME ZONE 'Asia/Tokyo'";

pub fn run(seed: u64, steps: u64, budget: Option<Duration>) {
    let started = Instant::now();
    let mut walk = Walk::begin(seed);
    let mut done = 0;
    while done < steps && budget.is_none_or(|budget| started.elapsed() < budget) {
        walk.step();
        done += 1;
    }
    walk.end(done);
}

struct Walk {
    seed: u64,
    random: StdRng,
    processes: Processes,
    foreign: ForeignWriter,
    pairs: Vec<Pair>,
    /// Who changes things and looks at what ran.
    observer: Session,
    events: Vec<Events>,
    places: Places,
    recent: VecDeque<Question>,
    seen: Seen,
    trace: VecDeque<String>,
    number: u64,
}

impl Drop for Walk {
    fn drop(&mut self) {
        if thread::panicking() {
            let trace = self.trace.make_contiguous().join("\n");
            eprintln!(
                "WATERSHED_TEST_SEED={} repeats this walk; its last steps:\n{trace}\n{:?}",
                self.seed, self.seen
            );
        }
    }
}

impl Walk {
    fn begin(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let processes = Processes::start(EXECUTORS);
        let mut observer = Session::open(processes.flight());
        let tables = processes.tables();
        let events = EVENTS.map(|name| Events::create(&mut observer, &mut random, name, &tables));
        let places = Places::create(&mut observer, &tables);
        observer.run(&view(&mut random));
        let mut walk = Self {
            seed,
            random,
            pairs: pairs(&processes),
            processes,
            foreign: ForeignWriter::start(),
            observer,
            events: events.into(),
            places,
            recent: VecDeque::new(),
            seen: Seen::default(),
            trace: VecDeque::new(),
            number: 0,
        };
        for table in 0..walk.events.len() {
            walk.append(table);
        }
        walk
    }

    fn end(mut self, steps: u64) {
        for number in self.processes.dead() {
            self.processes.revive(number);
        }
        let hits: u64 = ["local", "distributed"]
            .iter()
            .filter_map(|layer| self.seen.decisions.get(*layer))
            .sum();
        eprintln!("seed {}, {steps} steps: {:?}", self.seed, self.seen);
        let enough = steps * HITS_PER_HUNDRED / 100;
        assert!(
            hits > enough && self.seen.with_fragments > enough,
            "caches hardly ever answered: {:?}",
            self.seen
        );
    }

    fn step(&mut self) {
        self.number += 1;
        let table = self.random.random_range(0..self.events.len());
        match self.random.random_range(0..200) {
            0..124 => self.ask(),
            124..148 => self.append(table),
            148..166 => self.commit_elsewhere(table),
            166..173 => self.change_places(),
            173..177 => self.recreate(table),
            177..179 => self.redefine_view(),
            179..180 => self.widen(table),
            180..181 => self.swap(),
            181..187 => self.evict(),
            187..191 => self.invalidate(),
            191..194 => self.resize(),
            194..196 => self.kill_while_asking(),
            196..198 => self.ask_in_haste(),
            198..199 => self.revive(),
            _ => self.restart_scheduler(),
        }
    }

    fn note(&mut self, what: impl Into<String>) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        let what = what.into();
        self.trace.push_back(format!("{:5} {what}", self.number));
    }

    fn run(&mut self, sql: &str) {
        self.note(sql);
        self.observer.run(sql);
    }

    fn ask(&mut self) {
        let again = self.random.random_range(0..10) < 7;
        let question = match self.recent.make_contiguous().choose(&mut self.random) {
            Some(question) if again => question.clone(),
            _ => {
                let question = draw(&mut self.random);
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(question.clone());
                question
            }
        };
        self.check(&question);
    }

    fn check(&mut self, question: &Question) {
        let session = self.random.random_range(0..self.pairs.len());
        let times = self.random.random_range(1..=3);
        let spellings: Vec<_> = (0..times)
            .map(|_| respelled(&question.sql, &mut self.random))
            .collect();
        self.note(format!(
            "ask ×{times} in {:?}: {}",
            SETTINGS[session], question.sql
        ));
        let compared = compare(
            &mut self.pairs[session],
            &mut self.observer,
            question,
            &spellings,
            |table| {
                let named = self.events.iter().find(|events| table.ends_with(events.name));
                version(named.map_or(self.places.folder(), Events::folder))
            },
            &mut self.seen,
        );
        if let Err(wrong) = compared {
            panic!("step {}: {}\n{wrong}", self.number, question.sql);
        }
    }

    fn append(&mut self, table: usize) {
        let sql = self.events[table].append(&mut self.random);
        self.run(&sql);
    }

    fn commit_elsewhere(&mut self, table: usize) {
        let command = self.events[table].foreign(&mut self.random);
        let folder = self.events[table].folder().to_owned();
        self.note(format!("elsewhere: {} {command}", self.events[table].name));
        self.foreign.commit(&folder, command);
    }

    fn change_places(&mut self) {
        if self.random.random_range(0..3) == 0 {
            let sql = Places::append(&mut self.random);
            return self.run(&sql);
        }
        let command = Places::foreign(&mut self.random);
        self.note(format!("elsewhere: places {command}"));
        self.foreign.commit(self.places.folder(), command);
    }

    /// Between DROP and CREATE no query returns rows; after it, only those of the new table. A view over the dropped
    /// table stays unreadable until it is replaced.
    fn recreate(&mut self, table: usize) {
        let name = self.events[table].name;
        self.run(&format!("DROP TABLE {name}"));
        let asked = self.recent.iter().find(|asked| asked.sql.contains(name)).cloned();
        if let Some(question) = asked {
            self.check(&question);
        }
        self.note(format!("CREATE TABLE {name}"));
        let tables = self.processes.tables();
        self.events[table] = Events::create(&mut self.observer, &mut self.random, name, &tables);
        if self.random.random_bool(0.7) {
            self.append(table);
        }
        self.check(&Question::of_view());
        self.redefine_view();
    }

    fn redefine_view(&mut self) {
        let sql = view(&mut self.random);
        self.run(&sql);
    }

    fn widen(&mut self, table: usize) {
        if let Some(sql) = self.events[table].widen() {
            self.run(&sql);
        }
    }

    /// Each of the two tables gets the other's name.
    fn swap(&mut self) {
        let [first, second] = EVENTS;
        for (from, to) in [(first, "swapped"), (second, first), ("swapped", second)] {
            self.run(&format!("ALTER TABLE {from} RENAME TO {to}"));
        }
        self.events.reverse();
        for (table, name) in self.events.iter_mut().zip(EVENTS) {
            table.name = name;
        }
        self.check(&Question::of_view());
        self.redefine_view();
    }

    fn evict(&mut self) {
        let sql = match (self.random.random_range(0..3), self.some_hash()) {
            (0, Some(hash)) => format!("DELETE FROM distributed_query_cache WHERE query_hash = '{hash}'"),
            (1, _) => "DELETE FROM distributed_query_cache WHERE completed_shards = total_shards".to_owned(),
            _ => "DELETE FROM distributed_query_cache".to_owned(),
        };
        self.run(&sql);
    }

    fn invalidate(&mut self) {
        let key = match (self.random.random_range(0..4), self.some_hash()) {
            (0, Some(hash)) => hash,
            (1, Some(hash)) => format!("{}*", &hash[..8]),
            (2, _) => "public.facts_*".to_owned(),
            _ => (*EVENTS.choose(&mut self.random).unwrap()).to_owned(),
        };
        self.run(&format!(
            "INSERT INTO cache_invalidation_events (cache_key) VALUES ('{key}')"
        ));
    }

    fn some_hash(&mut self) -> Option<String> {
        let rows = self
            .observer
            .rows("SELECT query_hash FROM distributed_query_cache ORDER BY query_hash");
        Some(rows.choose(&mut self.random)?[0].clone())
    }

    /// Layers so small that entries push each other out, and ordinary ones again.
    fn resize(&mut self) {
        let size = [1, 2, 64].choose(&mut self.random).unwrap();
        let ttl = [1, 3_600].choose(&mut self.random).unwrap();
        let layer = ["local", "distributed"].choose(&mut self.random).unwrap();
        self.run(&format!(
            "UPDATE cache_layers SET max_size_mb = {size}, ttl_seconds = {ttl} WHERE cache_type = '{layer}'"
        ));
    }

    fn kill_while_asking(&mut self) {
        let alive = self.processes.alive();
        if alive.len() < 2 {
            return self.revive();
        }
        let victim = *alive.choose(&mut self.random).unwrap();
        let pid = self.processes.pid(victim).expect("it lives");
        let moment = Duration::from_millis(self.random.random_range(0..60));
        self.note(format!(
            "kill executor-{victim} {moment:?} after the next question's start"
        ));
        let killer = thread::spawn(move || {
            thread::sleep(moment);
            signal(pid, "KILL");
        });
        self.ask();
        killer.join().unwrap();
        self.processes.kill(victim);
    }

    /// Asks for what is there at once, while an executor is stopped. Whatever that gives, the whole answer is
    /// whole for whoever asks next.
    fn ask_in_haste(&mut self) {
        let question = draw(&mut self.random);
        let stopped = *self.processes.alive().choose(&mut self.random).unwrap();
        let pid = self.processes.pid(stopped).expect("it lives");
        let deadline = self.random.random_range(1..400);
        self.note(format!(
            "ask for a part within {deadline} ms without executor-{stopped}: {}",
            question.sql
        ));
        let mut hasty = Pair::open(
            self.processes.flight(),
            &[
                PIPELINED,
                "SET watershed.partial_results = 'allow'",
                "SET watershed.hedging = 'off'",
                &format!("SET watershed.deadline = '{deadline}ms'"),
            ],
        );
        signal(pid, "STOP");
        let answer = hasty.cached.query(&question.sql);
        signal(pid, "CONT");
        match answer {
            Ok(table) if table.is_partial() => self.seen.partial += 1,
            Ok(table) if !question.reads_clock => {
                let right = Answer::of(&mut self.pairs[1].fresh, &question.sql);
                let difference = Answer::rows(&table).difference(&right);
                assert_eq!(difference, None, "silently partial: {}", question.sql);
            }
            // What was not there in time may be too little to answer at all.
            Ok(_) | Err(_) => {}
        }
        self.check(&question);
    }

    fn revive(&mut self) {
        if let Some(number) = self.processes.dead().choose(&mut self.random) {
            self.processes.revive(*number);
            self.note(format!("executor-{number} is back"));
        }
    }

    fn restart_scheduler(&mut self) {
        self.note("restart the scheduler");
        self.processes.restart_scheduler();
        self.pairs = pairs(&self.processes);
        self.observer = Session::open(self.processes.flight());
    }
}

fn pairs(processes: &Processes) -> Vec<Pair> {
    SETTINGS
        .iter()
        .map(|settings| Pair::open(processes.flight(), settings))
        .collect()
}
