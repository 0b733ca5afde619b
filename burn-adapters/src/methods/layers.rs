//! A choice of a base's layers, and its text form.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::PlanError;

/// A choice of layers, counted from 0 at the bottom.
///
/// Its text form is `all`, `3..` (from layer 3 up), or a list of layers and half-open ranges: `0,2,5`, `0..4` (layers 0
/// to 3), `..2,7`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layers {
    /// Every layer of the base.
    All,
    /// This one and all above it.
    From(usize),
    /// These layers.
    Only(BTreeSet<usize>),
}

impl Layers {
    /// Whether a layer is included.
    pub fn contains(&self, layer: usize) -> bool {
        match self {
            Self::All => true,
            Self::From(first) => layer >= *first,
            Self::Only(layers) => layers.contains(&layer),
        }
    }

    /// The lowest layer.
    pub fn lowest(&self) -> usize {
        match self {
            Self::All => 0,
            Self::From(first) => *first,
            Self::Only(layers) => layers.first().copied().unwrap_or_default(),
        }
    }

    /// Checks that there is at least one layer, and that a base with this many layers has all.
    pub(crate) fn check(&self, n_layers: usize) -> Result<(), PlanError> {
        let highest = match self {
            Self::All => return Ok(()),
            Self::From(first) => *first,
            Self::Only(layers) => *layers.last().ok_or(PlanError::NoLayers)?,
        };
        if highest < n_layers {
            Ok(())
        } else {
            Err(PlanError::LayerOutOfRange { layer: highest, n_layers })
        }
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::From(first) => write!(f, "{first}.."),
            Self::Only(layers) => {
                let layers: Vec<_> = layers.iter().map(usize::to_string).collect();
                f.write_str(&layers.join(","))
            }
        }
    }
}

impl FromStr for Layers {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let unknown = || PlanError::UnknownLayers { found: text.to_owned() };
        // 16 bits are enough for any base, and keep a mistyped range from filling the memory.
        let layer = |text: &str| text.parse::<u16>().map(usize::from).map_err(|_| unknown());
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(first) = text.strip_suffix("..") {
            return Ok(Self::From(layer(first)?));
        }
        let mut layers = BTreeSet::new();
        for part in text.split(',') {
            match part.split_once("..") {
                None => {
                    layers.insert(layer(part)?);
                }
                Some((first, end)) => {
                    let first = if first.is_empty() { 0 } else { layer(first)? };
                    let range = first..layer(end)?;
                    if range.is_empty() {
                        return Err(unknown());
                    }
                    layers.extend(range);
                }
            }
        }
        Ok(Self::Only(layers))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn only(layers: impl IntoIterator<Item = usize>) -> Layers {
        Layers::Only(layers.into_iter().collect())
    }

    #[test]
    fn ranges_and_lists_are_parsed() {
        for (text, layers) in [
            ("all", Layers::All),
            ("3..", Layers::From(3)),
            ("0..4", only(0..4)),
            ("..2", only([0, 1])),
            ("0,2,5", only([0, 2, 5])),
            ("..2,7", only([0, 1, 7])),
            ("1..3,2..5", only(1..5)),
        ] {
            assert_eq!(text.parse::<Layers>().unwrap(), layers, "{text}");
        }
    }

    #[test]
    fn text_without_layers_is_an_error() {
        for text in ["", "..", "2..2", "5..3", "-1", "1,,2", "0..3,5..", "top", "0..=3", "99999999"]
        {
            assert_eq!(
                text.parse::<Layers>().unwrap_err().to_string(),
                format!(
                    "`{text}` names no layers; expected `all`, a range such as `3..` or `0..4` (without layer 4), or a list such as `0,2,5`"
                ),
            );
        }
    }

    #[test]
    fn layers_that_the_base_does_not_have_are_an_error() {
        for (layers, sentence) in [
            (only([]), "the list of layers with adapters is empty; name layers, or `all`"),
            (
                only([2, 6]),
                "the adapter settings put an adapter into layer 6, but the base has 6 layers (0 to 5)",
            ),
            (
                Layers::From(6),
                "the adapter settings put an adapter into layer 6, but the base has 6 layers (0 to 5)",
            ),
        ] {
            assert_eq!(layers.check(6).unwrap_err().to_string(), sentence);
        }
        for layers in [Layers::All, Layers::From(5), only([0, 5])] {
            layers.check(6).unwrap();
        }
    }

    proptest! {
        #[test]
        fn a_choice_survives_its_text(layers in prop_oneof![
            Just(Layers::All),
            (0..30_usize).prop_map(Layers::From),
            proptest::collection::btree_set(0..30_usize, 1..9).prop_map(Layers::Only),
        ]) {
            prop_assert_eq!(layers.to_string().parse::<Layers>().unwrap(), layers);
        }
    }
}
