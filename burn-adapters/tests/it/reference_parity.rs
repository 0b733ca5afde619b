//! The names and layouts that `AdapterHub` and `PEFT` give to what is a parameter here.

use burn::tensor::{Device, Tensor, TensorData};

use crate::fixtures::{Tensors, from_torch};

/// What a parameter of ours is in files of `AdapterHub`'s for the adapter `adapter`, if it is there.
pub(crate) fn load_adapter_hub(path: &str, adapter: &str, file: &Tensors) -> Option<TensorData> {
    let get = |name: String| file.get(&name).map(|data| in_our_layout(path, data));
    let prefix = format!("bert.prefix_tuning.prefix_tunings.{adapter}.self_prefix");
    let path_in_task = path.strip_prefix("task.")?;
    if let Some(rest) = path_in_task.strip_prefix("head.") {
        let flexible = rest.replace("hidden.", "1.").replace("linear.", "4.");
        return get(format!("heads.{adapter}.{flexible}"))
            .or_else(|| get(rest.replace("linear.", "classifier.")));
    }
    match path_in_task {
        "prefix.embedding" => return get(format!("{prefix}.wte.weight")),
        "prefix.down.weight" => return get(format!("{prefix}.control_trans.0.weight")),
        "prefix.down.bias" => return get(format!("{prefix}.control_trans.0.bias")),
        _ => {}
    }
    let (index, rest) = path_in_task.strip_prefix("layers.")?.split_once('.')?;
    let (part, rest) = rest.split_once('.')?;
    let layer = format!("bert.encoder.layer.{index}");
    let index = index.parse().unwrap();
    match part {
        "low_rank" | "scale_output" => {
            let (projection, rest) = rest.split_once('.')?;
            let rest = match rest {
                "a" => "lora_A",
                "b" | "factors" => "lora_B",
                gate => gate,
            };
            get(format!("{layer}.{}.loras.{adapter}.{rest}", place(projection)))
        }
        "prefix" => {
            let of_layer = |name: &str| {
                Some(prefix_of_layer(file.get(&format!("{prefix}.{name}"))?, rest, index))
            };
            match rest.strip_prefix("gate.") {
                Some(rest) => get(format!(
                    "{layer}.attention.self.prefix_tuning.prefix_gates.{adapter}.{rest}"
                )),
                None if rest == "flat" => of_layer("control_trans"),
                None => of_layer(&rest.replace("up.", "control_trans.2.")),
            }
        }
        site => {
            let site = if site == "attention" { "attention.output" } else { "output" };
            let adapter = format!("{layer}.{site}.adapters.{adapter}");
            // A norm in front shifts the linear layer behind it.
            let down = if file.contains_key(&format!("{adapter}.adapter_down.1.weight")) {
                "adapter_down.1"
            } else {
                "adapter_down.0"
            };
            let name = rest
                .strip_prefix("bottleneck.")?
                .replace("down.", &format!("{down}."))
                .replace("up.", "adapter_up.")
                .replace("outer_norm.", "adapter_norm_after.")
                .replace("layer_norm.", "adapter_norm_before.")
                .replace(".gamma", ".weight")
                .replace(".beta", ".bias");
            get(format!("{adapter}.{name}"))
        }
    }
}

/// What a parameter of ours is in a file of `PEFT`'s, if it is there.
pub(crate) fn load_peft(path: &str, file: &Tensors) -> Option<TensorData> {
    let get = |name: String| {
        file.get(&format!("base_model.model.{name}")).map(|data| in_our_layout(path, data))
    };
    let path_in_task = path.strip_prefix("task.")?;
    let factor = |name: &str| if name == "a" { "lora_A" } else { "lora_B" };
    if let Some(rest) = path_in_task.strip_prefix("head.linear.") {
        return get(format!("classifier.{rest}"));
    }
    if let Some(rest) = path_in_task.strip_prefix("pooler.") {
        return get(format!("bert.pooler.dense.{}.weight", factor(rest)));
    }
    let mut parts = path_in_task.strip_prefix("layers.")?.split('.');
    let (index, part) = (parts.next()?, parts.next()?);
    let (projection, rest) = (parts.next()?, parts.next()?);
    let dense = format!("bert.encoder.layer.{index}.{}", place(projection));
    match part {
        "low_rank" => get(format!("{dense}.{}.weight", factor(rest))),
        _ => get(format!("{dense}.ia3_l")),
    }
}

fn place(projection: &str) -> &'static str {
    match projection {
        "query" => "attention.self.query",
        "key" => "attention.self.key",
        "value" => "attention.self.value",
        "attention_output" => "attention.output.dense",
        "feed_forward_in" => "intermediate.dense",
        _ => "output.dense",
    }
}

/// Low-rank factors are matrices of linear layers, and factors of channels have an axis too many.
fn in_our_layout(path: &str, data: &TensorData) -> TensorData {
    let last = path.rsplit('.').next().unwrap();
    match last {
        "a" | "b" => Tensor::<2>::from_data(data.clone(), &Device::flex()).transpose().into_data(),
        "factors" => {
            let values = data.iter::<f32>().collect::<Vec<_>>();
            let channels = values.len();
            TensorData::new(values, [channels])
        }
        _ => from_torch(path, data),
    }
}

/// A layer's part of what `AdapterHub` keeps for all layers: its keys at `2 · index`, its values behind them.
fn prefix_of_layer(data: &TensorData, part: &str, index: usize) -> TensorData {
    const D_MODEL: usize = 32;
    let first = 2 * index * D_MODEL;
    let device = Device::flex();
    match part {
        "flat" => {
            let length = data.num_elements() / (2 * 2 * D_MODEL);
            let all = Tensor::<1>::from_data(data.clone(), &device);
            all.reshape([length, 2 * 2 * D_MODEL]).narrow(1, first, 2 * D_MODEL).into_data()
        }
        "up.weight" => {
            let all = Tensor::<2>::from_data(data.clone(), &device);
            all.narrow(0, first, 2 * D_MODEL).transpose().into_data()
        }
        _ => {
            Tensor::<1>::from_data(data.clone(), &device).narrow(0, first, 2 * D_MODEL).into_data()
        }
    }
}
