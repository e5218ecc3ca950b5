//! The command line: each subcommand is a role.

mod children;
mod descriptors;
mod dev;
mod doctor;
mod executor;
mod options;
mod report;
mod scheduler;
mod tls;
mod work_dir;

use std::process::ExitCode;

pub(crate) use children::Children;
pub(crate) use options::asked_to_stop;

use clap::{Parser, Subcommand};
use watershed_core::{Error, Result, SqlState, telemetry};

/// SQL over events that never stop arriving.
#[derive(Debug, Parser)]
#[command(name = "watershed", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scheduler and executors on this machine, with embedded storage
    Dev(dev::DevOptions),
    /// Run a scheduler: sessions, catalog, planning, Flight SQL
    Scheduler(scheduler::SchedulerOptions),
    /// Run an executor: plan fragments over shards
    Executor(executor::ExecutorOptions),
    /// Show what Watershed does: a cluster, a week of made-up events, and answers that are checked
    Demo(crate::demo::DemoOptions),
    /// Measure: generate, load, run, verify
    Bench(crate::bench::BenchOptions),
    /// Check that the catalog in a store can be read, and repair it
    Doctor(doctor::DoctorOptions),
    /// Ask a server: an interactive shell, or statements from the command line
    Sql(watershed_client::shell::Options),
}

/// Deeply nested plans are walked by recursion; optimized builds need a fraction of this.
const STACK_BYTES: usize = 16 << 20;

/// Runs what the command line asks for.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Dev(options) => serve(options.threads(), dev::run(options)),
        Command::Scheduler(options) => serve(options.common.threads(), scheduler::run(options)),
        Command::Executor(options) => serve(options.common.threads(), executor::run(options)),
        Command::Doctor(options) => conclude(doctor::run(options)),
        Command::Demo(options) => conclude(crate::demo::run(options)),
        Command::Bench(options) => conclude(crate::bench::run(options)),
        Command::Sql(options) => match runtime(2) {
            Ok(runtime) => runtime.block_on(watershed_client::shell::run(options)),
            Err(error) => report::failure(&error),
        },
    }
}

fn serve(threads: usize, role: impl Future<Output = Result<()>>) -> ExitCode {
    run_to_end(threads, async {
        descriptors::take_all();
        role.await.map(|()| ExitCode::SUCCESS)
    })
}

/// Runs what starts servers as processes of their own and asks them.
fn conclude(work: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    run_to_end(2, work)
}

fn run_to_end(threads: usize, work: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    telemetry::init();
    let outcome = runtime(threads).and_then(|runtime| {
        let outcome = runtime.block_on(work);
        // What still runs belongs to clients that have gone.
        runtime.shutdown_background();
        outcome
    });
    outcome.unwrap_or_else(|error| report::failure(&error))
}

fn runtime(threads: usize) -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(2))
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| {
            Error::new(SqlState::InsufficientResources, "threads cannot be started")
                .with_detail(error.to_string())
        })
}
