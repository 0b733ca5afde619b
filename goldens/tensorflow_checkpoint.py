"""Two checkpoints as Google's BERT code writes them: a pretrained base, and an adapter-bert result trained on it.

python -m venv venv && venv/bin/pip install tensorflow-cpu==2.21.0 safetensors==0.8.0
venv/bin/python goldens/tensorflow_checkpoint.py

The numbers are those of the other fixtures; only names and layout are TensorFlow's.
The result differs from the base in its LayerNorms, which train with the adapters.
`feedforward_adapter` makes its biases `[1, hidden_size]` and `[1, in_size]`,
https://github.com/google-research/adapter-bert/blob/69b7c5809eb69437d45747b56040c33ded772186/modeling.py,
and so does `model.ckpt-7`; `flat.ckpt-7` has them as vectors.
"""
import json
import pathlib

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file

ROOT = pathlib.Path(__file__).parent.parent
TESTS = ROOT / "burn-adapters/tests/fixtures"
ADAPTER = "houlsby_gelu_m8"


def google_name(name):
    for theirs, ours in [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"),
                         ("embeddings.weight", "embeddings"), (".weight", ".kernel"), ("layer.", "layer_")]:
        name = name.replace(theirs, ours)
    return name.replace(".", "/")


def in_google_layout(name, value):
    return value.T if name.endswith(".weight") and value.ndim == 2 and "_embeddings." not in name else value


def write(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [tf.compat.v1.get_variable(name, initializer=tf.constant(value), use_resource=False)
                     for name, value in tensors.items()]
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(session, str(path), write_meta_graph=False, write_state=False)


base = {f"bert/{google_name(name)}": in_google_layout(name, value)
        for name, value in load_file(TESTS / "base/model.safetensors").items()}
heads = {
    "cls/predictions/output_bias": np.zeros(64, np.float32),
    "cls/seq_relationship/output_weights": np.ones([2, 32], np.float32),
}
google = ROOT / "burn-bert/tests/fixtures/google"
write(google / "bert_model.ckpt", base | heads)
config = json.loads((TESTS / "base/config.json").read_text())
# The keys of Google's own bert_config.json.
keys = ["attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size", "initializer_range",
        "intermediate_size", "max_position_embeddings", "num_attention_heads", "num_hidden_layers",
        "type_vocab_size", "vocab_size"]
(google / "bert_config.json").write_text(json.dumps({key: config[key] for key in keys}, indent=2) + "\n")

trained = {name: value + 0.1 * np.sin(np.arange(value.size, dtype=np.float32)) if "LayerNorm" in name else value
           for name, value in base.items()}
adapter = {}
for name, value in load_file(TESTS / f"adapters/{ADAPTER}/adapter.safetensors").items():
    part = {"adapter_down.0.weight": "weights1", "adapter_down.0.bias": "biases1",
            "adapter_up.weight": "weights2", "adapter_up.bias": "biases2"}
    site, parameter = name.split(f"{ADAPTER}.")
    adapter[site.replace("layer.", "layer_").replace(".", "/") + part[parameter]] = in_google_layout(parameter, value)
head = load_file(TESTS / "train/houlsby.init.safetensors")
head = {"output_weights": head["classifier.weight"], "output_bias": head["classifier.bias"]}
moments = {f"{name}/{moment}": np.zeros_like(value) for name, value in (adapter | head).items()
           for moment in ["adam_m", "adam_v"]}
training = moments | {"global_step": np.int64(7)}
as_rows = {name: value[None] if "/biases" in name else value for name, value in (adapter | moments).items()}
write(TESTS / "adapter_bert/model.ckpt-7", trained | head | training | as_rows)
write(TESTS / "adapter_bert/flat.ckpt-7", trained | head | training | adapter)
