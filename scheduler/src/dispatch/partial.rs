//! Answers that may lack shards: what a statement accepts, which plans can give such an answer, and
//! what a statement fails with when its deadline passes.

use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use tokio::time::Instant;
use watershed_core::settings::{DEADLINE, MIN_COMPLETENESS, PARTIAL_RESULTS, Settings};
use watershed_core::{Error, SqlState, duration};

use super::choice::{Choice, Path};
use super::context::{Counters, StatementContext};
use super::gather::{ShardGatherExec, gathers};

type Plan = Arc<dyn ExecutionPlan>;

/// What a statement accepts instead of a whole answer, and when.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub allowed: bool,
    pub deadline: Option<Deadline>,
    /// The part of the shards that an answer has at least.
    pub least: f64,
}

/// The moment at which an answer is due.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    pub at: Instant,
    pub after: Duration,
}

impl Terms {
    /// Of a statement that begins now.
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            allowed: settings.choice(PARTIAL_RESULTS) == "allow",
            deadline: settings.duration(DEADLINE).map(|after| Deadline {
                at: Instant::now() + after,
                after,
            }),
            least: settings.fraction(MIN_COMPLETENESS),
        }
    }

    /// Ends when the answer is due.
    pub async fn due(&self) {
        match self.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.at).await,
            None => std::future::pending().await,
        }
    }
}

/// Whether a statement's answer may be partial, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Standing {
    #[default]
    Undecided,
    /// It may not, and why.
    Whole(String),
    /// It may: its gather node ends by itself when the answer is due.
    Partial,
}

/// Decides about a query that is about to run, and tells the node that gathers its rows.
pub(super) fn decide(statement: &StatementContext, choice: &Choice) {
    if !statement.terms.allowed {
        return;
    }
    let standing = match (&choice.plan, choice.path) {
        (Some(plan), Path::Gather) => match obstacle(plan) {
            None => {
                gathers(plan).into_iter().for_each(ShardGatherExec::allow_partial);
                Standing::Partial
            }
            Some(why) => Standing::Whole(why),
        },
        (_, Path::Local) => Standing::Whole(format!("it runs in the scheduler, as {}", choice.why)),
        (_, Path::Staged) => Standing::Whole("it runs in stages".to_owned()),
        (_, Path::Exchange | Path::Gather) => {
            Standing::Whole(format!("rows of several shards meet in it: {}", choice.why))
        }
    };
    statement.stand(standing);
}

/// Why the plan's answer over some shards is not a part of its answer over all.
fn obstacle(plan: &Plan) -> Option<String> {
    match gathers(plan).as_slice() {
        [_] => walk(plan).err(),
        gathers => Some(format!(
            "{} parts of it run over shards, and not one",
            gathers.len()
        )),
    }
}

/// Whether the rows of this node are already values of aggregates over shards; or an obstacle.
fn walk(plan: &Plan) -> Result<bool, String> {
    if plan.is::<ShardGatherExec>() {
        return Ok(false);
    }
    let aggregated = match plan.children().as_slice() {
        [child] => walk(child)?,
        _ => return Err(format!("{} needs all rows", plan.name())),
    };
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return match (aggregated, aggregate.mode()) {
            (true, _) => Err("it aggregates what is aggregated over all shards".to_owned()),
            (false, AggregateMode::Partial) => Ok(false),
            // DISTINCT alone takes nothing from rows that are there.
            (false, _) => Ok(!aggregate.aggr_expr().is_empty()),
        };
    }
    if plan.is::<FilterExec>() && aggregated {
        return Err("HAVING judges values that need all shards".to_owned());
    }
    let passes = plan.is::<FilterExec>()
        || plan.is::<ProjectionExec>()
        || plan.is::<SortExec>()
        || plan.is::<SortPreservingMergeExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<RepartitionExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<GlobalLimitExec>();
    if passes {
        Ok(aggregated)
    } else {
        Err(format!("{} needs all rows", plan.name()))
    }
}

