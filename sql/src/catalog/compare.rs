//! When two definitions are the same: what `CREATE` of an object that is there already asks.

use watershed_storage::layout::{Column, TableLayout};

use super::object::{LiveDef, ViewDef};
use crate::dialect::parse_query;

/// How a table that is asked for differs from the one that is there; `None` if it does not. Shards,
/// order and generated values are ours to choose where the statement does not say.
pub(super) fn table_difference(there: &TableLayout, asked: &TableLayout) -> Option<String> {
    columns_difference(&there.columns, &asked.columns)
        .or_else(|| keys_difference(&there.primary_key, &asked.primary_key))
        .or_else(|| list_difference("is partitioned by", &there.partition_by, &asked.partition_by))
        .or_else(|| match &asked.sharding {
            Some(sharding) if there.sharding.as_ref() != Some(sharding) => Some(match &there.sharding {
                Some(there) => format!(
                    "it is clustered by \"{}\" into {} buckets",
                    there.key, there.shards
                ),
                None => "it is not clustered".to_owned(),
            }),
            Some(_) | None => None,
        })
        .or_else(|| {
            if asked.sort_by.is_empty() {
                None
            } else {
                list_difference("is sorted by", &there.sort_by, &asked.sort_by)
            }
        })
}

/// The same for a control or live table.
pub(super) fn live_difference(there: &LiveDef, asked: &TableLayout) -> Option<String> {
    columns_difference(&there.columns, &asked.columns)
        .or_else(|| keys_difference(&there.primary_key, &asked.primary_key))
        .or_else(|| list_difference("is partitioned by", &[], &asked.partition_by))
        .or_else(|| asked.sharding.as_ref().map(|_| "it is not clustered".to_owned()))
}

/// Whether two views say the same, however it is written.
pub(super) fn same_view(there: &ViewDef, asked: &ViewDef) -> bool {
    let tidy = |sql: &str| parse_query(sql).map(|query| query.to_string()).ok();
    there.columns == asked.columns && (there.sql == asked.sql || tidy(&there.sql) == tidy(&asked.sql))
}

fn columns_difference(there: &[Column], asked: &[Column]) -> Option<String> {
    for (there, asked) in there.iter().zip(asked) {
        if there.name != asked.name {
            return Some(format!(
                "it has the column \"{}\" where the statement has \"{}\"",
                there.name, asked.name
            ));
        }
        if there.data_type != asked.data_type {
            return Some(format!(
                "its column \"{}\" is {}",
                there.name,
                there.data_type.sql()
            ));
        }
        if there.nullable != asked.nullable {
            let not = if there.nullable { "" } else { "NOT " };
            return Some(format!("its column \"{}\" is {not}NULL", there.name));
        }
        if asked.generated.is_some() && asked.generated != there.generated {
            return Some(format!(
                "its column \"{}\" is generated in another way, or not at all",
                there.name
            ));
        }
    }
    if let Some(missing) = there.get(asked.len()) {
        return Some(format!("it also has the column \"{}\"", missing.name));
    }
    asked
        .get(there.len())
        .map(|extra| format!("it has no column \"{}\"", extra.name))
}

fn keys_difference(there: &[String], asked: &[String]) -> Option<String> {
    if there == asked {
        return None;
    }
    Some(if there.is_empty() {
        "it has no primary key".to_owned()
    } else {
        format!("its primary key is ({})", there.join(", "))
    })
}

fn list_difference(what: &str, there: &[String], asked: &[String]) -> Option<String> {
    if there == asked {
        return None;
    }
    Some(if there.is_empty() {
        format!("it {what} nothing")
    } else {
        format!("it {what} ({})", there.join(", "))
    })
}
