//! Which path a query takes, and why.

use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use watershed_core::Result;
use watershed_core::settings::{BROADCAST_LIMIT, LOCAL_LIMIT};
use watershed_storage::error::from_datafusion;
use watershed_storage::{codec, fragment};

use super::gather::{SplitOptions, Surroundings, no_executor, plan_bytes, split};
use super::narrow::{Single, narrowed};
use super::{Dispatch, Job, constants, depth, physical};

/// The ways a query can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// In the scheduler.
    Local,
    /// Streaming over the executors, shard by shard.
    Gather,
    /// Streaming over the executors, with rows exchanged among them.
    Exchange,
    /// In stages over the executors, their results on disk.
    Staged,
}

impl Path {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Gather => "gather",
            Self::Exchange => "exchange",
            Self::Staged => "staged",
        }
    }
}

/// A path and the reason for it.
#[derive(Clone)]
pub struct Choice {
    pub path: Path,
    pub why: String,
    /// Ready to execute; none for the paths that plan anew at every try.
    pub plan: Option<Arc<dyn ExecutionPlan>>,
}

pub(super) async fn choose(dispatch: &Dispatch, state: &SessionState, job: &Job) -> Result<Choice> {
    let noted = job.statement.scans.len();
    let write = job.write.as_ref();
    let optimized = match &job.optimized {
        Some(optimized) => optimized.clone(),
        None => state.optimize(&job.plan).map_err(from_datafusion)?,
    };
    job.statement.has_constants(constants::bytes(&optimized)?);
    let plan = physical::plan_optimized(&optimized, state, write)
        .await
        .map_err(from_datafusion)?;
    let local = |why: String| {
        let plan = narrowed(&plan, Single::Coalesced).and_then(fragment::insert);
        Ok(Choice {
            path: Path::Local,
            why,
            plan: Some(plan.map_err(from_datafusion)?),
        })
    };
    let settings = &job.statement.settings;
    let Some(bytes) = plan_bytes(&plan) else {
        return local("it reads no files".to_owned());
    };
    match settings.execution() {
        "local" => return local("watershed.execution is 'local'".to_owned()),
        "auto" => {
            let limit = settings.number(LOCAL_LIMIT);
            if bytes < limit {
                return local(format!("it scans {bytes} bytes, less than watershed.local_limit"));
            }
            if dispatch.membership.current().epoch == 0 {
                return local("this scheduler has no executors".to_owned());
            }
        }
        _ => {}
    }
    if !depth::travels(&plan) {
        return local("it nests too deep to be sent to executors".to_owned());
    }
    if recurses(&plan) {
        return local("WITH RECURSIVE runs its recursive part again and again in one process".to_owned());
    }
    let portable = match codec::portable(&plan, &state.task_ctx()).map_err(from_datafusion)? {
        Ok(portable) => portable,
        Err(why) => return local(why),
    };
    if dispatch.membership.current().executors.is_empty() {
        return Err(no_executor());
    }
    if settings.execution() == "staged" {
        // As with the exchange: every try plans and reports anew.
        job.statement.scans.truncate(noted);
        return Ok(Choice {
            path: Path::Staged,
            why: "watershed.execution is 'staged'".to_owned(),
            plan: None,
        });
    }
    let surroundings = Surroundings {
        membership: Arc::clone(&dispatch.membership),
        statement: Arc::clone(&job.statement),
        kept: Arc::clone(&dispatch.kept),
    };
    let options = SplitOptions {
        broadcast_limit: settings.number(BROADCAST_LIMIT),
        threads: dispatch.threads,
    };
    Ok(
        match split(&portable, &options, &surroundings).map_err(from_datafusion)? {
            Ok(plan) => Choice {
                path: Path::Gather,
                why: "its parts run shard by shard".to_owned(),
                plan: Some(plan),
            },
            Err(why) => {
                // Its scans are planned again, and reported again, at every try.
                job.statement.scans.truncate(noted);
                Choice {
                    path: Path::Exchange,
                    why,
                    plan: None,
                }
            }
        },
    )
}

/// Whether a part of the plan is executed once per step of a recursion. What sends plans to executors can be
/// executed once.
fn recurses(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<RecursiveQueryExec>() || plan.children().into_iter().any(recurses)
}
