//! The precision in which a BERT's matrices are kept and multiplied. Norms, softmax, sums and the pooler stay in single
//! precision, and so does everything that is inserted (mixed precision, Micikevicius et al. 2018).

use std::fmt;
use std::str::FromStr;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::bert::Bert;

/// How the numbers of a base's matrices are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Half of the bytes, with single precision's range.
    Bf16,
    /// Half of the bytes, with three more bits for the digits and a range that ends at 65504.
    F16,
}

impl Precision {
    /// All, the default first.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::F16];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Burn's name for it.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }

    /// What a loss is multiplied by before going back, and gradients divided by afterwards: without it small gradients
    /// would be 0 in a range as narrow as [`F16`](Self::F16)'s.
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
    /// The same with the matrices of its embeddings and layers in another precision; for a base that does not train.
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

    /// The precision of its matrices.
    pub fn precision(&self) -> Precision {
        let dtype = self.embeddings.word_embeddings.weight.val().dtype();
        let found = Precision::ALL.into_iter().find(|precision| precision.dtype() == dtype);
        found.unwrap_or_default()
    }
}
