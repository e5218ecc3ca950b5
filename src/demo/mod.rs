//! `watershed demo`: a cluster of processes on this machine, a week of made-up events, and questions
//! whose answers are checked against what was counted while the events were made.
//!
//! Reading order: `world` (who does what), `events` (the data and what is true of it), `story` (how it
//! is told), `chapters` (what is shown).

mod chapters;
mod events;
mod story;
mod world;
mod zipf;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result, SqlState};

use crate::cli::asked_to_stop;
use crate::processes::{self, Cluster, Session};
use crate::show;
use events::Facts;
pub(crate) use events::{LogFacts, generate_logs};
use story::Story;
pub(crate) use world::World;

pub(crate) const EXECUTORS: usize = 3;
const INTERRUPTED: u8 = 130;

/// Shows what Watershed does, on data that it makes
#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// Rows of cdn_logs; the other tables get their share
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    rows: u64,

    /// Keep the data at the end, and say where it is
    #[arg(long)]
    keep: bool,

    /// The same seed makes the same events, up to the time of day
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// What the chapters work with.
struct Stage {
    story: Story,
    cluster: Cluster,
    session: Session,
    world: World,
    facts: Facts,
    folder: PathBuf,
}

/// Plays the demo. It succeeds if every answer was right.
pub(crate) async fn run(options: DemoOptions) -> Result<ExitCode> {
    let folder = tempfile::Builder::new()
        .prefix("watershed-demo-")
        .tempdir()
        .map_err(|error| {
            Error::new(SqlState::IoError, "cannot create a folder for the demo")
                .with_detail(error.to_string())
        })?;
    let outcome = tokio::select! {
        outcome = play(&options, folder.path()) => outcome,
        () = asked_to_stop() => {
            show::line("\nInterrupted: ending the processes and removing the data.");
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    let all_right = matches!(outcome, Ok(true));
    if options.keep || !all_right {
        let kept = folder.keep();
        show::line(format_args!(
            "\nThe data and the logs of all processes are kept in {}.",
            kept.display()
        ));
        if all_right {
            show::line(format_args!(
                "Serve the data again with:\n  watershed dev --executors 3 --store {}",
                kept.join("store").display()
            ));
        }
    }
    outcome.map(|all_right| {
        if all_right {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    })
}

async fn play(options: &DemoOptions, folder: &Path) -> Result<bool> {
    let clock = SystemClock::shared();
    let mut story = Story::begin(clock.clone(), &title(options));
    let (world, facts, cluster) = chapters::opening(&mut story, options, folder).await?;
    let session = cluster.session().await?;
    let mut stage = Stage {
        story,
        cluster,
        session,
        world,
        facts,
        folder: folder.to_owned(),
    };
    let played = chapters::play(&mut stage).await;
    let Stage { story, cluster, .. } = stage;
    cluster.end().await;
    played?;
    let all_right = story.end();
    if all_right {
        chapters::farewell();
    }
    Ok(all_right)
}

fn title(options: &DemoOptions) -> String {
    format!(
        "Watershed {}: {} CDN requests and what belongs to them, seed {}",
        env!("CARGO_PKG_VERSION"),
        show::grouped(options.rows),
        options.seed
    )
}

fn processes_options(folder: &Path) -> processes::Options {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    processes::Options {
        folder: folder.to_owned(),
        executors: EXECUTORS,
        threads: cores.div_ceil(EXECUTORS),
        memory_limit: "1GiB".to_owned(),
    }
}
