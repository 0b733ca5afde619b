//! Adapters of query, key and value where a family has them as one matrix, one after the other in its rows.
//!
//! `PEFT` has one adapter on that matrix, a plan one on each of the three. Reading splits the joined adapter, and writing
//! joins the three, so that the function stays the same:
//!
//! - a LoRA's `B`, DoRA's magnitudes and the factors of (IA)³ have rows of each of the three, and are split there;
//! - the `A` of a LoRA is read by all three. Three equal ones are written as one; different ones become the rows of a
//!   wider `A`, whose `B` is zero where a row of `A` is not the projection's own. Such a `B` is split again when it is
//!   read.
//!
//! Between the two, tensors have the names of [`part`].

use std::collections::BTreeSet;

use burn::tensor::TensorData;
use burn_bert::{Bert, Encoder, Projection};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::AdapterError;
use crate::interchange::base_names::BaseNames;
use crate::interchange::directory::Tensors;
use crate::interchange::settings::Settings;
use crate::methods::AdapterPlan;
use crate::methods::lora::{LoraConfig, RankScaling};

/// The projections that are one matrix, in the order of its rows.
pub(super) const PARTS: [Projection; 3] = [Projection::Query, Projection::Key, Projection::Value];

/// Rank and scale of the LoRAs of matrices that are query, key and value together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct JoinedLora {
    pub(super) rank: usize,
    pub(super) alpha: f64,
}

const LORA_A: &str = "lora_A.weight";
const LORA_B: &str = "lora_B.weight";
const MAGNITUDE: &str = "lora_magnitude_vector";
const FACTORS: &str = "ia3_l";

/// The name of a projection's part of a joined matrix.
pub(super) fn part(joined: &str, projection: &str) -> String {
    format!("{joined}.{projection}")
}

/// The joined matrices of the layers whose adapters are among the tensors.
fn matrices(tensors: &Tensors, names: BaseNames, n_layers: usize) -> Vec<(usize, String)> {
    let Some(joined) = names.joined() else { return Vec::new() };
    let all =
        (0..n_layers).map(|layer| (layer, format!("{}.{layer}.{joined}", names.paths.layers)));
    all.filter(|(_, name)| {
        let prefix = format!("{name}.");
        tensors.range(prefix.clone()..).next().is_some_and(|(found, _)| found.starts_with(&prefix))
    })
    .collect()
}

/// Splits the adapters of joined matrices into those of their parts, and sets the plan to what they are.
///
/// `lora` is the rank and the scale that the settings give those matrices; without a `B` of blocks, they must be those of
/// the other projections.
pub(super) fn split(
    mut tensors: Tensors,
    names: BaseNames,
    bert: &Bert,
    plan: &mut AdapterPlan,
    lora: Option<JoinedLora>,
) -> Result<Tensors, JoinedLora> {
    let matrices = matrices(&tensors, names, bert.n_layers());
    let of = |kind: &str| -> Vec<TensorData> {
        let all = matrices.iter().filter_map(|(_, name)| tensors.get(&format!("{name}.{kind}")));
        all.cloned().collect()
    };
    let blocks = Blocks::find(&of(LORA_B));
    let unscaled = unscaled_parts(&of(FACTORS));
    let mut blocks_of_lora = None;
    if let (Some(config), Some(lora)) = (&mut plan.lora, lora) {
        let has_others = config.projections.iter().any(|at| !PARTS.contains(at)) || config.pooler;
        match blocks {
            Some(blocks) if !has_others || lora.rank / blocks.parts.len() == config.rank => {
                config.rank = lora.rank / blocks.parts.len();
                config.alpha = lora.alpha / growth(config, blocks.parts.len());
                // The magnitudes of a part without an update can still differ from the norms of the base.
                if config.dora.is_none() {
                    config
                        .projections
                        .retain(|at| !PARTS.contains(at) || blocks.parts.contains(at));
                }
                blocks_of_lora = Some(blocks);
            }
            _ if has_others && lora.rank != config.rank => return Err(lora),
            _ if has_others && !is_close(lora.alpha, config.alpha) => return Err(lora),
            _ => (config.rank, config.alpha) = (lora.rank, lora.alpha),
        }
    }
    if let Some(config) = &mut plan.ia3 {
        config.outputs.retain(|at| !unscaled.contains(at));
    }
    let mut parts = Tensors::new();
    for (_, name) in &matrices {
        for kind in [LORA_A, LORA_B, MAGNITUDE, FACTORS] {
            let whole = format!("{name}.{kind}");
            let Some(data) = tensors.get(&whole) else { continue };
            let split: Option<Vec<_>> = PARTS
                .iter()
                .map(|at| Some((*at, part_of(kind, data, *at, blocks_of_lora.as_ref())?)))
                .collect();
            // A tensor that cannot be split is reported as one that is left over.
            let Some(split) = split else { continue };
            tensors.remove(&whole);
            let is_lora = [LORA_A, LORA_B, MAGNITUDE].contains(&kind);
            let config = plan.lora.as_ref().map(|config| &config.projections);
            let is_in_plan = |at: &Projection| match config {
                Some(projections) if is_lora => projections.contains(at),
                _ => !unscaled.contains(at),
            };
            let split = split.into_iter().filter(|(at, _)| is_in_plan(at));
            parts.extend(
                split.map(|(at, data)| (format!("{}.{kind}", part(name, at.name())), data)),
            );
        }
    }
    tensors.extend(parts);
    Ok(tensors)
}

