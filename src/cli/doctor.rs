//! `watershed doctor`: whether the catalog in a store can be read, and what to do if not.

use std::process::ExitCode;

use clap::Args;
use watershed_core::store::StoreRoot;
use watershed_core::{Error, Result, SqlState};
use watershed_sql::catalog::{CatalogStore, Findings, History};

use super::report::say;

#[derive(Debug, Clone, Args)]
pub struct DoctorOptions {
    /// Root of all durable state: a folder, file:///folder or s3://bucket/prefix
    #[arg(long, env = "WATERSHED_STORE", default_value = "watershed-data")]
    pub store: String,

    /// Give up the changes of records that are missing or damaged, so that the others can be read. Stop all
    /// schedulers before
    #[arg(long)]
    pub repair: bool,
}

pub(super) async fn run(options: DoctorOptions) -> Result<ExitCode> {
    let root = StoreRoot::open(&options.store)?;
    let history = History::new(&root);
    let Findings {
        newest,
        snapshot,
        damaged,
        problems,
    } = history.inspect().await?;
    if newest == 0 {
        return Err(Error::new(
            SqlState::UndefinedObject,
            format!("there is no catalog in {}", root.url()),
        ));
    }
    say(format_args!(
        "The catalog's newest record is {newest}; a snapshot stands for those up to {snapshot}."
    ));
    if let Some((_, error)) = &damaged {
        say(format_args!("{}", error.message()));
    }
    for (_, error) in &problems {
        say(format_args!("{}", error.message()));
    }
    if problems.is_empty() {
        say("Every record can be read.");
        return Ok(match damaged {
            Some(_) => {
                say("Records stand for the snapshot. Restore it from a backup of the store, or remove it.");
                ExitCode::FAILURE
            }
            None => ExitCode::SUCCESS,
        });
    }
    // What a snapshot stands for was removed: without it, these are not the changes of some records but the catalog.
    let lost = damaged.filter(|(snapshot, _)| problems.iter().any(|(number, _)| number <= snapshot));
    if let Some((snapshot, _)) = lost {
        say(format_args!(
            "Restore catalog/snapshots/{snapshot:020}.json from a backup of the store: the records that it stands for were \
             removed, and --repair would give up all of them."
        ));
        return Ok(ExitCode::FAILURE);
    }
    if !options.repair {
        say(
            "Restore these objects from a backup of the store. Without one, stop all schedulers and run this command with \
             --repair.",
        );
        return Ok(ExitCode::FAILURE);
    }
    for (number, _) in &problems {
        history.give_up(*number).await?;
        say(format_args!(
            "Record {number} is replaced by one without changes. What was there is in catalog/damaged."
        ));
    }
    let catalog = CatalogStore::open(&root).await?.current();
    say(format_args!(
        "The catalog can be read up to record {}.",
        catalog.version
    ));
    Ok(ExitCode::SUCCESS)
}
