"""Adapters of the packages `adapters` and `peft` on the small models of burn-bert/tests/fixtures/families, with their
logits in double precision, for burn-adapters/tests/fixtures/families/NAME:

- hub-KIND, peft-KIND: as the packages save them;
- outputs.safetensors: the logits of each, for the input in the base's own outputs.safetensors.

    OMP_NUM_THREADS=1 target/peers/bin/python goldens/family_exchange.py [NAME ...]

All weights of the adapters are random, so that one that is left out or mixed up shows.
"""

import json
import os
import pathlib
import shutil
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import adapters
import peft
import torch
import transformers
from adapters import AutoAdapterModel
from peft import IA3Config, LNTuningConfig, LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

assert (adapters.__version__, peft.__version__) == ("1.3.0", "0.18.1")
ROOT = pathlib.Path(__file__).parent.parent
BASES = ROOT / "burn-bert/tests/fixtures/families"
FIXTURES = ROOT / "burn-adapters/tests/fixtures/families"
LABELS = 3

# AdapterHub has models of these families.
HUB = ["roberta", "xlm-roberta", "distilbert", "electra", "deberta-v2", "deberta-v3"]
# Modules of each family by the names that users of PEFT give.
BERT = {
    "lora": ["query", "value"],
    "everywhere": ["query", "key", "value", "attention.output.dense", "intermediate.dense",
                   r"layer.0.output.dense", r"layer.1.output.dense"],
    "ia3": ["key", "value", "layer.0.output.dense", "layer.1.output.dense"],
    "ia3_inputs": ["layer.0.output.dense", "layer.1.output.dense"],
    "norms": ["LayerNorm"],
    "save": None,
}
DEBERTA = {**BERT, "lora": ["query_proj", "value_proj"],
           "everywhere": ["query_proj", "key_proj", "value_proj", *BERT["everywhere"][3:]],
           "ia3": ["key_proj", "value_proj", *BERT["ia3_inputs"]], "norms": None, "save": ["pooler", "classifier"]}
# Query, key and value are one matrix; the first layer has no norm in front of its attention.
MODERNBERT = {
    "lora": ["Wqkv"],
    "everywhere": ["Wqkv", "Wo", "Wi"],
    "ia3": ["Wqkv", "mlp.Wo"],
    "ia3_inputs": ["mlp.Wo"],
    "norms": ["embeddings.norm", "mlp_norm", "final_norm", *[f"layers.{layer}.attn_norm" for layer in (1, 2, 3)]],
    "save": ["head", "classifier"],
}
PEFT = {
    "roberta": BERT,
    "xlm-roberta": BERT,
    "camembert": BERT,
    "electra": BERT,
    "distilbert": {
        "lora": ["q_lin", "v_lin"],
        "everywhere": ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"],
        "ia3": ["k_lin", "v_lin", "ffn.lin2"],
        "ia3_inputs": ["ffn.lin2"],
        "norms": ["LayerNorm", "sa_layer_norm", "output_layer_norm"],
        "save": ["pre_classifier", "classifier"],
    },
    "mpnet": {**BERT, "lora": ["q", "v"], "everywhere": ["q", "k", "v", "attn.o", *BERT["everywhere"][4:]],
              "ia3": ["k", "v", *BERT["ia3_inputs"]]},
    "deberta-v2": DEBERTA,
    "deberta-v3": DEBERTA,
    "modernbert": MODERNBERT,
    "modernbert-biases": MODERNBERT,
}


def hub_kinds():
    lora = adapters.LoRAConfig(r=3, alpha=6, intermediate_lora=True, output_lora=True, attn_matrices=["q", "k", "v"])
    prefix = adapters.PrefixTuningConfig(prefix_length=3, bottleneck_size=8)
    return {
        "houlsby": adapters.DoubleSeqBnConfig(reduction_factor=8),
        "union": adapters.ConfigUnion(prefix, adapters.ParBnConfig(reduction_factor=8), lora),
        "gated": adapters.PrefixTuningConfig(flat=True, prefix_length=3, use_gating=True),
        "ia3": adapters.IA3Config(),
    }


