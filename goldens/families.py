"""A small random model of every family of encoders, with its hidden states, logits and gradients, for
burn-bert/tests/fixtures/families/NAME:

- config.json, model.safetensors: as `save_pretrained` writes them;
- outputs.safetensors: the input; hidden states of every layer, pooled output and logits in double precision; the
  weights of the loss, which is the sum of their products with the last hidden state and with the pooled output;
- gradients/model.safetensors: the gradient of each parameter under its own name.

    OMP_NUM_THREADS=1 target/peers/bin/python goldens/families.py [NAME ...]

All weights are random, norms and biases included; the settings are not the defaults, dropout included, which is off
here.
"""

import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file

assert transformers.__version__ == "4.57.6", transformers.__version__
FIXTURES = pathlib.Path(__file__).parent.parent / "burn-bert/tests/fixtures/families"

SIZE = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
BERT = {**SIZE, "hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.3, "layer_norm_eps": 1e-3,
        "num_labels": 3}
DEBERTA = {**BERT, "relative_attention": True, "max_position_embeddings": 32}

CLASSIFIER, ENCODER = transformers.AutoModelForSequenceClassification, transformers.AutoModel

# For each name: the class of transformers' configuration, its settings, and the class that is saved: a classifier has a
# prefix and a head, an encoder neither, but a pooler.
FAMILIES = {
    "bert": (transformers.BertConfig,
             {**BERT, "hidden_act": "gelu_new", "type_vocab_size": 3, "max_position_embeddings": 40}, CLASSIFIER),
    "roberta": (transformers.RobertaConfig,
                {**BERT, "hidden_act": "relu", "type_vocab_size": 2, "max_position_embeddings": 40}, CLASSIFIER),
    "xlm-roberta": (transformers.XLMRobertaConfig,
                    {**BERT, "type_vocab_size": 1, "max_position_embeddings": 28}, ENCODER),
    "camembert": (transformers.CamembertConfig,
                  {**BERT, "hidden_act": "silu", "pad_token_id": 3, "type_vocab_size": 1,
                   "max_position_embeddings": 40}, CLASSIFIER),
    "distilbert": (transformers.DistilBertConfig,
                   {"vocab_size": 64, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 40, "dropout": 0.2,
                    "attention_dropout": 0.3, "seq_classif_dropout": 0.4, "activation": "relu",
                    "max_position_embeddings": 40, "num_labels": 3}, CLASSIFIER),
    "electra": (transformers.ElectraConfig,
                {**BERT, "embedding_size": 24, "type_vocab_size": 2, "max_position_embeddings": 40}, CLASSIFIER),
    "mpnet": (transformers.MPNetConfig, {**BERT, "max_position_embeddings": 40}, CLASSIFIER),
    "mpnet-pooled": (transformers.MPNetConfig,
                     {**BERT, "relative_attention_num_buckets": 40, "max_position_embeddings": 160}, ENCODER),
    "deberta-v3": (transformers.DebertaV2Config,
                   {**DEBERTA, "type_vocab_size": 0, "position_buckets": 6, "max_relative_positions": -1,
                    "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": "p2c|c2p",
                    "position_biased_input": False, "pooler_hidden_act": "gelu", "pooler_dropout": 0}, CLASSIFIER),
    "deberta-v2": (transformers.DebertaV2Config,
                   {**DEBERTA, "hidden_act": "gelu_new", "type_vocab_size": 2, "embedding_size": 24,
                    "max_relative_positions": 8, "pos_att_type": ["p2c", "c2p"], "position_biased_input": True,
                    "conv_kernel_size": 3, "conv_act": "gelu"}, CLASSIFIER),
    "deberta-v2-c2p": (transformers.DebertaV2Config,
                       {**DEBERTA, "type_vocab_size": 0, "position_buckets": 6, "max_relative_positions": 20,
                        "norm_rel_ebd": "layer_norm", "share_att_key": False, "pos_att_type": ["c2p"],
                        "position_biased_input": False, "conv_kernel_size": 5, "conv_groups": 4}, ENCODER),
    "modernbert": (transformers.ModernBertConfig,
                   {**SIZE, "num_hidden_layers": 4, "intermediate_size": 20, "max_position_embeddings": 40,
                    "global_attn_every_n_layers": 3, "local_attention": 8, "global_rope_theta": 500.0,
                    "local_rope_theta": 30.0, "norm_eps": 1e-3, "attention_dropout": 0.1, "mlp_dropout": 0.2,
                    "embedding_dropout": 0.3, "classifier_dropout": 0.4, "reference_compile": False,
                    "num_labels": 3}, CLASSIFIER),
    "modernbert-biases": (transformers.ModernBertConfig,
                          {**SIZE, "intermediate_size": 20, "max_position_embeddings": 40,
                           "global_attn_every_n_layers": 2, "local_attention": 6, "local_rope_theta": None,
                           "norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True,
                           "classifier_pooling": "mean", "hidden_activation": "silu", "classifier_activation": "relu",
                           "reference_compile": False, "num_labels": 3}, CLASSIFIER),
}
# Those that have no default in transformers' class which lies inside of the small vocabulary.
SPECIAL_TOKENS = {"pad_token_id": 1, "bos_token_id": 0, "cls_token_id": 0, "eos_token_id": 2, "sep_token_id": 2}


