//! The program `trainer`.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use trainer_app::cli::{AdapterCommand, Cli, Command};
use trainer_app::commands::{
    ablate, adapter, bank, base, bench, completions, data, evaluate, inspect, predict, report,
    score, sweep, train,
};
use trainer_app::exit::{ExitStatus, error_as_json, exit_code, exit_interrupted};
use trainer_app::system::process;
use trainer_app::terminal::output;
use trainer_app::{noteln, outln};

fn main() -> ExitCode {
    process::configure_allocator();
    process::ignore_file_size_signal();
    // Searched in the raw arguments, so that errors of parsing are printed as JSON too.
    let json = std::env::args_os().skip(1).any(|argument| argument == "--json");
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return usage(&error, json),
    };
    if !matches!(command, Command::Serve(_)) {
        process::compute_on_this_thread();
    }
    // These commands handle signals themselves, to save their progress or to answer pending requests.
    if !matches!(command, Command::Train(_) | Command::Sweep(_) | Command::Serve(_)) {
        // Without a handler, the signal ends the program as well.
        let _ = ctrlc::set_handler(move || exit_interrupted(json));
    }
    let result = command.check().and_then(|()| run(command));
    if let Err(error) = &result {
        noteln!("error: {error:#}");
        if json {
            outln!("{}", error_as_json(&format!("{error:#}")));
        }
    }
    let written = output::finish().context("writing to standard output");
    if let Err(error) = &written {
        noteln!("error: {error:#}");
    }
    exit_code(&result.and_then(|ending| written.map(|()| ending)))
}

/// Prints the help, the version, or the error in the arguments.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    // An error of printing cannot be reported.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if json {
        let message = error.to_string();
        outln!("{}", error_as_json(message.trim_start_matches("error: ").trim_end()));
    }
    ExitCode::from(2)
}

fn run(command: Command) -> anyhow::Result<ExitStatus> {
    match command {
        Command::Train(args) => return train::run(&args),
        Command::Sweep(args) => return sweep::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Ablate(args) => ablate::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Bank { command } => bank::run(&command),
        Command::Serve(args) => trainer_app::serve::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Devices(args) => inspect::devices(&args),
        Command::Data { command } => data::run(&command),
        Command::Base(args) => base::run(&args),
        Command::Adapter { command } => match command {
            AdapterCommand::Inspect { adapter, json } => inspect::adapter(&adapter, json),
            AdapterCommand::Average(args) => adapter::average(&args),
            AdapterCommand::Import(args) => adapter::import(&args),
            AdapterCommand::Export(args) => adapter::export(&args),
            AdapterCommand::ImportTensorflow(args) => adapter::import_tensorflow(&args),
        },
        Command::Completions { shell } => completions::completions(shell),
        Command::Man { directory } => completions::man(&directory),
    }?;
    Ok(ExitStatus::Done)
}
