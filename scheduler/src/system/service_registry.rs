//! `service_registry`: the scheduler, every executor of the cluster, and services that others
//! registered; how lately each was heard.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::scalar::ScalarValue;
use parking_lot::Mutex;
use url::Url;
use watershed_core::{Error, Result, SqlState};
use watershed_sql::catalog::LiveDef;

use super::rows::{Row, instant, integer, table, text};
use crate::cluster::Phase;
use crate::engine::Parts;

/// Services of the cluster itself; nobody else speaks for them.
const SCHEDULER: &str = "watershed-scheduler";
const EXECUTOR: &str = "watershed-executor";
/// More services than this are refused.
const MAX_SERVICES: usize = 10_000;

/// What others said about a service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    host: Option<String>,
    port: Option<i32>,
    health_status: Option<String>,
    last_heartbeat: DateTime<Utc>,
}

/// The services that others registered, by name and instance. They are heard of again after a restart,
/// or they are gone.
#[derive(Debug, Default)]
pub struct ServiceRegistry {
    services: Mutex<BTreeMap<(String, String), Service>>,
}

impl ServiceRegistry {
    /// Takes rows of the table: each registers a service, or says that it still lives. All or none.
    fn register(&self, batches: &[RecordBatch], now: DateTime<Utc>) -> Result<u64> {
        let mut heard = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                heard.push(read(batch, row, now)?);
            }
        }
        let mut services = self.services.lock();
        let new = heard
            .iter()
            .filter(|(key, _)| !services.contains_key(key))
            .count();
        if services.len() + new > MAX_SERVICES {
            return Err(Error::new(
                SqlState::InsufficientResources,
                format!("service_registry holds at most {MAX_SERVICES} services"),
            ));
        }
        let count = heard.len() as u64;
        services.extend(heard);
        Ok(count)
    }
}

fn read(batch: &RecordBatch, row: usize, now: DateTime<Utc>) -> Result<((String, String), Service)> {
    let column = |name: &str| {
        let found = batch.column_by_name(name).filter(|column| column.is_valid(row));
        found.map(Arc::clone)
    };
    let string = |name: &str| column(name).map(|column| column.as_string::<i32>().value(row).to_owned());
    let key = |name: &str| {
        string(name).ok_or_else(|| {
            Error::new(
                SqlState::NotNullViolation,
                format!("column \"{name}\" of service_registry is never NULL"),
            )
        })
    };
    let (name, instance) = (key("service_name")?, key("service_instance")?);
    if name == SCHEDULER || name == EXECUTOR {
        return Err(Error::new(
            SqlState::InsufficientPrivilege,
            format!("\"{name}\" speaks for itself: row ({name}, {instance}) is not taken"),
        )
        .with_hint("Register a service under a name of its own."));
    }
    let last_heartbeat = column("last_heartbeat")
        .map(|column| column.as_primitive::<TimestampMicrosecondType>().value(row))
        .and_then(DateTime::from_timestamp_micros)
        .unwrap_or(now);
    let service = Service {
        host: string("host"),
        port: column("port").map(|column| column.as_primitive::<Int32Type>().value(row)),
        health_status: string("health_status"),
        last_heartbeat,
    };
    Ok(((name, instance), service))
}

pub(super) fn provider(parts: &Parts, def: &LiveDef) -> Result<Arc<dyn TableProvider>> {
    let members = parts.membership.current();
    let own = address(&parts.flight_url);
    let mut rows = vec![described(SCHEDULER, &parts.flight_url, own, parts.clock.now())];
    rows.extend(members.executors.values().map(|executor| {
        let (instance, heard) = (executor.node.as_str(), executor.heard_at);
        let mut row = described(EXECUTOR, instance, address(&executor.url), heard);
        if parts.membership.breaker(&executor.node) != Phase::Closed {
            row.insert("health_status", text("degraded"));
        }
        row
    }));
    rows.extend(
        parts
            .services
            .services
            .lock()
            .iter()
            .map(|((name, instance), service)| {
                Row::from([
                    ("service_name", text(name)),
                    ("service_instance", text(instance)),
                    ("host", ScalarValue::Utf8(service.host.clone())),
                    ("port", ScalarValue::Int32(service.port)),
                    ("health_status", ScalarValue::Utf8(service.health_status.clone())),
                    ("last_heartbeat", instant(service.last_heartbeat)),
                ])
            }),
    );
    table(def, rows)
}

/// Registers services.
pub(super) fn insert(parts: &Parts, batches: &[RecordBatch]) -> Result<u64> {
    parts.services.register(batches, parts.clock.now())
}

fn described(name: &str, instance: &str, address: Option<(String, u16)>, heard: DateTime<Utc>) -> Row {
    let mut row = Row::from([
        ("service_name", text(name)),
        ("service_instance", text(instance)),
        ("health_status", text("healthy")),
        ("last_heartbeat", instant(heard)),
    ]);
    if let Some((host, port)) = address {
        row.insert("host", text(host));
        row.insert("port", integer(i64::from(port)));
    }
    row
}

fn address(url: &str) -> Option<(String, u16)> {
    let url = Url::parse(url).ok()?;
    Some((url.host_str()?.to_owned(), url.port()?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray};

    use super::*;

    fn batch(rows: &[(Option<&str>, &str)]) -> RecordBatch {
        let names: ArrayRef = Arc::new(StringArray::from_iter(rows.iter().map(|(name, _)| *name)));
        let instances: ArrayRef = Arc::new(StringArray::from_iter_values(
            rows.iter().map(|(_, instance)| instance),
        ));
        RecordBatch::try_from_iter_with_nullable([
            ("service_name", names, true),
            ("service_instance", instances, true),
        ])
        .unwrap()
    }

    #[test]
    fn services_register_and_say_that_they_live() {
        let registry = ServiceRegistry::default();
        let (first, later) = (
            DateTime::from_timestamp(1, 0).unwrap(),
            DateTime::from_timestamp(9, 0).unwrap(),
        );
        assert_eq!(
            registry
                .register(&[batch(&[(Some("api"), "a"), (Some("api"), "b")])], first)
                .unwrap(),
            2
        );
        assert_eq!(
            registry.register(&[batch(&[(Some("api"), "a")])], later).unwrap(),
            1
        );
        let services = registry.services.lock();
        let heard: Vec<_> = services.values().map(|service| service.last_heartbeat).collect();
        assert_eq!(heard, [later, first]);
    }

    #[test]
    fn a_bad_row_changes_nothing() {
        let registry = ServiceRegistry::default();
        let check = |name: Option<&str>, code: SqlState| {
            let rows = batch(&[(Some("api"), "a"), (name, "x")]);
            assert_eq!(
                registry
                    .register(&[rows], DateTime::UNIX_EPOCH)
                    .unwrap_err()
                    .code(),
                code
            );
            assert!(registry.services.lock().is_empty());
        };
        check(None, SqlState::NotNullViolation);
        check(Some(EXECUTOR), SqlState::InsufficientPrivilege);
    }
}
