//! `watershed bench tpch`: the 22 queries on every path, each answer compared with DataFusion's.

mod data;
mod load;
mod measure;
mod queries;
mod reference;
mod report;

use clap::{Args, ValueEnum};
use watershed_core::Result;

use super::{Common, conditions, temporary};
use crate::processes::Cluster;
use crate::show;
use measure::Series;

#[derive(Debug, Clone, Args)]
pub struct TpchOptions {
    #[command(flatten)]
    common: Common,

    /// How much data: 1 is about a gigabyte of text
    #[arg(long, default_value_t = 1.0, value_parser = scale_factor)]
    scale_factor: f64,

    /// Times each query runs; medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    runs: u64,

    /// Ways to run a query
    #[arg(long, value_delimiter = ',', default_value = "local,pipelined,staged")]
    paths: Vec<Path>,

    /// Tables to ask: the Parquet files as they are, or Watershed's own
    #[arg(long, value_delimiter = ',', default_value = "raw,sharded")]
    tables: Vec<Tables>,

    /// Only these queries
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=22))]
    queries: Vec<u64>,
}

/// A value of `watershed.execution`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Path {
    Auto,
    Local,
    Pipelined,
    Staged,
}

impl Path {
    const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Local => "local",
            Self::Pipelined => "pipelined",
            Self::Staged => "staged",
        }
    }
}

/// Which tables are asked. Each kind is a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tables {
    /// External tables over the generated files
    Raw,
    /// Tables of Watershed's own, sharded, loaded from the files
    Sharded,
}

impl Tables {
    const fn schema(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Sharded => "sharded",
        }
    }
}

fn scale_factor(text: &str) -> std::result::Result<f64, String> {
    text.parse()
        .ok()
        .filter(|factor| (0.001..=10_000.0).contains(factor))
        .ok_or_else(|| "write a number from 0.001 to 10000".to_owned())
}

pub(super) async fn run(options: TpchOptions) -> Result<bool> {
    let common = &options.common;
    conditions::warn_of_debug_build();
    let files = data::prepare(&common.data(), options.scale_factor).await?;
    let queries = queries::chosen(&options.queries);

    let mut series: Vec<Series> = Vec::new();
    let reference = reference::run(&files, &queries, options.runs).await?;
    series.push(reference.series);
    tell(series.last());

    let folder = temporary()?;
    let mut cluster = Cluster::start(common.processes(folder.path())).await?;
    let session = cluster.session().await?;
    session.without_caches().await?;
    load::declare(&session, &files).await?;
    let loaded = match options.tables.contains(&Tables::Sharded) {
        true => Some(load::load(&session).await?),
        false => None,
    };
    let combinations = options
        .tables
        .iter()
        .flat_map(|tables| options.paths.iter().map(|path| (*tables, *path)));
    let mut lost = None;
    for (tables, path) in combinations {
        let measured = measure::run(&session, tables, path, &queries, &reference.answers, options.runs).await;
        series.push(measured);
        tell(series.last());
        // Whatever a query has done to an executor, the next series has all of them.
        if let Err(error) = cluster.wait_for_executors(&session, common.executors).await {
            lost = Some(error);
            break;
        }
    }
    let memory = conditions::memory(&cluster);
    cluster.end().await;
    report::table(&queries, &series);
    conditions::tell_memory(&memory);
    common.write_json(&report::json(&options, &series, loaded, &memory))?;
    match lost {
        None => Ok(report::all_right(&series)),
        Some(error) => Err(error),
    }
}

fn tell(series: Option<&Series>) {
    if let Some(series) = series {
        let failed = series.failures().count();
        let failed = match failed {
            0 => String::new(),
            count => show::alarm(&format!(", {count} failed")),
        };
        show::line(format_args!(
            "{:20} {:>9.0} ms{failed}",
            series.name,
            series.total_ms()
        ));
    }
}