/// The factor of a LoRA's α that keeps its scale when its rank grows by `times`.
fn growth(config: &LoraConfig, times: usize) -> f64 {
    match config.scaling {
        RankScaling::Rank => times as f64,
        RankScaling::RankStabilized => (times as f64).sqrt(),
    }
}

fn is_close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * other.abs()
}

/// A part of a tensor of a joined matrix; `None` if it has another shape.
fn part_of(
    kind: &str,
    data: &TensorData,
    at: Projection,
    blocks: Option<&Blocks>,
) -> Option<TensorData> {
    let shape = data.shape().to_vec();
    match (kind, blocks) {
        // Every part reads the whole input.
        (LORA_A, None) => Some(data.clone()),
        (FACTORS, _) if shape.first() == Some(&1) => Some(data.clone()),
        (LORA_A, Some(blocks)) => {
            let rank = shape.first()? / blocks.parts.len();
            Some(match blocks.index(at) {
                Some(index) => rows(data, index * rank..(index + 1) * rank)?,
                None => TensorData::zeros::<f32, _>([rank, *shape.get(1)?]),
            })
        }
        _ => {
            let height = *shape.first().filter(|rows| rows.is_multiple_of(PARTS.len()))?;
            let height = height / PARTS.len();
            let place = PARTS.iter().position(|part| *part == at)?;
            let own = rows(data, place * height..(place + 1) * height)?;
            match blocks.filter(|_| kind == LORA_B) {
                None => Some(own),
                Some(blocks) => {
                    let rank = shape.get(1)? / blocks.parts.len();
                    let first = blocks.index(at).unwrap_or(0) * rank;
                    Some(columns(&own, first..first + rank))
                }
            }
        }
    }
}

/// Some rows of a matrix, or elements of a vector.
fn rows(data: &TensorData, range: std::ops::Range<usize>) -> Option<TensorData> {
    let mut shape = data.shape().to_vec();
    let width: usize = shape.get(1..)?.iter().product();
    let values = data.iter::<f32>().skip(range.start * width).take(range.len() * width);
    let values: Vec<f32> = values.collect();
    shape[0] = range.len();
    Some(TensorData::new(values, shape))
}

/// Some columns of a matrix.
fn columns(data: &TensorData, range: std::ops::Range<usize>) -> TensorData {
    let [height, width] = [data.shape()[0], data.shape()[1]];
    let values: Vec<f32> = data.iter::<f32>().collect();
    let own = values.chunks_exact(width.max(1)).flat_map(|row| row[range.clone()].iter().copied());
    TensorData::new(own.collect::<Vec<_>>(), [height, range.len()])
}

/// The parts of a `B` that is zero outside of one block of columns for each of them.
#[derive(Debug, Clone)]
struct Blocks {
    /// The parts that are not zero, in their order.
    parts: Vec<Projection>,
}

