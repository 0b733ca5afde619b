//! Flags that are fields of the configuration: each section of the configuration file declares its own flags, with
//! their help, so that a setting is declared in one place.

use std::marker::PhantomData;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

use crate::run_config::fields;

/// The flags of a section of the configuration, as they were given.
///
/// `T` derives [`Args`]; its fields need not be options, since only those that were given are applied.
#[derive(Debug, Clone)]
pub struct Overrides<T> {
    matches: ArgMatches,
    section: PhantomData<T>,
}

impl<T: Args> Overrides<T> {
    /// Sets the fields whose flags were given.
    ///
    /// # Errors
    /// None in practice: the values were parsed with the command line.
    pub fn apply(&self, section: &mut T) -> Result<(), Error> {
        section.update_from_arg_matches(&self.matches)
    }

    /// Whether the flag of a field was given.
    pub fn has(&self, field: &str) -> bool {
        self.matches.contains_id(field)
    }

    /// The flags that were given, such as `--batch-size`.
    pub fn flags(&self) -> Vec<String> {
        let given = fields::<T>().into_iter().filter(|field| self.has(field.get_id().as_str()));
        given.filter_map(|field| Some(format!("--{}", field.get_long()?))).collect()
    }
}

impl<T: Args> Args for Overrides<T> {
    fn augment_args(command: Command) -> Command {
        // A negative number is refused by its range, and not taken for a flag.
        command.args(fields::<T>().into_iter().map(|field| {
            let takes_value = field.get_action().takes_values();
            if takes_value { field.allow_negative_numbers(true) } else { field }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Args> FromArgMatches for Overrides<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut matches = matches.clone();
        for field in fields::<T>() {
            let id = field.get_id().as_str();
            // A switch that was not given has the value `false`, which must not replace that of a file.
            if matches.value_source(id) == Some(ValueSource::DefaultValue) {
                let _ = matches.try_clear_id(id);
            }
        }
        Ok(Self { matches, section: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
