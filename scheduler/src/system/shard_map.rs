//! `user_shard_map` and `content_shard_map`: key → shard → host.
//!
//! There are more keys than rows could be listed, so a row is computed for every key that the query
//! names by `=` or `IN`; without such a condition the map has no rows.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use watershed_core::shard::shard_of_i64;
use watershed_sql::catalog::LiveDef;
use watershed_storage::error::into_datafusion;

use super::rows::{Row, batch, integer, text};
use crate::cluster::Membership;
use crate::engine::Parts;

/// Keys that one query may name.
const MAX_KEYS: usize = 100_000;
/// Shards of a map that no table obeys.
const DEFAULT_SHARDS: u32 = 16;

pub(super) fn provider(parts: &Parts, def: &Arc<LiveDef>) -> Arc<dyn TableProvider> {
    let catalog = parts.catalog.current();
    let shards = catalog
        .tables()
        .filter(|table| table.layout.shard_map.as_deref() == Some(&def.name))
        .find_map(|table| table.layout.sharding.as_ref())
        .map_or(DEFAULT_SHARDS, |sharding| sharding.shards);
    Arc::new(ShardMap {
        def: Arc::clone(def),
        membership: Arc::clone(&parts.membership),
        shards,
    })
}

#[derive(Debug)]
struct ShardMap {
    def: Arc<LiveDef>,
    membership: Arc<Membership>,
    shards: u32,
}

impl ShardMap {
    fn key_column(&self) -> &str {
        self.def.primary_key.first().map_or("", String::as_str)
    }

    fn row(&self, key: i64) -> Row {
        let shard = shard_of_i64(key, self.shards);
        let members = self.membership.current();
        let mut row = Row::from([("shard_id", integer(i64::from(shard)))]);
        row.insert(
            if self.key_column() == "user_id" {
                "user_id"
            } else {
                "title_id"
            },
            integer(key),
        );
        let owners = members.ring.place(self.shards);
        if let Some(owner) = owners
            .get(shard as usize)
            .and_then(|node| members.executors.get(*node))
        {
            row.insert("shard_host", text(&owner.url));
        }
        row
    }
}

#[async_trait]
impl TableProvider for ShardMap {
    fn schema(&self) -> SchemaRef {
        self.def.arrow_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // Any one condition bounds the keys; the filter above keeps those that meet all.
        let mut keys = filters
            .iter()
            .find_map(|filter| named_keys(filter, self.key_column()))
            .unwrap_or_default();
        keys.sort_unstable();
        keys.dedup();
        let rows = keys.into_iter().map(|key| self.row(key)).collect();
        let batch = batch(&self.def, rows).map_err(into_datafusion)?;
        MemTable::try_new(batch.schema(), vec![vec![batch]])?
            .scan(state, projection, &[], limit)
            .await
    }
}

/// The keys that a condition on `column` leaves; `None` where it leaves too many to name.
fn named_keys(filter: &Expr, column: &str) -> Option<Vec<i64>> {
    let is_key = |expr: &Expr| matches!(strip_cast(expr), Expr::Column(named) if named.name == column);
    match filter {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) if is_key(left) => Some(vec![key(right)?]),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) if is_key(right) => Some(vec![key(left)?]),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Or,
            right,
        }) => {
            let mut keys = named_keys(left, column)?;
            keys.extend(named_keys(right, column)?);
            (keys.len() <= MAX_KEYS).then_some(keys)
        }
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And,
            right,
        }) => named_keys(left, column).or_else(|| named_keys(right, column)),
        Expr::InList(list) if !list.negated && is_key(&list.expr) && list.list.len() <= MAX_KEYS => {
            list.list.iter().map(key).collect()
        }
        _ => None,
    }
}

fn strip_cast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => strip_cast(&cast.expr),
        other => other,
    }
}

fn key(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = strip_cast(expr) else {
        return None;
    };
    match value.cast_to(&datafusion::arrow::datatypes::DataType::Int64) {
        Ok(ScalarValue::Int64(key)) => key,
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn keys_are_named_by_equality_alone() {
        let check = |filter: Expr, expected: Option<&[i64]>| {
            assert_eq!(named_keys(&filter, "user_id").as_deref(), expected, "{filter}");
        };
        check(col("user_id").eq(lit(5_i64)), Some(&[5]));
        check(lit(5_i32).eq(col("user_id")), Some(&[5]));
        check(
            col("user_id").in_list(vec![lit(1_i64), lit(2_i64)], false),
            Some(&[1, 2]),
        );
        check(
            col("user_id").eq(lit(1_i64)).or(col("user_id").eq(lit(2_i64))),
            Some(&[1, 2]),
        );
        check(
            col("user_id").eq(lit(1_i64)).and(col("shard_id").gt(lit(2_i32))),
            Some(&[1]),
        );
        check(
            col("user_id").eq(lit(1_i64)).or(col("shard_id").eq(lit(2_i32))),
            None,
        );
        check(col("user_id").gt(lit(1_i64)), None);
        check(col("user_id").in_list(vec![lit(1_i64)], true), None);
        check(col("shard_id").eq(lit(1_i64)), None);
    }
}