impl Blocks {
    /// The blocks that the matrices of all layers have; `None` without any, or if a part reads columns of another.
    fn find(all: &[TensorData]) -> Option<Self> {
        let [height, rank] = <[usize; 2]>::try_from(all.first()?.shape().to_vec()).ok()?;
        let is_alike = |data: &TensorData| data.shape().to_vec() == [height, rank];
        if rank == 0 || !height.is_multiple_of(PARTS.len()) || !all.iter().all(is_alike) {
            return None;
        }
        let place = |row: usize| row / (height / PARTS.len());
        let non_zero = || {
            all.iter().flat_map(|data| {
                let cells =
                    data.iter::<f32>().enumerate().filter(|(_, value)| value.to_bits() != 0);
                cells.map(|(cell, _)| (place(cell / rank), cell % rank)).collect::<Vec<_>>()
            })
        };
        let used: BTreeSet<usize> = non_zero().map(|(part, _)| part).collect();
        if used.is_empty() || !rank.is_multiple_of(used.len()) {
            return None;
        }
        let width = rank / used.len();
        let is_own = |(part, column): (usize, usize)| {
            used.iter().position(|other| *other == part) == Some(column / width)
        };
        non_zero()
            .all(is_own)
            .then(|| Self { parts: used.iter().map(|part| PARTS[*part]).collect() })
    }

    fn index(&self, at: Projection) -> Option<usize> {
        self.parts.iter().position(|part| *part == at)
    }
}

/// The parts whose factors of (IA)³ are 1 in every layer, if those of another are not.
fn unscaled_parts(all: &[TensorData]) -> BTreeSet<Projection> {
    let is_one = |place: usize| {
        all.iter().all(|data| {
            let height = data.num_elements() / PARTS.len();
            let own = data.iter::<f32>().skip(place * height).take(height);
            data.shape().first() != Some(&1)
                && own.map(f32::to_bits).all(|bits| bits == 1_f32.to_bits())
        })
    };
    let ones: BTreeSet<_> =
        (0..PARTS.len()).filter(|place| is_one(*place)).map(|it| PARTS[it]).collect();
    if ones.len() == PARTS.len() { BTreeSet::new() } else { ones }
}

/// The value that a pattern gives the matrices that are query, key and value together; any other pattern is refused.
pub(super) fn of_joined<T: DeserializeOwned>(
    settings: &mut Settings,
    key: &str,
    base: &Bert,
) -> Result<Option<T>, AdapterError> {
    let Some(found) = settings.take(key).filter(|found| *found != json!({})) else {
        return Ok(None);
    };
    let names = BaseNames::new(base);
    let own = found.as_object().and_then(|pattern| {
        let (module, value) = pattern.iter().next().filter(|_| pattern.len() == 1)?;
        // A pattern names a module by its end.
        let rest = names.joined()?.strip_suffix(module.as_str())?;
        T::deserialize(value).ok().filter(|_| rest.is_empty() || rest.ends_with('.'))
    });
    if own.is_some() {
        return Ok(own);
    }
    let expected = match names.joined() {
        Some(joined) => format!("a value for `{joined}` alone"),
        None => "it to be off: it is not supported".to_owned(),
    };
    Err(settings.refuse(key, &found, &expected))
}

