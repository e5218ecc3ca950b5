//! The eight tables as Parquet files, made once per scale factor.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatchReader;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tpchgen::generators as made;
use tpchgen_arrow as arrows;
use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result};

use crate::bench::io_error;
use crate::show;

/// A table, the key it is sharded by, and how many files it has per scale factor.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) shard_key: Option<&'static str>,
    files: f64,
}

const fn table(name: &'static str, shard_key: Option<&'static str>, files: f64) -> Table {
    Table {
        name,
        shard_key,
        files,
    }
}

pub(super) const TABLES: [Table; 8] = [
    table("region", None, 0.0),
    table("nation", None, 0.0),
    table("supplier", None, 0.0),
    table("customer", Some("c_custkey"), 0.5),
    table("part", Some("p_partkey"), 0.5),
    table("partsupp", Some("ps_partkey"), 2.0),
    table("orders", Some("o_orderkey"), 3.0),
    table("lineitem", Some("l_orderkey"), 6.0),
];

impl Table {
    fn files(&self, scale_factor: f64) -> i32 {
        // Small data still lies in several files, so that there is something to share out.
        ((self.files * scale_factor.max(1.0)).ceil() as i32).clamp(1, 256)
    }

    /// The columns, as Arrow has them.
    pub(super) fn schema(&self) -> Result<SchemaRef> {
        reader(self.name, 0.001, 1, 1).map(|reader| reader.schema())
    }
}

/// The folder with a folder per table; made where it is not there yet.
pub(super) async fn prepare(data: &Path, scale_factor: f64) -> Result<PathBuf> {
    let folder = data.join(format!("tpch-sf{scale_factor}"));
    if folder.exists() {
        show::line(format_args!(
            "TPC-H at scale factor {scale_factor} from {}.",
            folder.display()
        ));
        return Ok(folder);
    }
    let clock = SystemClock::shared();
    let draft = data.join(format!("tpch-sf{scale_factor}.{}", std::process::id()));
    let made = draft.clone();
    tokio::task::spawn_blocking(move || write_all(&made, scale_factor))
        .await
        .map_err(|error| Error::internal("making TPC-H failed").with_detail(error.to_string()))??;
    // Whoever is interrupted leaves a draft, which nobody takes for the whole.
    std::fs::rename(&draft, &folder).map_err(|error| io_error("create", &folder, &error))?;
    show::line(format_args!(
        "TPC-H at scale factor {scale_factor} made in {}, kept in {}.",
        show::duration(clock.elapsed()),
        folder.display()
    ));
    Ok(folder)
}

fn write_all(folder: &Path, scale_factor: f64) -> Result<()> {
    let mut jobs = Vec::new();
    for table in &TABLES {
        let path = folder.join(table.name);
        std::fs::create_dir_all(&path).map_err(|error| io_error("create", &path, &error))?;
        let parts = table.files(scale_factor);
        jobs.extend((1..=parts).map(|part| (table.name, part, parts)));
    }
    // The largest first, so that no worker is left alone with it.
    jobs.reverse();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((table, part, parts)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = folder.join(table).join(format!("{part}.parquet"));
            write(reader(table, scale_factor, *part, *parts)?, &path)?;
        }
        Ok(())
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|_| Err(Error::internal("a thread that made TPC-H data panicked")))
        })
    })
}

fn write(reader: Box<dyn RecordBatchReader>, path: &Path) -> Result<()> {
    let failed = |error: &dyn std::error::Error| io_error("write", path, error);
    let file = File::create(path).map_err(|error| failed(&error))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    // Files say what is in them by Parquet's types alone, as other writers' do.
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut writer =
        ArrowWriter::try_new_with_options(file, reader.schema(), options).map_err(|error| failed(&error))?;
    for batch in reader {
        let batch = batch.map_err(|error| failed(&error))?;
        writer.write(&batch).map_err(|error| failed(&error))?;
    }
    writer.close().map_err(|error| failed(&error))?;
    Ok(())
}

fn reader(table: &str, factor: f64, part: i32, parts: i32) -> Result<Box<dyn RecordBatchReader>> {
    Ok(match table {
        "region" => Box::new(arrows::RegionArrow::new(made::RegionGenerator::new(
            factor, part, parts,
        ))),
        "nation" => Box::new(arrows::NationArrow::new(made::NationGenerator::new(
            factor, part, parts,
        ))),
        "supplier" => Box::new(arrows::SupplierArrow::new(made::SupplierGenerator::new(
            factor, part, parts,
        ))),
        "customer" => Box::new(arrows::CustomerArrow::new(made::CustomerGenerator::new(
            factor, part, parts,
        ))),
        "part" => Box::new(arrows::PartArrow::new(made::PartGenerator::new(
            factor, part, parts,
        ))),
        "partsupp" => Box::new(arrows::PartSuppArrow::new(made::PartSuppGenerator::new(
            factor, part, parts,
        ))),
        "orders" => Box::new(arrows::OrderArrow::new(made::OrderGenerator::new(
            factor, part, parts,
        ))),
        "lineitem" => Box::new(arrows::LineItemArrow::new(made::LineItemGenerator::new(
            factor, part, parts,
        ))),
        _ => return Err(Error::internal(format!("TPC-H has no table {table}"))),
    })
}
