//! The parts of a statement's way that are ours and run for every row or every statement:
//! `cargo bench --bench parts`. Whole queries are measured by `watershed bench`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use watershed_core::id::NodeId;
use watershed_core::shard::{Ring, shard_of_i64, shard_of_str};
use watershed_sql::dialect;

const ROWS: u64 = 8_192;
const SHARDS: u32 = 64;

fn shards(criterion: &mut Criterion) {
    let texts: Vec<String> = (0..ROWS).map(|number| format!("event-{number:020}")).collect();
    let mut group = criterion.benchmark_group("shards of 8192 rows");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("bigint", |bencher| {
        bencher.iter(|| (0..ROWS as i64).map(|key| shard_of_i64(key, SHARDS)).sum::<u32>());
    });
    group.bench_function("text", |bencher| {
        bencher.iter(|| texts.iter().map(|key| shard_of_str(key, SHARDS)).sum::<u32>());
    });
    group.finish();
}

fn ring(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("owners of 64 shards");
    for nodes in [3, 32] {
        let ring = Ring::new((0..nodes).map(|number| NodeId::new(format!("executor-{number}"))));
        group.bench_with_input(BenchmarkId::from_parameter(nodes), &ring, |bencher, ring| {
            bencher.iter(|| ring.place(black_box(SHARDS)).len());
        });
    }
    group.finish();
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, sql) in [
        (
            "point query",
            "SELECT sum(seconds) FROM plays WHERE user_id = $1 AND dt = DATE '2026-11-22'",
        ),
        (
            "documented DDL",
            include_str!("../sql/src/catalog/documented.sql"),
        ),
    ] {
        group.throughput(Throughput::Bytes(sql.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), sql, |bencher, sql| {
            bencher.iter(|| dialect::parse(black_box(sql)).map(|statements| statements.len()));
        });
    }
    group.finish();
}

criterion_group!(parts, shards, ring, parse);
criterion_main!(parts);
