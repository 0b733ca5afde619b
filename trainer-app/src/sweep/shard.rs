//! One of several machines that share a sweep, and the name of its ledger.

use anyhow::Result;

/// One of several machines that share a sweep: `2/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// Everything on one machine.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Whether the cell of this place in the sweep is this machine's.
    pub fn takes(self, index: usize) -> bool {
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
            format!("a shard is written i/n with i from 1 to n, as in 2/4, and not {text}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_the_cells_out() {
        let shard: Shard = "2/4".parse().unwrap();
        let taken: Vec<usize> = (0..8).filter(|index| shard.takes(*index)).collect();
        assert_eq!(taken, [1, 5]);
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
