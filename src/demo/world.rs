//! The made-up service whose events the demo answers questions about: who watches what, where, when.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::zipf::Zipf;

/// Full days before today that have events.
const DAYS_BEFORE: u64 = 6;
const TITLES: usize = 5_000;

/// An edge of the delivery network, and how fast it is.
pub(super) struct Edge {
    pub(super) name: &'static str,
    pub(super) country: &'static str,
    /// Milliseconds that half of its responses take at most.
    pub(super) median_ms: f64,
}

const fn edge(name: &'static str, country: &'static str, median_ms: f64) -> Edge {
    Edge {
        name,
        country,
        median_ms,
    }
}

pub(super) const EDGES: [Edge; 8] = [
    edge("ams1", "NL", 18.0),
    edge("bom1", "IN", 47.0),
    edge("fra2", "DE", 16.0),
    edge("gru1", "BR", 64.0),
    edge("iad3", "US", 21.0),
    edge("nrt1", "JP", 25.0),
    edge("sjc2", "US", 23.0),
    edge("syd1", "AU", 38.0),
];

/// How busy the hours of a day are.
const HOURS: [f64; 24] = [
    0.5, 0.3, 0.2, 0.2, 0.2, 0.3, 0.5, 0.7, 0.8, 0.8, 0.9, 1.0, 1.2, 1.1, 1.0, 1.1, 1.3, 1.6, 2.1, 2.6, 2.8,
    2.4, 1.7, 0.9,
];

/// People, titles and the time in which they meet.
pub(crate) struct World {
    pub(super) seed: u64,
    /// Midnight, UTC, of the first day.
    pub(super) start: DateTime<Utc>,
    /// Nothing happens after it.
    pub(super) now: DateTime<Utc>,
    users: Vec<i64>,
    user_ranks: Zipf,
    titles: Vec<i64>,
    title_ranks: Zipf,
    edge_ranks: Zipf,
    /// For every hour since the start, the share of all events until its end.
    hours: Vec<f64>,
}

impl World {
    /// `rows` is how many log rows there will be: so many that a user has twenty.
    pub(crate) fn new(seed: u64, rows: u64, now: DateTime<Utc>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = usize::try_from(rows / 20)
            .unwrap_or(usize::MAX)
            .clamp(200, 1_000_000);
        let today = now.date_naive();
        let start = midnight(today.checked_sub_days(Days::new(DAYS_BEFORE)).unwrap_or(today));
        Self {
            seed,
            start,
            now,
            users: shuffled(1_000_000, count, &mut rng),
            user_ranks: Zipf::new(count, 0.9),
            titles: shuffled(70_000, TITLES, &mut rng),
            title_ranks: Zipf::new(TITLES, 1.1),
            edge_ranks: Zipf::weighted([1.6, 1.3, 1.8, 0.9, 2.4, 1.2, 1.5, 0.5]),
            hours: hour_shares(start, now),
        }
    }

    /// A source of chance of its own for each table, so that one does not depend on another.
    pub(super) fn chance(&self, table: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(table))
    }

    pub(super) fn user(&self, rng: &mut StdRng) -> i64 {
        self.users[self.user_ranks.draw(rng)]
    }

    /// The user of a rank, 0 for the busiest.
    pub(super) fn user_of_rank(&self, rank: usize) -> i64 {
        self.users[rank.min(self.users.len() - 1)]
    }

    pub(super) fn users(&self) -> usize {
        self.users.len()
    }

    pub(super) fn title(&self, rng: &mut StdRng) -> i64 {
        self.titles[self.title_ranks.draw(rng)]
    }

    /// Most people are served from one edge, some from elsewhere.
    pub(super) fn edge(&self, user: i64, rng: &mut StdRng) -> usize {
        if rng.random_bool(0.1) {
            return self.edge_ranks.draw(rng);
        }
        self.home(user)
    }

    /// The edge that is near a user.
    pub(super) fn home(&self, user: i64) -> usize {
        self.edge_ranks
            .draw(&mut StdRng::seed_from_u64(user.unsigned_abs() ^ self.seed))
    }

    /// When the event arrives that comes after a share of all events, 0.0 for the first.
    pub(super) fn arrival(&self, share: f64) -> DateTime<Utc> {
        let hour = self
            .hours
            .partition_point(|until| *until <= share)
            .min(self.hours.len() - 1);
        let from = if hour == 0 { 0.0 } else { self.hours[hour - 1] };
        let within = (share - from) / (self.hours[hour] - from).max(f64::MIN_POSITIVE);
        let start = self.start + TimeDelta::hours(i64::try_from(hour).unwrap_or_default());
        let end = (start + TimeDelta::hours(1)).min(self.now);
        let micros = (end - start).num_microseconds().unwrap_or_default() as f64;
        start + TimeDelta::microseconds((within.clamp(0.0, 1.0) * micros) as i64)
    }

    /// The day before today, by the world's clock.
    pub(super) fn yesterday(&self) -> NaiveDate {
        let today = self.now.date_naive();
        today.pred_opt().unwrap_or(today)
    }
}

pub(super) fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

fn shuffled(from: i64, count: usize, rng: &mut StdRng) -> Vec<i64> {
    let mut ids: Vec<i64> = (from..).take(count).collect();
    ids.shuffle(rng);
    ids
}

fn hour_shares(start: DateTime<Utc>, now: DateTime<Utc>) -> Vec<f64> {
    let minutes = (now - start).num_minutes().max(1);
    let mut total = 0.0;
    let mut shares: Vec<f64> = (0..=(minutes - 1) / 60)
        .map(|hour| {
            let weight = HOURS[usize::try_from(hour % 24).unwrap_or_default()];
            let part = (minutes - hour * 60).min(60) as f64 / 60.0;
            total += weight * part;
            total
        })
        .collect();
    for share in &mut shares {
        *share /= total;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World::new(7, 10_000, "2026-03-10T09:30:00Z".parse().unwrap())
    }

    #[test]
    fn events_arrive_in_order_from_the_first_day_until_now() {
        let world = world();
        assert_eq!(
            world.start,
            "2026-03-04T00:00:00Z".parse::<DateTime<Utc>>().unwrap()
        );
        assert_eq!(world.arrival(0.0), world.start);
        let times: Vec<_> = (0..=1_000)
            .map(|n| world.arrival(f64::from(n) / 1_000.0))
            .collect();
        assert!(times.is_sorted());
        assert!(times.iter().all(|time| *time <= world.now));
        assert!(world.now - times[1_000] < TimeDelta::minutes(1));
    }

    #[test]
    fn evenings_are_busy() {
        let world = world();
        let on_the_first_day = |hour: i64| {
            let start = world.start + TimeDelta::hours(hour);
            (0..10_000)
                .map(|n| world.arrival(f64::from(n) / 10_000.0))
                .filter(|time| (start..start + TimeDelta::hours(1)).contains(time))
                .count()
        };
        assert!(on_the_first_day(20) > 5 * on_the_first_day(3));
    }

    #[test]
    fn one_seed_makes_one_world() {
        let draw = || {
            let world = world();
            let mut rng = world.chance(1);
            (0..100).map(|_| world.user(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
    }
}
