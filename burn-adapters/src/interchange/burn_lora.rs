//! Burn's own LoRA: the `LoraAdapter`s that [`Module::apply_lora`] attaches to the weights of a base.
//!
//! Burn's records hold the two factors of an attached adapter as `….weight.lora.a` and `….weight.lora.b`, but neither
//! rank nor α. To read such a record, attach adapters of the same rank and α, load the record, and call [`from_burn`]:
//!
//! ```no_run
//! # use burn::module::{Lora, Module, ParamGroup};
//! # use burn::tensor::Device;
//! # use burn_adapters::interchange::burn_lora;
//! # use burn_adapters::{AdapterPlan, HeadKind, TaskAdapterConfig, TrainableBase};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bert = burn_bert::load("base".as_ref(), &Device::flex())?;
//! let is_query = ParamGroup::from_predicate(".query.weight");
//! let bert = bert.apply_lora(Lora::new(8, 16.0).set_param_group(is_query)).load_file("lora.bpk");
//! let config = TaskAdapterConfig::new(AdapterPlan::new(TrainableBase::Nothing), HeadKind::unnamed(2));
//! let model = burn_lora::from_burn(bert, config)?;
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{
    LoraAdapter, Module, ModuleVisitor, Param, Reparameterization, Reparameterizer,
};
use burn::tensor::Tensor;
use burn_bert::{Bert, Encoder, Projection};

use crate::error::{AdapterError, InterchangeError};
use crate::methods::{AdapterPlan, Layers, Lora, LoraConfig, Projections, TrainableBase};
use crate::model::{AdaptedBert, TaskAdapterConfig};

const FORMAT: &str = "Burn's LoRA";

/// The base of a model with its LoRAs attached as Burn's own; the head is not part of it.
///
/// Its forward pass gives the same hidden states, and its record is one of Burn's.
///
/// # Errors
/// If the plan has other modules than LoRAs without gates and DoRA, or trains parameters of the base.
pub fn to_burn(model: &AdaptedBert) -> Result<Bert, AdapterError> {
    let config = model.task.config();
    let only_lora = AdapterPlan {
        lora: config.plan.lora.clone().filter(|lora| !lora.gate && lora.dora.is_none()),
        ..AdapterPlan::new(TrainableBase::Nothing)
    };
    if config.plan != only_lora || !config.fused.is_empty() {
        return Err(InterchangeError::Unsupported {
            format: FORMAT,
            what: "anything but LoRAs without gates and DoRA on a frozen base".to_owned(),
            remedy: "keep the adapter file, or export to AdapterHub",
        }
        .into());
    }
    let paths = model.bert.parameter_paths();
    let mut loras = BTreeMap::new();
    for (index, layer) in model.task.layers.iter().enumerate() {
        for projection in Projection::ALL {
            if let Some(lora) = layer.low_rank.get(projection) {
                loras.insert(paths.projection(index, projection), lora.clone());
            }
        }
    }
    loras.extend(model.task.pooler.clone().map(|lora| (paths.pooler_dense(), lora)));
    Ok(model.bert.clone().apply_reparameterization(Attach { loras }))
}

