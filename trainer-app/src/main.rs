//! The program `trainer`.

use std::process::ExitCode;

use clap::Parser;
use trainer_app::cli::{AdapterCommand, Cli, Command};
use trainer_app::ending::{Ending, exit_code};
use trainer_app::process;
use trainer_app::recipes::{
    ablate, adapter, bank, bench, data, evaluate, inspect, predict, report, sweep, train,
};

#[expect(clippy::print_stderr, reason = "an error is told where talk goes")]
fn main() -> ExitCode {
    process::keep_freed_memory();
    let command = Cli::parse().command;
    if !matches!(command, Command::Serve(_)) {
        process::compute_on_this_thread();
    }
    let result = run(command);
    if let Err(error) = &result {
        eprintln!("error: {error:#}");
    }
    exit_code(&result)
}

fn run(command: Command) -> anyhow::Result<Ending> {
    match command {
        Command::Train(args) => return train::run(&args),
        Command::Sweep(args) => return sweep::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Ablate(args) => ablate::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Bank { command } => bank::run(&command),
        Command::Serve(args) => trainer_app::serve::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Devices(args) => inspect::devices(&args),
        Command::Data { command } => data::run(&command),
        Command::Base(args) => inspect::base(&args),
        Command::Adapter { command } => match command {
            AdapterCommand::Inspect { adapter, json } => inspect::adapter(&adapter, json),
            AdapterCommand::Average(args) => adapter::average(&args),
            AdapterCommand::Import(args) => adapter::import(&args),
            AdapterCommand::Export(args) => adapter::export(&args),
            AdapterCommand::ImportTensorflow(args) => adapter::import_tensorflow(&args),
        },
    }?;
    Ok(Ending::Done)
}
