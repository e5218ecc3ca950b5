//! `watershed`: one binary, few roles.

mod answer;
mod bench;
mod cli;
mod demo;
mod processes;
mod show;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