def randomize(model, generator):
    """Values of the size of trained ones."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                is_table = "embeddings" in name or "relative_attention_bias" in name
                parameter.copy_(noise * (0.5 if is_table else 0.2))
            else:
                is_scale = "norm" in name.lower() and name.endswith("weight")
                parameter.copy_(1 + 0.2 * noise if is_scale else 0.1 * noise)


def texts(config, generator):
    """Texts and pairs of different lengths. Padding has other ids than that of padding too, and a text contains that of
    padding: positions that are counted by ids differ from those counted by the mask."""
    lengths, sequence = [24, 15, 1, 22], 24
    pad = config.pad_token_id
    ids = torch.randint(5, config.vocab_size, (len(lengths), sequence), generator=generator)
    mask = torch.zeros_like(ids)
    for text, length in enumerate(lengths):
        mask[text, :length] = 1
        ids[text, length:] = pad
    ids[1, 20] = 7
    ids[3, 11] = pad
    types = torch.zeros_like(ids)
    if getattr(config, "type_vocab_size", 0) > 1:
        types[0, 9:] = 1
        types[3, 5:22] = 1
        types[1, 0] = config.type_vocab_size - 1
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}


def write(name):
    config_class, settings, model_class = FAMILIES[name]
    directory = FIXTURES / name
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "gradients").mkdir(parents=True)
    generator = torch.Generator().manual_seed(sum(name.encode()))

    if config_class is transformers.ModernBertConfig:
        settings = {**settings, **SPECIAL_TOKENS}
    model = model_class.from_config(config_class(**settings), attn_implementation=(
        "sdpa" if config_class is transformers.ModernBertConfig else "eager"))  # its eager softmax is in f32
    randomize(model, generator)
    model.save_pretrained(directory)

    model = model.double().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None  # would hide the gradient of one row
    inputs = texts(model.config, generator)
    is_classifier = model_class is CLASSIFIER
    encoder = getattr(model, model.base_model_prefix) if is_classifier else model
    has_types = getattr(model.config, "type_vocab_size", 0) > 0
    given = {key: value for key, value in inputs.items() if has_types or key != "token_type_ids"}

    output = encoder(**given, output_hidden_states=True)
    last = output.last_hidden_state
    weights = torch.randn(last.shape, generator=generator, dtype=torch.float64)
    weights = weights * inputs["attention_mask"].unsqueeze(-1)
    found = {f"hidden_states.{index}": states for index, states in enumerate(output.hidden_states)}
    found |= {"last_hidden_state": last, "loss_weights.last_hidden_state": weights}
    loss = (weights * last).sum()
    if getattr(output, "pooler_output", None) is not None:
        pooled = output.pooler_output
        weights = torch.randn(pooled.shape, generator=generator, dtype=torch.float64)
        found |= {"pooler_output": pooled, "loss_weights.pooler_output": weights}
        loss = loss + (weights * pooled).sum()
    if is_classifier:
        found["logits"] = model(**given).logits
    loss.backward()
    gradients = {name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                 for name, parameter in encoder.named_parameters()}
    prefix = f"{model.base_model_prefix}." if is_classifier else ""

    tensors = {name: value.detach().clone().contiguous() for name, value in (inputs | found).items()}
    save_file(tensors, directory / "outputs.safetensors")
    save_file({prefix + name: value.float().contiguous() for name, value in gradients.items()},
              directory / "gradients/model.safetensors")
    stored = set(load_file(directory / "model.safetensors"))
    assert all(prefix + name in stored for name in gradients), name


for name in sys.argv[1:] or FAMILIES:
    write(name)
    print(name, sorted((file.name, file.stat().st_size) for file in (FIXTURES / name).rglob("*.*")))
