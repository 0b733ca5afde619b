//! The shard of a sweep that one of several machines runs, and its ledger.

use anyhow::Result;

/// A shard of a sweep, such as `2/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 1.
    pub number: usize,
    /// Number of shards.
    pub of: usize,
}

impl Shard {
    /// All cells on one machine.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Whether the cell with this index is in the shard.
    pub fn contains(self, index: usize) -> bool {
        index % self.of == self.number - 1
    }

    /// The file name of its ledger.
    pub fn ledger(self) -> String {
        match self {
            Self::WHOLE => "ledger.jsonl".to_owned(),
            Self { number, of } => format!("ledger-{number}-of-{of}.jsonl"),
        }
    }

    /// The shard whose ledger has this file name, exactly.
    pub fn of_ledger(name: &str) -> Option<Self> {
        if name == Self::WHOLE.ledger() {
            return Some(Self::WHOLE);
        }
        let (number, of) =
            name.strip_prefix("ledger-")?.strip_suffix(".jsonl")?.split_once("-of-")?;
        let shard: Self = format!("{number}/{of}").parse().ok()?;
        (shard.ledger() == name).then_some(shard)
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(number, of)| {
            Some(Self { number: number.parse().ok()?, of: of.parse().ok()? })
        });
        parsed.filter(|shard| (1..=shard.of).contains(&shard.number)).ok_or_else(|| {
            format!("expected a shard i/n with i from 1 to n, such as 2/4, and not {text}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_the_cells_out() {
        let shard: Shard = "2/4".parse().unwrap();
        let cells: Vec<usize> = (0..8).filter(|index| shard.contains(*index)).collect();
        assert_eq!(cells, [1, 5]);
        for wrong in ["0/4", "5/4", "2", "a/b"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_ledgers_name_gives_its_shard() {
        for shard in [Shard::WHOLE, Shard { number: 2, of: 4 }] {
            assert_eq!(Shard::of_ledger(&shard.ledger()), Some(shard));
        }
    }
}