/// Joins the adapters of the parts of each matrix; the result also has the rank and the scale of the joined LoRAs. `None`
/// if the inputs of the parts are scaled differently.
pub(super) fn join(
    tensors: Tensors,
    names: BaseNames,
    bert: &Bert,
    plan: &AdapterPlan,
) -> Option<(Tensors, Option<JoinedLora>)> {
    let matrices = matrices(&tensors, names, bert.n_layers());
    if matrices.is_empty() {
        return Some((tensors, None));
    }
    if let Some(ia3) = &plan.ia3 {
        let scaled = PARTS.iter().filter(|at| ia3.inputs.contains(at)).count();
        if scaled > 0 && (scaled < PARTS.len() || PARTS.iter().any(|at| ia3.outputs.contains(at))) {
            return None;
        }
    }
    let mut tensors = tensors;
    let mut take = |kind: &str| -> Vec<Vec<Option<TensorData>>> {
        let of_matrix = |(_, name): &(usize, String)| {
            PARTS.map(|at| tensors.remove(&format!("{}.{kind}", part(name, at.name())))).to_vec()
        };
        matrices.iter().map(of_matrix).collect()
    };
    let [a, b, magnitudes, factors] = [LORA_A, LORA_B, MAGNITUDE, FACTORS].map(&mut take);
    let shares_a = a.iter().all(|parts| {
        let mut present = parts.iter().flatten();
        present.next().is_none_or(|first| present.all(|other| other == first))
    });
    let count = a.first().map_or(0, |parts| parts.iter().flatten().count());
    let times = if shares_a { 1 } else { count };
    let lora = plan.lora.as_ref().filter(|_| count > 0).map(|config| JoinedLora {
        rank: times * config.rank,
        alpha: growth(config, times) * config.alpha,
    });
    for (index, (layer, name)) in matrices.iter().enumerate() {
        let mut put = |kind: &str, data: Option<TensorData>| {
            tensors.extend(data.map(|data| (format!("{name}.{kind}"), data)));
        };
        put(
            LORA_A,
            if shares_a { a[index].iter().flatten().next().cloned() } else { stack(&a[index]) },
        );
        put(LORA_B, lora.map(|lora| blocks(&b[index], lora.rank, shares_a)));
        if magnitudes[index].iter().any(Option::is_some) {
            let of_base = |at: Projection| norms_of_outputs(bert, *layer, at);
            let whole = PARTS.iter().zip(&magnitudes[index]);
            let whole = whole.map(|(at, own)| Some(own.clone().unwrap_or_else(|| of_base(*at))));
            put(MAGNITUDE, stack(&whole.collect::<Vec<_>>()));
        }
        let Some(first) = factors[index].iter().flatten().next() else { continue };
        if first.shape().first() == Some(&1) {
            if factors[index].iter().any(|own| own.as_ref() != Some(first)) {
                return None;
            }
            put(FACTORS, Some(first.clone()));
        } else {
            let ones = TensorData::ones::<f32, _>(first.shape().to_vec());
            let whole = factors[index].iter().map(|own| Some(own.clone().unwrap_or(ones.clone())));
            put(FACTORS, stack(&whole.collect::<Vec<_>>()));
        }
    }
    Some((tensors, lora))
}

/// Tensors one after the other in their rows.
fn stack(parts: &[Option<TensorData>]) -> Option<TensorData> {
    let mut shape = parts.iter().flatten().next()?.shape().to_vec();
    shape[0] = parts.iter().flatten().map(|part| part.shape()[0]).sum();
    let values: Vec<f32> = parts.iter().flatten().flat_map(TensorData::iter::<f32>).collect();
    Some(TensorData::new(values, shape))
}

/// The `B` of a joined matrix: that of each part in its rows, in columns of its own unless `A` is shared.
fn blocks(parts: &[Option<TensorData>], rank: usize, shares_a: bool) -> TensorData {
    let height = parts.iter().flatten().next().map_or(0, |part| part.shape()[0]);
    let mut values = vec![0.0; parts.len() * height * rank];
    let mut first = 0;
    for (place, part) in parts.iter().enumerate() {
        let Some(part) = part else { continue };
        let own = part.shape()[1];
        let numbers: Vec<f32> = part.iter::<f32>().collect();
        for (row, numbers) in numbers.chunks_exact(own.max(1)).enumerate() {
            let start = (place * height + row) * rank + first;
            values[start..start + own].copy_from_slice(numbers);
        }
        first += if shares_a { 0 } else { own };
    }
    TensorData::new(values, [parts.len() * height, rank])
}

/// The norm of the weights of each output: the magnitudes of a DoRA that changes nothing.
fn norms_of_outputs(bert: &Bert, layer: usize, at: Projection) -> TensorData {
    let weight = bert.projection(layer, at).weight.val(); // [d_input, d_output]
    let norms = weight.square().sum_dim(0).sqrt().squeeze_dim::<1>(0);
    norms.into_data().convert_dtype(burn::tensor::DType::F32)
}