def randomize(model, wanted, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if wanted(name):
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def logits(model, name):
    inputs = load_file(BASES / name / "outputs.safetensors")
    given = {key: inputs[key] for key in ("input_ids", "token_type_ids", "attention_mask")}
    if not getattr(model.config, "type_vocab_size", 0):
        del given["token_type_ids"]
    with torch.no_grad():
        return model.double().eval()(**given).logits


def tidy(directory):
    """Without the place of the base on this machine."""
    path = directory / "adapter_config.json"
    config = json.loads(path.read_text())
    for key in ("base_model_name_or_path", "model_name"):
        if key in config:
            config[key] = directory.parent.name
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    head = directory / "head_config.json"
    if head.is_file():
        head.write_text(head.read_text().replace(str(BASES) + "/", ""))
    for file in ("README.md", "adapter_fusion_config.json"):
        (directory / file).unlink(missing_ok=True)


def hub(name, kind, config, found):
    # `sdpa` would add 1 to the scores of prefixes of DistilBERT: its masks are added, but those of prefixes are 1.
    model = AutoAdapterModel.from_pretrained(BASES / name, attn_implementation="eager")
    model.add_adapter(kind, config=config)
    model.add_classification_head(kind, num_labels=LABELS, layers=1 if kind == "ia3" else 2)
    model.set_active_adapters(kind)
    model.active_head = kind
    randomize(model, lambda parameter: f".{kind}." in parameter, 1)
    directory = FIXTURES / name / f"hub-{kind}"
    directory.mkdir(parents=True)
    # The package cannot write prefixes as safetensors, because their tensors are shared.
    model.save_adapter(str(directory), kind, use_safetensors=kind not in ("union", "gated"))
    tidy(directory)
    found[directory.name] = logits(model, name)


def hub_static(name, found):
    """The head of the family's own class."""
    model = AutoModelForSequenceClassification.from_pretrained(BASES / name, num_labels=LABELS)
    adapters.init(model)
    model.add_adapter("static", config=adapters.SeqBnConfig(reduction_factor=8))
    model.set_active_adapters("static")
    randomize(model, lambda parameter: ".static." in parameter or "classifier" in parameter, 2)
    directory = FIXTURES / name / "hub-static"
    directory.mkdir(parents=True)
    model.save_adapter(str(directory), "static", use_safetensors=True, with_head=True)
    tidy(directory)
    found[directory.name] = logits(model, name)


def peft_adapter(name, kind, config, found):
    # ModernBERT has a softmax in single precision in its own code.
    attention = "sdpa" if name.startswith("modernbert") else None
    model = AutoModelForSequenceClassification.from_pretrained(
        BASES / name, num_labels=LABELS, attn_implementation=attention)
    model = get_peft_model(model, config)
    randomize(model, lambda parameter: any(
        part in parameter for part in ("lora_", "ia3_", "ln_tuning", "modules_to_save")), 3)
    directory = FIXTURES / name / f"peft-{kind}"
    model.save_pretrained(str(directory))
    tidy(directory)
    found[directory.name] = logits(model, name)


def write(name):
    shutil.rmtree(FIXTURES / name, ignore_errors=True)
    (FIXTURES / name).mkdir(parents=True)
    torch.manual_seed(0)
    found = {}
    if name in HUB:
        for kind, config in hub_kinds().items():
            hub(name, kind, config, found)
        hub_static(name, found)
    modules = PEFT.get(name)
    if modules:
        common = {"task_type": "SEQ_CLS", "modules_to_save": modules["save"]}
        configs = {
            "lora": LoraConfig(**common, r=3, target_modules=modules["lora"]),
            "dora": LoraConfig(**common, r=2, target_modules=modules["everywhere"], use_dora=True, use_rslora=True),
            "ia3": IA3Config(**common, target_modules=modules["ia3"], feedforward_modules=modules["ia3_inputs"]),
        }
        if modules["norms"]:
            configs["norms"] = LNTuningConfig(**common, target_modules=modules["norms"])
        if name.startswith("modernbert"):
            # By default, the classifier alone is saved: the layers in front of it are the base's.
            configs["last"] = LoraConfig(task_type="SEQ_CLS", r=3, target_modules=["Wqkv", "mlp.Wo"])
        for kind, config in configs.items():
            peft_adapter(name, kind, config, found)
    save_file(found, FIXTURES / name / "outputs.safetensors")


for name in sys.argv[1:] or sorted({*HUB, *PEFT}):
    write(name)
    size = sum(file.stat().st_size for file in (FIXTURES / name).rglob("*") if file.is_file())
    print(name, size, sorted(file.name for file in (FIXTURES / name).iterdir()))
