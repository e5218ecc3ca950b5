//! What is asked: few different questions, so that each comes again.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::tables::{EVENTS, MARK_SECONDS, PLACES, VIEW, seconds};

#[derive(Debug, Clone)]
pub struct Question {
    pub sql: String,
    /// Its answer depends on when it is asked.
    pub reads_clock: bool,
}

impl Question {
    pub fn of_view() -> Self {
        Self {
            sql: format!("SELECT * FROM {VIEW}"),
            reads_clock: false,
        }
    }
}

/// One of the questions, about one of the tables.
pub fn draw(random: &mut StdRng) -> Question {
    let t = EVENTS.choose(random).unwrap();
    let few = random.random_range(1..4);
    let minutes = [10, 40, 90, 150].choose(random).unwrap();
    let unit = ["minute", "hour", "day"].choose(random).unwrap();
    // Instants of the last hours, the same for an hour.
    let hour = seconds() / 3_600 * 3_600;
    let (from, to) = (hour - 3_600 * few, hour - 900 * few);
    let between =
        format!("happened_at >= to_timestamp_seconds({from}) AND happened_at < to_timestamp_seconds({to})");
    // The same for half a minute: events are as near to it as can be, some before and some after.
    let mark = seconds() / MARK_SECONDS * MARK_SECONDS - MARK_SECONDS * few;
    let window = format!("happened_at > now() - INTERVAL '{minutes}' MINUTE");
    // Sums of floats stand last: the order of rows does not hang on them.
    let exact = [
        format!("SELECT count(*) FROM {t}"),
        format!("SELECT count(*), sum(bytes), min(ms), max(ms), avg(bytes) FROM {t}"),
        format!("SELECT edge, count(*), sum(bytes), count(edge), avg(ms), sum(score) FROM {t} GROUP BY edge"),
        format!(
            "SELECT edge, count(*) AS n FROM {t} WHERE ms < {few}00 GROUP BY edge ORDER BY n DESC, edge LIMIT 3"
        ),
        format!(
            "SELECT date_trunc('{unit}', happened_at) AS bucket, edge, count(*), sum(bytes) FROM {t} GROUP BY 1, 2"
        ),
        format!(
            "SELECT date_bin(INTERVAL '5' MINUTE, happened_at) AS bucket, max(bytes) FROM {t} WHERE {between} GROUP BY 1"
        ),
        format!("SELECT count(*), sum(bytes) FROM {t} WHERE {between}"),
        format!(
            "SELECT count(*), max(happened_at) FROM {t} WHERE happened_at <= to_timestamp_seconds({mark})"
        ),
        format!(
            "SELECT count(*), min(happened_at) FROM {t} WHERE happened_at > to_timestamp_seconds({mark})"
        ),
        format!("SELECT min(happened_at), max(happened_at) FROM {t} WHERE bytes > {few}000"),
        format!("SELECT min(bytes), max(bytes) FROM {t}"),
        format!(
            "SELECT count(DISTINCT edge), count(DISTINCT id % 50), count(DISTINCT CAST(happened_at AS DATE)) FROM {t}"
        ),
        format!("SELECT edge, approx_distinct(id) FROM {t} GROUP BY edge"),
        format!("SELECT CAST(happened_at AS DATE) AS day, count(*), sum(ms) FROM {t} GROUP BY 1"),
        format!(
            "SELECT * FROM {t} WHERE id = {few} ORDER BY id, happened_at, bytes, ms, score, edge LIMIT 20"
        ),
        format!("SELECT count(*), sum(bytes) FROM {t} WHERE id = {few}"),
        format!(
            "SELECT p.country, count(*), sum(f.bytes) FROM {t} f JOIN {PLACES} p ON f.edge = p.edge GROUP BY p.country"
        ),
        format!(
            "SELECT p.country, sum(f.bytes), max(f.ms), count(DISTINCT f.id % 20) FROM {t} f JOIN {PLACES} p USING (edge) WHERE f.ms > {few}0 AND p.country <> 'JP' GROUP BY p.country"
        ),
        format!(
            "SELECT p.country, q.edge, count(*) FROM {t} f JOIN {PLACES} p ON f.edge = p.edge JOIN {PLACES} q ON p.country = q.country GROUP BY 1, 2"
        ),
        format!("SELECT max(f.bytes), min(p.country) FROM {t} f JOIN {PLACES} p ON f.edge = p.edge"),
        format!(
            "SELECT edge, count(*) FROM {t} f WHERE NOT EXISTS (SELECT 1 FROM {PLACES} p WHERE p.edge = f.edge AND p.country = 'DE') GROUP BY edge"
        ),
        format!(
            "SELECT f.edge, count(p.country), count(*) FROM {t} f LEFT JOIN {PLACES} p ON f.edge = p.edge AND p.country <> 'DE' GROUP BY f.edge"
        ),
        format!(
            "SELECT count(*) FROM {t} WHERE edge IN (SELECT edge FROM {PLACES} WHERE country IN ('NL', 'US'))"
        ),
        format!(
            "SELECT count(*) FROM {t} WHERE edge NOT IN (SELECT edge FROM {PLACES} WHERE country = 'DE')"
        ),
        format!(
            "SELECT edge, count(*) FROM {t} WHERE bytes > (SELECT avg(bytes) FROM {t}) GROUP BY edge HAVING count(*) > {few}"
        ),
        format!(
            "SELECT edge, n, rank() OVER (ORDER BY n DESC) FROM (SELECT edge, count(*) AS n FROM {t} GROUP BY edge)"
        ),
        format!("SELECT id, sum(bytes) FROM {t} GROUP BY id ORDER BY 2 DESC, 1 LIMIT 10"),
        format!(
            "SELECT edge, sum(CASE WHEN ms > 500 THEN 1 ELSE 0 END), count(*) FILTER (WHERE ms <= 500) FROM {t} GROUP BY edge"
        ),
        format!("SELECT * FROM {VIEW}"),
        format!("SELECT sum(n), sum(bytes) FROM {VIEW} WHERE edge IS NOT NULL"),
        format!("SELECT b.n, p.country FROM {VIEW} b JOIN {PLACES} p ON b.edge = p.edge"),
        format!(
            "SELECT edge, sum(bytes) FROM (SELECT edge, bytes FROM {0} UNION ALL SELECT edge, ms FROM {1}) GROUP BY edge",
            EVENTS[0], EVENTS[1]
        ),
        format!(
            "SELECT count(*) FROM {} a JOIN {} b ON a.id = b.id AND a.bytes = b.bytes",
            EVENTS[0], EVENTS[1]
        ),
        // Rows of both tables meet, those of one of them once they are aggregated.
        format!(
            "SELECT a.edge, count(*), sum(b.n) FROM {} a JOIN {t} c ON a.id = c.id AND a.bytes = c.bytes \
             JOIN (SELECT edge, count(*) AS n FROM {t} WHERE ms > {few} GROUP BY edge) b ON a.edge = b.edge GROUP BY a.edge",
            EVENTS[0]
        ),
        format!("SELECT country FROM {PLACES}"),
    ];
    let clock = [
        format!("SELECT count(*), sum(bytes) FROM {t} WHERE {window}"),
        format!("SELECT edge, count(*), sum(bytes), avg(ms) FROM {t} WHERE {window} GROUP BY edge"),
        format!(
            "SELECT date_trunc('minute', happened_at) AS minute, count(*), max(ms) FROM {t} WHERE {window} GROUP BY 1"
        ),
        format!(
            "SELECT count(*) FROM {t} WHERE happened_at >= date_trunc('hour', now()) - INTERVAL '{few}' HOUR"
        ),
        format!("SELECT edge, count(*) FROM {t} WHERE happened_at < CURRENT_DATE GROUP BY edge"),
        format!("SELECT count(*) FROM {t} WHERE CAST(happened_at AS DATE) = CURRENT_DATE"),
        format!("SELECT date_trunc('minute', now()) AS this, count(*) FROM {t} WHERE {window}"),
    ];
    let reads_clock = random.random_range(0..4) == 0;
    let pool = if reads_clock { &clock[..] } else { &exact[..] };
    let sql = pool.choose(random).unwrap().clone();
    Question { sql, reads_clock }
}

/// The same question, perhaps in another spelling.
pub fn respelled(sql: &str, random: &mut StdRng) -> String {
    match random.random_range(0..6) {
        0 => sql.replacen("SELECT ", "select  /* again */ ", 1),
        1 => sql.replace(" FROM ", "\n  from "),
        2 => format!("-- asked once more\n{sql}"),
        _ => sql.to_owned(),
    }
}
