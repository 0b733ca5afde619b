//! The precision of an encoder's matrices. LayerNorms, softmax, sums, the pooler and everything that is inserted stay in
//! single precision (mixed precision, Micikevicius et al. 2018).

use std::fmt;
use std::str::FromStr;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::bert::Bert;

/// The precision of a base's matrices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Half precision with the range of single precision.
    Bf16,
    /// Half precision with three more bits for the digits and a range up to 65504.
    F16,
}

impl Precision {
    /// All precisions, the default first.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::F16];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Burn's data type.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }

    /// The factor of the loss before the backward pass, by which gradients are divided afterwards: without it, small
    /// gradients would underflow in [`F16`](Self::F16).
    pub fn loss_scale(self) -> f64 {
        match self {
            Self::F32 | Self::Bf16 => 1.0,
            Self::F16 => 1024.0,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| format!("there is no precision `{name}`; choose f32, bf16 or f16"))
    }
}

impl Bert {
    /// Converts the matrices of embeddings and layers to another precision, for a base that is not trained.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        struct Cast {
            dtype: DType,
            path: Vec<String>,
        }

        impl ModuleMapper for Cast {
            fn enter_module(&mut self, name: &str, _container_type: &str) {
                self.path.push(name.to_owned());
            }

            fn exit_module(&mut self, _name: &str, _container_type: &str) {
                self.path.pop();
            }

            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                if self.path.iter().any(|name| name == "layer_norm" || name == "pooler") {
                    return param;
                }
                let dtype = self.dtype;
                param.map(|tensor| tensor.detach().cast(dtype))
            }
        }

        if precision == self.precision() {
            return self;
        }
        self.map(&mut Cast { dtype: precision.dtype(), path: Vec::new() })
    }

    /// The precision of the matrices.
    pub fn precision(&self) -> Precision {
        let dtype = self.embeddings.word_embeddings.weight.val().dtype();
        let found = Precision::ALL.into_iter().find(|precision| precision.dtype() == dtype);
        found.unwrap_or_default()
    }
}
