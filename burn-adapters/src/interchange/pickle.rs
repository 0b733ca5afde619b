//! Tensors as `torch.save` writes a state dict: a zip with one fixed pickle of protocol 2 and the numbers beside it.
//! This module only writes; burn-store reads such files.
//!
//! <https://github.com/pytorch/pytorch/blob/v2.9.1/torch/serialization.py>, `_save`, and the opcodes in
//! <https://github.com/python/cpython/blob/v3.11.7/Lib/pickle.py>.

use std::io::{Cursor, Write};

use burn::tensor::TensorData;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::directory::Tensors;

const PROTOCOL: [u8; 2] = [0x80, 2];
const MARK: u8 = b'(';
const TUPLE: u8 = b't';
const REDUCE: u8 = b'R';
const SET_ITEMS: u8 = b'u';
const EMPTY_TUPLE: u8 = b')';
const PERSISTENT_ID: u8 = b'Q';
const FALSE: u8 = 0x89;
const STOP: u8 = b'.';

/// The bytes of a state dict.
pub(super) fn state_dict(tensors: &Tensors) -> std::io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // PyTorch maps the values into memory: nothing is compressed. A fixed date makes the output reproducible.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    let mut file = |name: &str, bytes: &[u8]| -> std::io::Result<()> {
        zip.start_file(format!("archive/{name}"), options)?;
        zip.write_all(bytes)
    };
    file("data.pkl", &pickle(tensors))?;
    file("byteorder", b"little")?;
    for (index, data) in tensors.values().enumerate() {
        let bytes: Vec<u8> = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
        file(&format!("data/{index}"), &bytes)?;
    }
    file("version", b"3\n")?;
    Ok(zip.finish()?.into_inner())
}

fn pickle(tensors: &Tensors) -> Vec<u8> {
    let mut out = PROTOCOL.to_vec();
    empty_ordered_dict(&mut out);
    out.push(MARK);
    for (index, (name, data)) in tensors.iter().enumerate() {
        text(&mut out, name);
        rebuild_tensor(&mut out, index, data);
    }
    out.extend([SET_ITEMS, STOP]);
    out
}

/// `torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`
fn rebuild_tensor(out: &mut Vec<u8>, index: usize, data: &TensorData) {
    let shape = data.shape().to_vec();
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n");
    out.push(MARK);
    // ("storage", torch.FloatStorage, key, "cpu", numel)
    out.push(MARK);
    text(out, "storage");
    out.extend(b"ctorch\nFloatStorage\n");
    text(out, &index.to_string());
    text(out, "cpu");
    integer(out, data.num_elements());
    out.extend([TUPLE, PERSISTENT_ID]);
    integer(out, 0);
    integers(out, &shape);
    let strides: Vec<usize> =
        (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
    integers(out, &strides);
    out.push(FALSE);
    empty_ordered_dict(out);
    out.extend([TUPLE, REDUCE]);
}

fn empty_ordered_dict(out: &mut Vec<u8>) {
    out.extend(b"ccollections\nOrderedDict\n");
    out.extend([EMPTY_TUPLE, REDUCE]);
}

fn integers(out: &mut Vec<u8>, values: &[usize]) {
    out.push(MARK);
    for value in values {
        integer(out, *value);
    }
    out.push(TUPLE);
}

/// `LONG1` with eight bytes holds any size.
fn integer(out: &mut Vec<u8>, value: usize) {
    out.extend([0x8a, 8]);
    out.extend((value as u64).to_le_bytes());
}

/// `BINUNICODE`
fn text(out: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).expect("names are shorter than 4 GiB");
    out.push(b'X');
    out.extend(length.to_le_bytes());
    out.extend(text.as_bytes());
}
