"""Rows of distances in transformers 4.57.6: of DeBERTa-v2 for burn-fused/tests/fixtures/distance_buckets.json, of MPNet
for burn-bert/tests/fixtures/families/mpnet_buckets.json.

    target/peers/bin/python goldens/distance_buckets.py
"""

import json
import pathlib

import torch
import transformers
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

assert transformers.__version__ == "4.57.6", transformers.__version__
ROOT = pathlib.Path(__file__).parent.parent


def deberta(buckets, max_distance, length):
    """The rows for the first and the last query, as `disentangled_attention_bias` clamps them."""
    positions = torch.zeros(1, length, 1)
    relative = build_relative_position(positions, positions, bucket_size=buckets, max_position=max_distance)[0]
    span = buckets if buckets > 0 else max_distance
    rows = torch.clamp(relative + span, 0, 2 * span - 1)
    return {"buckets": buckets, "max_distance": max_distance, "length": length,
            "first_query": rows[0].tolist(), "last_query": rows[-1].tolist()}


settings = [(256, 512, 1100), (32, 128, 300), (64, 1000, 1100), (6, 32, 50), (7, 20, 50), (-1, 24, 60)]
path = ROOT / "burn-fused/tests/fixtures/distance_buckets.json"
path.parent.mkdir(exist_ok=True)
path.write_text(json.dumps([deberta(*setting) for setting in settings]) + "\n")

distances = torch.arange(-600, 601)
rows = MPNetEncoder.relative_position_bucket(distances, num_buckets=32)
path = ROOT / "burn-bert/tests/fixtures/families/mpnet_buckets.json"
path.write_text(json.dumps({"key_minus_query": distances.tolist(), "row": rows.tolist()}) + "\n")
