//! What tells one fragment from another, whatever files it reads.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::displayable;

pub(super) type FragmentDigest = String;

pub(super) fn digest(plan: &Arc<dyn ExecutionPlan>, leaf: &Arc<dyn ExecutionPlan>) -> Option<FragmentDigest> {
    let text = displayable(plan.as_ref()).indent(false).to_string();
    let files = displayable(leaf.as_ref()).one_line().to_string();
    let groups = files
        .find("file_groups={")
        .map(|at| at..files.find("]}").unwrap_or(at) + 2)?;
    Some(text.replace(&files[groups], ""))
}
