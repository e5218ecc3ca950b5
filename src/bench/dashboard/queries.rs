//! The panels of a dashboard: four windows, four groupings, four filters.

use serde_json::{Value, json};

pub(super) const TABLE: &str = "events";

/// One query, to be refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panel {
    window: Window,
    grouping: Grouping,
    filter: Filter,
}

/// How far back it looks, and from when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    minutes: u32,
    /// From the start of this minute, and not from this instant.
    whole_minutes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grouping {
    Minute,
    Edge,
    EdgeAndMinute,
    Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    None,
    Edge,
    Failed,
    Large,
}

const WINDOWS: [Window; 4] = [
    Window {
        minutes: 60,
        whole_minutes: false,
    },
    Window {
        minutes: 15,
        whole_minutes: false,
    },
    Window {
        minutes: 60,
        whole_minutes: true,
    },
    Window {
        minutes: 30,
        whole_minutes: true,
    },
];
const GROUPINGS: [Grouping; 4] = [
    Grouping::Minute,
    Grouping::Edge,
    Grouping::EdgeAndMinute,
    Grouping::Status,
];
const FILTERS: [Filter; 4] = [Filter::None, Filter::Edge, Filter::Failed, Filter::Large];

/// The first so many panels; fewer than all are still of every kind.
pub(super) fn panels(count: u64) -> Vec<Panel> {
    (0..64)
        .map(|number: usize| Panel {
            window: WINDOWS[number % 4],
            grouping: GROUPINGS[(number / 4 + number) % 4],
            filter: FILTERS[(number / 16 + number / 4) % 4],
        })
        .take(usize::try_from(count).unwrap_or(usize::MAX))
        .collect()
}

impl Panel {
    /// As a viewer asks it. It says when it was asked and which event was the newest in it, so that the answer
    /// can be checked later.
    pub(super) fn sql(&self) -> String {
        self.text(&self.asked("now()"), "")
    }

    /// The same query as it was asked at an instant, over the events that it saw. With `now()` it reads no
    /// clock, and a later version of the table gives the same rows.
    pub(super) fn as_of(&self, asked: &str, newest: &str) -> String {
        self.text(
            &format!("TIMESTAMP '{asked}'"),
            &format!(" AND ts <= TIMESTAMP '{newest}'"),
        )
    }

    fn asked(&self, now: &str) -> String {
        match self.window.whole_minutes {
            true => format!("date_trunc('minute', {now})"),
            false => now.to_owned(),
        }
    }

    fn text(&self, asked: &str, bound: &str) -> String {
        let keys = self.keys();
        let positions: Vec<_> = (1..=keys.len()).map(|number| number.to_string()).collect();
        format!(
            "SELECT {}, count(*) AS requests, sum(bytes) AS bytes, avg(ms) AS average_ms, max(ts) AS newest, \
             {asked} AS asked FROM {TABLE} WHERE ts > {asked} - INTERVAL '{}' MINUTE{bound}{} GROUP BY {}",
            keys.join(", "),
            self.window.minutes,
            match self.condition() {
                "" => String::new(),
                condition => format!(" AND {condition}"),
            },
            positions.join(", ")
        )
    }

    fn keys(&self) -> &'static [&'static str] {
        const MINUTE: &str = "date_trunc('minute', ts) AS minute";
        match self.grouping {
            Grouping::Minute => &[MINUTE],
            Grouping::Edge => &["edge"],
            Grouping::EdgeAndMinute => &["edge", MINUTE],
            Grouping::Status => &["status"],
        }
    }

    const fn condition(&self) -> &'static str {
        match self.filter {
            Filter::None => "",
            Filter::Edge => "edge = 'fra2'",
            Filter::Failed => "status >= 500",
            Filter::Large => "bytes > 500000",
        }
    }

    /// For engines with a dialect of their own.
    pub(super) fn parts(&self) -> Value {
        json!({
            "keys": self.keys().iter().map(|key| key.split(" AS ").last()).collect::<Vec<_>>(),
            "minutes": self.window.minutes,
            "whole_minutes": self.window.whole_minutes,
            "condition": self.condition(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_panels_differ() {
        let panels = panels(64);
        for (number, panel) in panels.iter().enumerate() {
            assert!(!panels[..number].contains(panel), "{number}: {panel:?}");
        }
    }

    #[test]
    fn an_answer_can_be_asked_for_again() {
        let panel = Panel {
            window: WINDOWS[2],
            grouping: Grouping::Edge,
            filter: Filter::Failed,
        };
        assert_eq!(
            panel.sql(),
            "SELECT edge, count(*) AS requests, sum(bytes) AS bytes, avg(ms) AS average_ms, max(ts) AS newest, \
             date_trunc('minute', now()) AS asked FROM events WHERE ts > date_trunc('minute', now()) - INTERVAL \
             '60' MINUTE AND status >= 500 GROUP BY 1"
        );
        assert_eq!(
            panel.as_of("2026-01-01T10:00:00Z", "2026-01-01T09:59:58Z"),
            "SELECT edge, count(*) AS requests, sum(bytes) AS bytes, avg(ms) AS average_ms, max(ts) AS newest, \
             TIMESTAMP '2026-01-01T10:00:00Z' AS asked FROM events WHERE ts > TIMESTAMP '2026-01-01T10:00:00Z' - \
             INTERVAL '60' MINUTE AND ts <= TIMESTAMP '2026-01-01T09:59:58Z' AND status >= 500 GROUP BY 1"
        );
    }
}
