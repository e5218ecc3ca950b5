//! Many clients ask one cold query at once: it runs once. If whoever asked first goes away, it runs once more,
//! and all others have their answer.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result};

use super::files::{Files, question};
use crate::answer::{cells, difference};
use crate::processes::{Cluster, Session, all_ran, literal};
use crate::show;

/// Questions of this part; those of others have other numbers.
const FIRST: u64 = 9_000;
const POLL: Duration = Duration::from_millis(2);
/// So long a query that was asked is waited for until it is listed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(
    cluster: &Cluster,
    session: &Session,
    files: &Files,
    clients: u64,
    wrong: &mut Vec<String>,
) -> Result<Value> {
    let mut sessions = Vec::new();
    for _ in 0..clients {
        sessions.push(cluster.session().await?);
    }
    let clock = SystemClock::shared();
    let answer = session.rows(&question(FIRST)).await?;
    let alone = clock.elapsed();
    judge(files, FIRST, [Ok(answer)], wrong)?;

    let number = FIRST + 1;
    let clock = SystemClock::shared();
    let sql = question(number);
    let answers = join_all(sessions.iter().map(|session| session.rows(&sql))).await;
    let took = clock.elapsed();
    let right = judge(files, number, answers, wrong)?;
    let together = executions(session, number).await?;

    let number = FIRST + 2;
    let leader = cluster.session().await?;
    let sql = question(number);
    let asked = {
        let sql = sql.clone();
        tokio::spawn(async move { leader.rows(&sql).await.map(drop) })
    };
    wait_until_listed(session, &sql).await?;
    let others = join_all(sessions.iter().map(|session| session.rows(&sql)));
    let killing = async {
        tokio::time::sleep(alone / 4).await;
        asked.abort();
    };
    let (answers, ()) = tokio::join!(others, killing);
    let right_without_leader = judge(files, number, answers, wrong)?;
    let without_leader = executions(session, number).await?;

    show::line(format_args!(
        "{clients} clients ask at once: {right} right answers in {} (one alone takes {}), executed {together}×.",
        show::duration(took),
        show::duration(alone),
    ));
    show::line(format_args!(
        "The first goes away: {right_without_leader} right answers, executed {without_leader}×.\n"
    ));
    if together != 1 {
        wrong.push(format!("one question was executed {together} times"));
    }
    if without_leader > 2 {
        wrong.push(format!(
            "a question that one left was executed {without_leader} times"
        ));
    }
    Ok(json!({
        "clients": clients,
        "alone_ms": alone.as_secs_f64() * 1_000.0,
        "together_ms": took.as_secs_f64() * 1_000.0,
        "right": right,
        "executions": together,
        "right_without_leader": right_without_leader,
        "executions_without_leader": without_leader,
    }))
}

/// How many of the answers are right.
fn judge(
    files: &Files,
    number: u64,
    answers: impl IntoIterator<Item = Result<arrow::array::RecordBatch>>,
    wrong: &mut Vec<String>,
) -> Result<usize> {
    let expected = files.answer(number);
    let mut right = 0;
    for answer in answers {
        let difference = match answer {
            Ok(answer) => difference(&expected, &cells(&answer)?),
            Err(error) => Some(error.to_string()),
        };
        right += usize::from(difference.is_none());
        wrong.extend(difference.map(|what| format!("one of many clients: {what}")));
    }
    Ok(right)
}

/// How often a question was begun to be run, and not just waited for.
async fn executions(session: &Session, number: u64) -> Result<usize> {
    let listed = all_ran(session, &format!("statement = {}", literal(&question(number)))).await?;
    Ok(listed.iter().filter(|ran| !ran.is_full_hit()).count())
}

async fn wait_until_listed(session: &Session, sql: &str) -> Result<()> {
    let question = format!(
        "SELECT count(*) FROM system.queries WHERE statement = {} AND state = 'running'",
        literal(sql)
    );
    let listed = async {
        while session.number(&question).await? == 0 {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, listed)
        .await
        .unwrap_or_else(|_| Err(Error::internal(format!("the query is not listed: {sql}"))))
}
