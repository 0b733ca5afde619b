"""The smallest BERT as PyTorch saves it: the seeds of the fuzz harness of pickles. Needs torch 2.9.1."""
import pathlib

import torch
from transformers import BertConfig, BertModel

SEEDS = pathlib.Path(__file__).resolve().parent.parent / "fuzz/seeds"
config = BertConfig(
    vocab_size=2, hidden_size=2, num_hidden_layers=1, num_attention_heads=1, intermediate_size=2, max_position_embeddings=2
)
torch.manual_seed(1)
state = BertModel(config).state_dict()
torch.save(state, SEEDS / "pytorch_model.bin")
torch.save(state, SEEDS / "pytorch_model.torch15.bin", _use_new_zipfile_serialization=False)
