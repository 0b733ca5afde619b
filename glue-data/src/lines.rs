//! The lines of a file that a note names.

use std::fmt;

/// Maximum number of lines that are named; the others are counted.
const NAMED: usize = 10;

/// Some lines of a file: their number, and the first of them.
///
/// Displayed as `lines 3, 5`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    count: usize,
    first: Vec<usize>,
}

impl Lines {
    /// Adds a line, counted from 1.
    pub fn add(&mut self, line: usize) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(line);
        }
    }

    /// How many lines were added.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first lines, and how many more there are: `3, 5 and 2 more`.
    fn numbers(&self) -> String {
        let first: Vec<String> = self.first.iter().map(ToString::to_string).collect();
        let first = first.join(", ");
        match self.count - self.first.len() {
            0 => first,
            rest => format!("{first} and {rest} more"),
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let noun = if self.count == 1 { "line" } else { "lines" };
        write!(formatter, "{noun} {}", self.numbers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_the_first_lines() {
        let lines = |numbers: std::ops::RangeInclusive<usize>| {
            let mut lines = Lines::default();
            numbers.for_each(|line| lines.add(line));
            lines.to_string()
        };
        assert_eq!(lines(4..=4), "line 4");
        assert_eq!(lines(1..=12), "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more");
    }
}
