//! The tensor files of a checkpoint. They are checked before Burn reads them, because Burn does not check moments.

use std::collections::{BTreeMap, HashMap};

use burn::optim::OptimizerRecord;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, DType};
use burn_pack::{Reader, Scalar};

/// Burn's key for the rank of a parameter, after its id.
const RANK: &str = ".__rank";

/// Trainable tensors and their moments.
pub(super) struct Tensors {
    pub(super) trained: ModuleRecord,
    pub(super) optimizer: OptimizerRecord,
    /// Shapes of the trainable tensors, by path.
    pub(super) shapes: BTreeMap<String, Vec<usize>>,
}

/// Reads both files; the error is their damage.
pub(super) fn read(trained: Vec<u8>, optimizer: Vec<u8>) -> Result<Tensors, String> {
    // Shared, so that a clone is a handle.
    let bytes = |bytes| Bytes::from_bytes_vec(bytes).shared();
    let (trained, optimizer) = (bytes(trained), bytes(optimizer));
    let (shapes, by_id) =
        check_trained(&trained).map_err(|why| format!("trained tensors: {why}"))?;
    check_moments(&optimizer, &by_id).map_err(|why| format!("moments: {why}"))?;
    Ok(Tensors {
        trained: ModuleRecord::from_bytes(trained).map_err(|error| error.to_string())?,
        optimizer: OptimizerRecord::from_bytes(optimizer).map_err(|error| error.to_string())?,
        shapes,
    })
}

type Shapes = (BTreeMap<String, Vec<usize>>, HashMap<u64, Vec<usize>>);

fn check_trained(bytes: &Bytes) -> Result<Shapes, String> {
    let (mut by_path, mut by_id) = (BTreeMap::new(), HashMap::new());
    for tensor in tensors(bytes)? {
        let name = tensor.name;
        let id = tensor.param_id.ok_or_else(|| format!("{name} has no id"))?;
        let shape: Vec<usize> = tensor.shape.iter().copied().collect();
        if tensor.dtype != DType::F32 {
            return Err(format!("{name} is of type {:?}, expected F32", tensor.dtype));
        }
        if by_id.insert(id, shape.clone()).is_some() {
            return Err(format!("{name} has the id of another tensor"));
        }
        by_path.insert(name, shape);
    }
    Ok((by_path, by_id))
}

/// Checks that every moment belongs to a trainable tensor and has its shape.
fn check_moments(bytes: &Bytes, shapes: &HashMap<u64, Vec<usize>>) -> Result<(), String> {
    let shape_of = |name: &str, id: Option<u64>| {
        let found = id.and_then(|id| shapes.get(&id));
        found.ok_or_else(|| format!("{name} belongs to no trained tensor"))
    };
    for (name, value) in reader(bytes)?.scalars() {
        let id = name.split_once('.').and_then(|(id, _)| id.parse().ok());
        let shape = shape_of(name, id)?;
        if name.ends_with(RANK) && *value != Scalar::from(shape.len()) {
            return Err(format!("{name} is {value:?}, expected {}", shape.len()));
        }
    }
    for tensor in tensors(bytes)? {
        let name = &tensor.name;
        let id = name.split_once('.').and_then(|(id, _)| id.parse::<u64>().ok());
        let shape = shape_of(name, id)?;
        if tensor.param_id != id {
            return Err(format!("{name} has the id {:?}", tensor.param_id));
        }
        if tensor.dtype != DType::F32 || !tensor.shape.iter().eq(shape) {
            return Err(format!(
                "{name} is {:?} of type {:?}, expected {shape:?} of type F32",
                tensor.shape, tensor.dtype
            ));
        }
    }
    Ok(())
}

fn reader(bytes: &Bytes) -> Result<Reader, String> {
    Reader::from_bytes(bytes.clone()).map_err(|error| error.to_string())
}

fn tensors(bytes: &Bytes) -> Result<Vec<burn_pack::Tensor>, String> {
    reader(bytes)?.into_tensors().map_err(|error| error.to_string())
}
