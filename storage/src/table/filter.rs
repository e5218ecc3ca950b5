//! Which shards a predicate leaves: those of the keys that it fixes.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Operator};
use watershed_core::id::ShardId;
use watershed_core::shard::{Key, shard_of};

use crate::layout::Sharding;
use crate::shards::key_of;

/// The shards that rows with the predicate true lie in; `None` if it may be any.
pub(super) fn shards_of(
    predicate: &Expr,
    sharding: &Sharding,
    key_type: &DataType,
) -> Option<BTreeSet<ShardId>> {
    let shards_of = |expr: &Expr| shards_of(expr, sharding, key_type);
    let one = |value: &ScalarValue| one(value, sharding, key_type);
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => match (shards_of(left), shards_of(right)) {
                (Some(left), Some(right)) => Some(left.intersection(&right).copied().collect()),
                (left, right) => left.or(right),
            },
            Operator::Or => {
                let mut left = shards_of(left)?;
                left.extend(shards_of(right)?);
                Some(left)
            }
            Operator::Eq | Operator::IsNotDistinctFrom => {
                let value = match (literal(left), literal(right)) {
                    (None, Some(value)) if is_key(left, sharding, key_type) => value,
                    (Some(value), None) if is_key(right, sharding, key_type) => value,
                    _ => return None,
                };
                one(value)
            }
            _ => None,
        },
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) if is_key(expr, sharding, key_type) => {
            let mut shards = BTreeSet::new();
            for value in list {
                shards.extend(one(literal(value)?)?);
            }
            Some(shards)
        }
        Expr::IsNull(expr) if is_key(expr, sharding, key_type) => {
            Some(BTreeSet::from([shard_of(Key::Null, sharding.shards)]))
        }
        Expr::Alias(alias) => shards_of(&alias.expr),
        _ => None,
    }
}

/// Whether `expr` is the shard key, be it under a cast that keeps distinct values distinct.
fn is_key(expr: &Expr, sharding: &Sharding, key_type: &DataType) -> bool {
    match expr {
        Expr::Column(column) => column.name == sharding.key,
        Expr::Cast(Cast { expr, field }) => {
            keeps_values(key_type, field.data_type()) && is_key(expr, sharding, key_type)
        }
        Expr::Alias(alias) => is_key(&alias.expr, sharding, key_type),
        _ => false,
    }
}

fn keeps_values(from: &DataType, to: &DataType) -> bool {
    let text = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        )
    };
    from == to
        || (text(from) && text(to))
        || (from.is_signed_integer()
            && to.is_signed_integer()
            && from.primitive_width() <= to.primitive_width())
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        Expr::Alias(alias) => literal(&alias.expr),
        _ => None,
    }
}

/// The shard of a value that the key is compared with. A value that no key can have is left to the
/// predicate itself.
fn one(value: &ScalarValue, sharding: &Sharding, key_type: &DataType) -> Option<BTreeSet<ShardId>> {
    if value.is_null() {
        return None;
    }
    let key = value.cast_to(key_type).ok()?;
    // What the cast changed would be looked for in another's shard.
    let back = key.cast_to(&value.data_type()).ok()?;
    if key.is_null() || back != *value {
        return None;
    }
    Some(BTreeSet::from([shard_of(key_of(&key)?, sharding.shards)]))
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, col, lit};
    use watershed_core::shard::{shard_of_i64, shard_of_str};

    use super::*;

    const SHARDS: u32 = 16;

    #[track_caller]
    fn check(predicate: Expr, key_type: DataType, expected: Option<&[ShardId]>) {
        let sharding = Sharding {
            key: "k".to_owned(),
            shards: SHARDS,
        };
        let expected = expected.map(|shards| shards.iter().copied().collect());
        assert_eq!(
            shards_of(&predicate, &sharding, &key_type),
            expected,
            "{predicate}"
        );
    }

    fn int(key: i64) -> ShardId {
        shard_of_i64(key, SHARDS)
    }

    #[test]
    fn equality_fixes_the_shard() {
        check(col("k").eq(lit(5_i64)), DataType::Int64, Some(&[int(5)]));
        check(lit(5_i32).eq(col("k")), DataType::Int64, Some(&[int(5)]));
        check(
            cast(col("k"), DataType::Int64).eq(lit(5_i64)),
            DataType::Int32,
            Some(&[int(5)]),
        );
        check(
            col("k").eq(lit("a")),
            DataType::Utf8,
            Some(&[shard_of_str("a", SHARDS)]),
        );
        check(
            col("k").is_null(),
            DataType::Int64,
            Some(&[shard_of(Key::Null, SHARDS)]),
        );
    }

    #[test]
    fn conjunctions_and_alternatives() {
        let (a, b) = (col("k").eq(lit(1_i64)), col("k").eq(lit(2_i64)));
        let other = col("x").gt(lit(0));
        check(a.clone().or(b.clone()), DataType::Int64, Some(&[int(1), int(2)]));
        check(a.clone().and(other.clone()), DataType::Int64, Some(&[int(1)]));
        check(a.clone().or(other.clone()), DataType::Int64, None);
        assert_ne!(int(1), int(2));
        check(a.and(b), DataType::Int64, Some(&[]));
        let list = col("k").in_list(vec![lit(1_i64), lit(2_i64)], false);
        check(list, DataType::Int64, Some(&[int(1), int(2)]));
    }

    #[test]
    fn what_fixes_no_key_leaves_all() {
        check(col("k").gt(lit(5_i64)), DataType::Int64, None);
        check(col("k").not_eq(lit(5_i64)), DataType::Int64, None);
        check(col("k").in_list(vec![lit(1_i64)], true), DataType::Int64, None);
        check(
            col("k").in_list(vec![lit(1_i64), col("x")], false),
            DataType::Int64,
            None,
        );
        check(col("k").eq(lit(ScalarValue::Int64(None))), DataType::Int64, None);
        // A cast that merges values, and a literal that is no key.
        check(cast(col("k"), DataType::Int32).eq(lit(5)), DataType::Int64, None);
        check(col("k").eq(lit(5.5)), DataType::Int64, None);
        check(col("k").eq(lit(1_i64 << 40)), DataType::Int32, None);
    }
}
