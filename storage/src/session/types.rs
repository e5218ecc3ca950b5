//! That types do not change: what a plan announces before it is optimized is what its rows are.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::execution::session_state::SessionState;

use super::TEMPLATE;
use super::tests::context;
use watershed_core::settings::Settings;

/// The types of a query's columns as they are announced, after the optimizer, and as its rows have them.
async fn types_of(sql: &str) -> Result<[Vec<DataType>; 3]> {
    let (_folder, context) = context(&Settings::default());
    let types = |fields: &arrow::datatypes::Fields| {
        let kinds = fields.iter().map(|field| field.data_type().clone());
        kinds.collect::<Vec<_>>()
    };
    let state = context.state();
    let plan = context.sql(sql).await?.into_unoptimized_plan();
    let plan = state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})?;
    let before = types(plan.schema().fields());
    let optimized = types(state.optimize(&plan)?.schema().fields());
    let batches = context.execute_logical_plan(plan).await?.collect().await?;
    let rows = batches.first().map(|batch| types(batch.schema_ref().fields()));
    Ok([before, optimized.clone(), rows.unwrap_or(optimized)])
}

#[track_caller]
fn check(sql: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(types_of(sql)) {
        // What is refused has no type.
        Err(_) => None,
        Ok([before, after, rows]) if before == after && before == rows => {
            let counted = before.contains(&DataType::UInt64);
            counted.then(|| format!("{sql}: {before:?}"))
        }
        Ok(all) => Some(format!("{sql}: {all:?}")),
    }
}

const VALUES: &str = "(VALUES (1, 2.25, CAST(2.5 AS DOUBLE), 'a', DATE '2024-01-01', 1), \
     (3, 4.75, CAST(1.5 AS DOUBLE), 'b', DATE '2024-01-02', 2)) AS t(i, d, f, s, at, n)";

#[test]
fn aggregates_and_windows_give_what_they_announce() {
    let state: &SessionState = &TEMPLATE;
    let mut calls = Vec::new();
    for column in ["i", "d", "f", "s", "at", "d, i", "f, f", "d, 1"] {
        for name in state.aggregate_functions().keys() {
            calls.push(format!("{name}({column})"));
            calls.push(format!("{name}({column}) OVER (ORDER BY i)"));
        }
    }
    for name in state.window_functions().keys() {
        for args in ["", "d", "2", "d, 1", "d, 1, 0"] {
            calls.push(format!("{name}({args}) OVER (ORDER BY i)"));
        }
    }
    let wrong: Vec<_> = calls
        .iter()
        .filter_map(|call| check(&format!("SELECT {call} FROM {VALUES}")))
        .collect();
    assert!(wrong.is_empty(), "{} calls:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn plans_give_what_they_announce() {
    let wrong: Vec<_> = [
        "round(2.675, 2)",
        "round(d, 1)",
        "round(d, 0 + 1)",
        "round(d, CAST(1 AS INT))",
        "round(d, n)",
        "round(d, -1)",
        "round(d, one)",
        "trunc(d, one)",
        "coalesce(round(d, 1), d)",
        "coalesce(round(d, one), d)",
        "CASE WHEN i = 1 THEN ceil(d) ELSE d END",
        "greatest(floor(d), i)",
        "date_part(lower('EPOCH'), at)",
        "date_trunc(concat('mon', 'th'), at)",
        "d * d + i / 2.5",
        "sum(d)",
        "sum(d * 1.5) / count(*)",
        "avg(d)",
        "sum(round(d, 1))",
        "array_position([1, 2], 2) * 2",
    ]
    .iter()
    .filter_map(|expr| {
        let sql = format!("SELECT {expr} FROM (SELECT *, 1 AS one FROM {VALUES}) AS u");
        check(&sql)
    })
    .collect();
    assert!(wrong.is_empty(), "{} plans:\n{}", wrong.len(), wrong.join("\n"));
}
