//! The documented tables are defined and filled.

use watershed_core::Result;
use watershed_sql::dialect;

use super::opening::incoming;
use crate::answer::{Cell, cells, difference};
use crate::demo::Stage;
use crate::show::{self, duration, grouped};

/// The documented definitions, as they stand in the document.
const DOCUMENTED: &str = include_str!("../../../sql/src/catalog/documented.sql");

/// A table, the columns that its files have, and its rows.
struct Load {
    table: &'static str,
    columns: &'static str,
    rows: u64,
}

pub(super) async fn define(stage: &mut Stage) -> Result<()> {
    let story = &mut stage.story;
    story.chapter("Run the documented definitions, word for word");
    let statements = dialect::parse(DOCUMENTED)?;
    for round in ["ran", "ran again, and changed nothing"] {
        let session = &stage.session;
        let all = async {
            for statement in &statements {
                session.update(&statement.text).await?;
            }
            Ok(())
        };
        let ((), took) = story.timed(all).await?;
        story.tell(format_args!(
            "{} statements {round}: {}.",
            statements.len(),
            duration(took)
        ));
    }
    let found = stage
        .session
        .number(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_name <> \
             'unified_metrics_exact'",
        )
        .await?;
    let missing = (found != statements.len() as i128).then(|| format!("there are {found}"));
    story.check(
        &format!("the {} documented tables and views are there", statements.len()),
        missing,
    );
    Ok(())
}

pub(super) async fn load(stage: &mut Stage) -> Result<()> {
    let facts = &stage.facts;
    let loads = [
        Load {
            table: "cdn_logs",
            columns: "request_id, user_id, title_id, cdn_edge_location, response_time_ms, bytes_transferred, \
                      http_status, request_ts, user_country",
            rows: facts.logs.all.rows,
        },
        Load {
            table: "raw_events",
            columns: "event_id, event_type, event_data, ingestion_ts, source",
            rows: facts.events.rows,
        },
        Load {
            table: "playback_quality_decisions",
            columns: "session_id, title_id, user_id, device_type, connection_speed_mbps, \
                      selected_bitrate_kbps, buffer_health_seconds, decision_ts",
            rows: facts.playback.rows,
        },
        Load {
            table: "realtime_metrics",
            columns: "metric_name, metric_value, window_start, window_end, computed_at",
            rows: facts.metrics.realtime_rows() as u64,
        },
        Load {
            table: "batch_metrics",
            columns: "metric_name, date_partition, metric_value, computed_at",
            rows: facts.metrics.batch_rows() as u64,
        },
    ];
    let story = &mut stage.story;
    story.chapter("Load them: executors read the files and write sharded ones, the scheduler commits once");
    stage.session.update("CREATE SCHEMA incoming").await?;
    let mut told = Vec::new();
    let mut wrong = None;
    for (number, Load { table, columns, rows }) in loads.iter().enumerate() {
        let location = incoming(&stage.folder).join(table);
        let external = format!(
            "CREATE EXTERNAL TABLE incoming.{table} STORED AS PARQUET LOCATION '{}/'",
            location.display()
        );
        let insert = format!("INSERT INTO {table} ({columns})\nSELECT {columns}\nFROM incoming.{table}");
        if number == 0 {
            story.sql(&format!(
                "{external};\nINSERT INTO {table} (…) SELECT … FROM incoming.{table};"
            ));
        }
        stage.session.update(&external).await?;
        let (count, took) = story.timed(stage.session.update(&insert)).await?;
        if count != i64::try_from(*rows).ok() {
            wrong = Some(format!("{table} took {count:?} rows instead of {rows}"));
        }
        told.push(vec![
            (*table).to_owned(),
            grouped(*rows),
            duration(took),
            grouped((*rows as f64 / took.as_secs_f64()) as i64),
        ]);
    }
    show::table(
        &["table", "rows", "time", "rows/s"],
        &told,
        &[false, true, true, true],
        "   ",
    );
    story.check("every row was taken, none twice", wrong);
    check_events(stage).await
}

/// What came late and twice can be seen in the raw events.
async fn check_events(stage: &mut Stage) -> Result<()> {
    let sql = "SELECT event_type,
  count(*) AS delivered,
  count(DISTINCT event_id) AS events,
  sum(CASE WHEN ingestion_ts - CAST(event_data->>'event_time' AS TIMESTAMP) >= INTERVAL '1' HOUR
           THEN 1 ELSE 0 END) AS late
FROM raw_events
GROUP BY event_type
ORDER BY event_type";
    let expected: Vec<Vec<Cell>> = stage
        .facts
        .events
        .types
        .iter()
        .map(|(kind, facts)| {
            let counts = [facts.delivered, facts.events, facts.late];
            [Cell::text(*kind)]
                .into_iter()
                .chain(counts.map(Cell::int))
                .collect()
        })
        .collect();
    let story = &mut stage.story;
    story.tell("");
    story.tell("Events came more than once and late; the JSON they carry says when they happened:");
    story.sql(sql);
    let (batch, took) = story.timed(stage.session.rows(sql)).await?;
    story.rows(&batch)?;
    story.check(
        &format!("as they were made; {}", duration(took)),
        difference(&expected, &cells(&batch)?),
    );
    Ok(())
}
