//! What `--help` shows: every command, within 80 columns.

use clap::{Command, CommandFactory};
use trainer_app::cli::Cli;

const COLUMNS: usize = 80;

/// A command and all below it, with the words that are typed.
fn all(command: &Command, words: &str) -> Vec<(String, Command)> {
    let mut commands = vec![(words.to_owned(), command.clone())];
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        commands.extend(all(below, &format!("{words} {}", below.get_name())));
    }
    commands
}

#[test]
fn help_fits_a_terminal_of_80_columns() {
    let mut wide = Vec::new();
    let mut trainer = Cli::command();
    // The usage of a command names those above it.
    trainer.build();
    for (words, command) in all(&trainer, "trainer") {
        // Examples are not wrapped well, so that they have to fit as they are written.
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let help = command.term_width(COLUMNS).render_long_help().to_string();
        for line in help.lines().chain(examples.lines()) {
            if line.chars().count() > COLUMNS {
                wide.push(format!("{words} --help: {line}"));
            }
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

#[test]
fn every_argument_is_explained() {
    for (words, command) in all(&Cli::command(), "trainer") {
        assert!(command.get_about().is_some(), "{words}");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{words}: {}", argument.get_id());
        }
    }
}

#[test]
fn the_help_of_xtask_names_every_command() {
    let xtask = include_str!("../../xtask/src/main.rs");
    let start = xtask.find("run any of its commands:").unwrap_or_default();
    let list = &xtask[start..start + 300];
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        assert!(list.contains(name), "`cargo xtask --help` does not name {name}: {list}");
    }
}