/// The model of a base with attached LoRAs of Burn's: they become LoRAs of the task, and the base is as before.
///
/// The plan of `config` must be empty; that of the result has the LoRAs. The head is fresh.
///
/// # Errors
/// If there are no LoRAs, they differ in rank, scale or projections between layers, or one is attached to something else
/// than a projection or the pooler; or if the task cannot be built.
pub fn from_burn(mut bert: Bert, config: TaskAdapterConfig) -> Result<AdaptedBert, AdapterError> {
    let refuse = |what: String| InterchangeError::Unsupported {
        format: "an adapter with LoRA",
        what,
        remedy: "attach Burn's LoRA with one rank and α to the same projections of each layer, \
                 with `Lora::set_param_group`",
    };
    if config.plan != AdapterPlan::new(TrainableBase::Nothing) {
        return Err(refuse("other modules beside Burn's LoRA".to_owned()).into());
    }
    let attached = attached(&bert);
    let mut layers: BTreeMap<usize, BTreeMap<Projection, Lora>> = BTreeMap::new();
    for layer in 0..bert.n_layers() {
        for projection in Projection::ALL {
            if let Some(lora) = detach(&mut bert.projection_mut(layer, projection).weight) {
                layers.entry(layer).or_default().insert(projection, lora);
            }
        }
    }
    let pooler = bert.pooler_mut().and_then(|pooler| detach(&mut pooler.weight));
    let found = || layers.values().flat_map(BTreeMap::values).chain(&pooler);
    if found().count() != attached.len() {
        return Err(refuse(format!(
            "LoRA at something other than a projection, among {}",
            attached.join(", ")
        ))
        .into());
    }
    let Some(first) = found().next() else {
        return Err(refuse("a base without attached LoRAs".to_owned()).into());
    };
    let rank = |lora: &Lora| lora.a.lazy_shape()[1];
    let alike =
        |lora: &Lora| rank(lora) == rank(first) && lora.factor.total_cmp(&first.factor).is_eq();
    if !found().all(alike) {
        return Err(refuse("LoRAs of different ranks or scales".to_owned()).into());
    }
    let projections = |layer: &BTreeMap<Projection, Lora>| layer.keys().copied().collect();
    let in_layers: BTreeSet<BTreeSet<Projection>> = layers.values().map(projections).collect();
    if in_layers.len() > 1 {
        return Err(refuse("LoRAs at different projections in different layers".to_owned()).into());
    }
    let rank = rank(first);
    let all = layers.len() == bert.n_layers() || layers.is_empty();
    let lora = LoraConfig {
        layers: if all { Layers::All } else { Layers::Only(layers.keys().copied().collect()) },
        pooler: pooler.is_some(),
        ..LoraConfig::new(
            in_layers.into_iter().next().unwrap_or_default(),
            rank,
            first.factor * rank as f64,
        )
    };
    let plan = AdapterPlan { lora: Some(lora), ..config.plan.clone() };
    let mut task = TaskAdapterConfig { plan, ..config }.init(&bert)?;
    for (layer, loras) in layers {
        let lora = |projection| loras.get(&projection).cloned();
        task.layers[layer].low_rank = Projections::from_fn(lora);
    }
    if task.pooler.is_some() {
        task.pooler = pooler;
    }
    AdaptedBert::new(bert, task)
}

/// Attaches the LoRA of each linear layer to its weight.
struct Attach {
    /// By the path of the linear layer.
    loras: BTreeMap<String, Lora>,
}

impl Reparameterizer for Attach {
    type Reparam = LoraAdapter;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<LoraAdapter>) {
        let lora = path.strip_suffix(".weight").and_then(|path| self.loras.remove(path));
        let adapter = lora.map(|Lora { a, b, factor, .. }| LoraAdapter { a, b, scale: factor });
        (param, adapter)
    }
}

/// Removes an attached LoRA from a weight.
fn detach(weight: &mut Param<Tensor<2>>) -> Option<Lora> {
    let LoraAdapter { a, b, scale } = weight.adapter()?.clone();
    *weight = Param::initialized(weight.id, weight.base());
    Some(Lora { a, b, gate: None, dora: None, factor: scale })
}

/// The paths of all weights with an attached LoRA.
fn attached(bert: &Bert) -> Vec<String> {
    #[derive(Default)]
    struct Attached {
        path: Vec<String>,
        found: Vec<String>,
    }

    impl ModuleVisitor for Attached {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            if container_type == "Reparameterization" && name == LoraAdapter::NAME {
                self.found.push(self.path.join("."));
            }
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }
    }

    let mut attached = Attached::default();
    bert.visit(&mut attached);
    attached.found
}
