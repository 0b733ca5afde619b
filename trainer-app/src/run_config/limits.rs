//! The allowed ranges of numbers and names in flags and configuration files.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::ops::Bound;
use std::str::FromStr;

use axum::http::uri::Authority;
use clap::builder::{StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};

/// Checks that the columns of a file are different ones.
///
/// # Errors
/// A column that is named twice.
pub fn distinct_columns(columns: &[&str]) -> Result<(), String> {
    match (0..columns.len()).find(|index| columns[..*index].contains(&columns[*index])) {
        Some(index) => Err(format!(
            "the column `{}` is named twice; expected different columns for the text, the second text and the label or labels",
            columns[index]
        )),
        None => Ok(()),
    }
}

/// A range of whole numbers.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    at_least: usize,
    at_most: usize,
}

/// A range of finite numbers.
#[derive(Debug, Clone, Copy)]
pub struct Real {
    range: (Bound<f64>, Bound<f64>),
    expected: &'static str,
}

/// Passes over the training rows.
pub const EPOCHS: Count = Count::up_to(100_000);
/// Rows of a batch.
pub const BATCH_SIZE: Count = Count::up_to(65_536);
/// Batches of a step.
pub const ACCUMULATE: Count = Count::up_to(65_536);
/// Epochs without a better score until training stops.
pub const PATIENCE: Count = Count::up_to(100_000);
/// Maximum number of rows.
pub const LIMIT: Count = Count::up_to(usize::MAX);
/// Width of bottlenecks, rank of LoRA, length of prefixes: more than twenty times BERT-large's hidden size. The memory for
/// a size is checked when the base is known.
pub const SIZE: Count = Count::up_to(32_768);
/// Length of a prefix: twice the number of BERT's positions.
pub const PREFIX: Count = Count::up_to(1_024);
/// Layers of a bottleneck.
pub const DEPTH: Count = Count::up_to(burn_adapters::MAX_DEPTH);
/// Maximum length in tokens: a pair of texts has three special tokens.
pub const MAX_LENGTH: Count = Count { at_least: 4, at_most: 65_536 };
/// Threads of a benchmark.
pub const THREADS: Count = Count::up_to(4_096);
/// Jobs of a Slurm array.
pub const SHARDS: Count = Count::up_to(10_000);

/// The learning rate.
pub const LEARNING_RATE: Real = Real::above_zero("a number above 0, for example 3e-4");
/// The maximum norm of the gradients.
pub const CLIP: Real = Real::above_zero("a number above 0, for example 1.0");
/// The standard deviation of initial weights.
pub const INIT_STD: Real = Real::above_zero("a number above 0, for example 0.01");
/// Weight decay.
pub const WEIGHT_DECAY: Real = Real {
    range: (Bound::Included(0.0), Bound::Excluded(f64::INFINITY)),
    expected: "a number from 0, for example 0.01",
};
/// The fraction of the steps for warm-up.
pub const WARMUP: Real = Real {
    range: (Bound::Included(0.0), Bound::Included(1.0)),
    expected: "a fraction from 0 to 1",
};
/// The share of smoothed labels.
pub const LABEL_SMOOTHING: Real = Real {
    range: (Bound::Included(0.0), Bound::Excluded(1.0)),
    expected: "a share from 0 to below 1",
};
/// The dropout rate.
pub const DROPOUT: Real = Real {
    range: (Bound::Included(0.0), Bound::Excluded(1.0)),
    expected: "a rate from 0 to below 1",
};

impl Count {
    const fn up_to(at_most: usize) -> Self {
        Self { at_least: 1, at_most }
    }

    /// Checks a number.
    ///
    /// # Errors
    /// The expected range.
    pub fn check(&self, value: usize) -> Result<(), String> {
        if (self.at_least..=self.at_most).contains(&value) { Ok(()) } else { Err(self.expected()) }
    }

    /// Parses a number of this range.
    ///
    /// # Errors
    /// The expected range.
    pub fn parse(&self, text: &str) -> Result<usize, String> {
        let value = text.parse().map_err(|_| self.expected())?;
        self.check(value).map(|()| value)
    }

    fn expected(&self) -> String {
        match self.at_most {
            usize::MAX => format!("expected a whole number from {}", self.at_least),
            at_most => format!("expected a whole number from {} to {at_most}", self.at_least),
        }
    }
}

impl Real {
    const fn above_zero(expected: &'static str) -> Self {
        Self { range: (Bound::Excluded(0.0), Bound::Excluded(f64::INFINITY)), expected }
    }