/// Waits until a statement has failed its deadline: for ever, where it has none or its answer is then
/// partial.
pub async fn overdue(statement: &StatementContext) -> Error {
    statement.terms.due().await;
    let (Some(deadline), standing) = (statement.terms.deadline, statement.standing()) else {
        return std::future::pending().await;
    };
    let detail = match standing {
        Standing::Partial => return std::future::pending().await,
        Standing::Whole(why) => format!("its answer cannot be partial: {why}"),
        Standing::Undecided => finished(&statement.counters),
    };
    let error = late(deadline).with_detail(detail);
    if statement.terms.allowed {
        error.with_hint("SET watershed.deadline to more, or to '0'.")
    } else {
        error
            .with_hint("SET watershed.partial_results = 'allow' takes the rows of shards that have finished.")
    }
}

/// The error of a statement that had too few shards when its answer was due.
pub(super) fn too_few(deadline: Deadline, finished: usize, total: usize) -> Error {
    match finished {
        0 => late(deadline)
            .with_detail(format!("none of {total} shards had finished"))
            .with_hint("SET watershed.deadline to more."),
        _ => late(deadline)
            .with_detail(format!(
                "{finished} of {total} shards had finished, less than watershed.min_completeness asks for"
            ))
            .with_hint("SET watershed.deadline to more, or watershed.min_completeness to less."),
    }
}

fn late(deadline: Deadline) -> Error {
    Error::new(
        SqlState::QueryCanceled,
        format!(
            "the statement ran longer than watershed.deadline, {}",
            duration::format(deadline.after)
        ),
    )
}

fn finished(counters: &Counters) -> String {
    match Counters::get(&counters.total_shards) {
        0 => "no part of it ran shard by shard yet".to_owned(),
        total => format!(
            "{} of {total} shards had finished",
            Counters::get(&counters.completed_shards)
        ),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tokio_util::sync::CancellationToken;
    use watershed_core::id::StatementId;

    use super::*;

    /// What a statement fails with at its deadline; none if it may go on.
    async fn at_deadline(allowed: bool, standing: Standing) -> Option<Error> {
        let mut settings = Settings::default();
        settings.set(DEADLINE, "1ms").unwrap();
        settings
            .set(PARTIAL_RESULTS, if allowed { "allow" } else { "forbid" })
            .unwrap();
        let statement = StatementContext::new(
            StatementId::generate(),
            DateTime::UNIX_EPOCH,
            settings,
            CancellationToken::new(),
        );
        Counters::add(&statement.counters.total_shards, 4);
        Counters::add(&statement.counters.completed_shards, 3);
        statement.stand(standing);
        tokio::time::timeout(Duration::from_millis(100), overdue(&statement))
            .await
            .ok()
    }

    #[tokio::test]
    async fn late_statements_fail_unless_their_answer_is_partial() {
        let error = at_deadline(false, Standing::Undecided).await.unwrap();
        assert_eq!(error.code(), SqlState::QueryCanceled);
        assert_eq!(
            error.message(),
            "the statement ran longer than watershed.deadline, 1ms"
        );
        assert_eq!(error.detail(), Some("3 of 4 shards had finished"));
        assert!(error.hint().is_some_and(|hint| hint.contains("partial_results")));
        let error = at_deadline(true, Standing::Whole("it writes".to_owned()))
            .await
            .unwrap();
        assert_eq!(error.detail(), Some("its answer cannot be partial: it writes"));
        assert!(at_deadline(true, Standing::Undecided).await.is_some());
        assert!(at_deadline(true, Standing::Partial).await.is_none());
    }

    #[test]
    fn too_few_shards_are_counted() {
        let deadline = Deadline {
            at: Instant::now(),
            after: Duration::from_millis(300),
        };
        let detail = |finished| too_few(deadline, finished, 4).detail().map(ToOwned::to_owned);
        assert_eq!(detail(0).as_deref(), Some("none of 4 shards had finished"));
        assert_eq!(
            detail(1).as_deref(),
            Some("1 of 4 shards had finished, less than watershed.min_completeness asks for")
        );
    }
}