    /// Checks a number; NaN is in no range.
    ///
    /// # Errors
    /// The expected range.
    pub fn check(&self, value: f64) -> Result<(), String> {
        use std::ops::RangeBounds;
        if self.range.contains(&value) {
            Ok(())
        } else {
            Err(format!("expected {}", self.expected))
        }
    }

    /// Parses a number of this range.
    ///
    /// # Errors
    /// The expected range.
    pub fn parse(&self, text: &str) -> Result<f64, String> {
        let value = f64::from_str(text).map_err(|_| format!("expected {}", self.expected))?;
        self.check(value).map(|()| value)
    }
}

impl TypedValueParser for Count {
    type Value = usize;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<usize, Error> {
        let range = *self;
        let parser = StringValueParser::new().try_map(move |text| range.parse(&text));
        parser.parse_ref(command, argument, value)
    }
}

impl TypedValueParser for Real {
    type Value = f64;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<f64, Error> {
        let range = *self;
        let parser = StringValueParser::new().try_map(move |text| range.parse(&text));
        parser.parse_ref(command, argument, value)
    }
}

/// Checks a name that becomes a directory inside another one: `--name` of a run or a sweep.
///
/// # Errors
/// A name that is not that of a directory there.
pub fn directory_name(name: &str) -> Result<String, String> {
    const LONGEST: usize = 200;
    // Names that begin with a dot are those of locks and of temporary files, which are removed.
    let is_inside = !name.trim().is_empty()
        && !name.starts_with('.')
        && !name.contains(['/', '\\'])
        && !name.contains(char::is_control)
        && name.len() <= LONGEST;
    if is_inside {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "expected the name of a directory, of 1 to {LONGEST} bytes, without /, \\ and control characters, that does not begin with a dot"
        ))
    }
}

/// Parses the token of a server.
///
/// # Errors
/// A token that a header cannot hold, or that protects nothing.
pub fn token(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("expected one or more visible ASCII characters, without spaces".to_owned())
    }
}

/// Parses the name of a host.
///
/// # Errors
/// A URL, a name with a port, or no name.
pub fn host_name(text: &str) -> Result<String, String> {
    let is_host = text.parse::<Authority>().is_ok_and(|authority| authority.host() == text);
    if is_host || text.parse::<IpAddr>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("expected a host name without scheme and port, such as models.example".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_outside_its_range_is_refused_with_the_range() {
        assert_eq!(EPOCHS.parse("3"), Ok(3));
        for text in ["0", "-1", "1.5", "1e3", "", "1152921504606846976"] {
            let error = BATCH_SIZE.parse(text).unwrap_err();
            assert_eq!(error, "expected a whole number from 1 to 65536", "{text}");
        }
        assert_eq!(LIMIT.parse("0"), Err("expected a whole number from 1".to_owned()));
        for text in ["0", "-1", "inf", "nan", "-inf", "1e400", "x"] {
            assert!(LEARNING_RATE.parse(text).is_err(), "{text}");
            assert!(CLIP.parse(text).is_err(), "{text}");
        }
        assert_eq!(WEIGHT_DECAY.parse("0"), Ok(0.0));
        for text in ["inf", "nan", "-0.1"] {
            assert!(WEIGHT_DECAY.parse(text).is_err(), "{text}");
        }
        assert_eq!(WARMUP.parse("1"), Ok(1.0));
        assert!(WARMUP.parse("2").is_err() && DROPOUT.parse("1").is_err());
    }

    #[test]
    fn a_name_stays_inside_its_directory() {
        assert_eq!(directory_name("houlsby-64 second"), Ok("houlsby-64 second".to_owned()));
        for name in [
            "",
            " ",
            ".",
            "..",
            "../../x",
            ".x.part",
            "a/b",
            "a\\b",
            "/x",
            "a\nb",
            "\u{1b}[2J",
            &"x".repeat(201),
        ] {
            assert!(directory_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn tokens_and_hosts_are_those_of_headers() {
        assert_eq!(token("s3cr.et"), Ok("s3cr.et".to_owned()));
        for text in ["", " ", "a b", "\n", "é"] {
            assert!(token(text).is_err(), "{text}");
        }
        for text in ["models.example", "localhost", "192.0.2.1", "::1", "[::1]"] {
            assert_eq!(host_name(text), Ok(text.to_owned()));
        }
        for text in ["", " ", "http://x", "x:80", "x/y", "a@b"] {
            assert!(host_name(text).is_err(), "{text}");
        }
    }
}
