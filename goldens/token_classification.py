"""Adapters that label words, of the packages `adapters` and `peft`, on the small models of
burn-bert/tests/fixtures/families, with the logits of every token in double precision, for
burn-adapters/tests/fixtures/tokens/NAME:

- hub-tagging, hub-static, peft-tags: as the packages save them;
- outputs.safetensors: the logits of each, and the loss of transformers' class for the tags in `labels`, where -100 is
  ignored.

    OMP_NUM_THREADS=1 target/peers/bin/python goldens/token_classification.py
"""

import pathlib
import shutil

import torch
from family_exchange import BASES, BERT, HUB, PEFT, ROOT, randomize, tidy  # first: it keeps the packages offline
import adapters
from adapters import AutoAdapterModel
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification

FIXTURES = ROOT / "burn-adapters/tests/fixtures/tokens"
LABELS = ["B-person", "B-place", "I-person", "I-place", "O"]
NAMES = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}


def inputs(model, name):
    stored = load_file(BASES / name / "outputs.safetensors")
    given = {key: stored[key] for key in ("input_ids", "token_type_ids", "attention_mask")}
    if not getattr(model.config, "type_vocab_size", 0):
        del given["token_type_ids"]
    return given


def outputs(model, given, **more):
    with torch.no_grad():
        return model.double().eval()(**given, **more)


def hub(name, found):
    model = AutoAdapterModel.from_pretrained(BASES / name, attn_implementation="eager")
    model.add_adapter("tagging", config=adapters.DoubleSeqBnConfig(reduction_factor=8))
    model.add_tagging_head("tagging", num_labels=len(LABELS), layers=2, id2label=NAMES["id2label"])
    model.set_active_adapters("tagging")
    model.active_head = "tagging"
    save(model, name, "tagging", 1, found)


def hub_static(name, found):
    model = AutoModelForTokenClassification.from_pretrained(BASES / name, ignore_mismatched_sizes=True, **NAMES)
    adapters.init(model)
    model.add_adapter("static", config=adapters.SeqBnConfig(reduction_factor=8))
    model.set_active_adapters("static")
    save(model, name, "static", 2, found)


def save(model, name, kind, seed, found):
    randomize(model, lambda parameter: f".{kind}." in parameter or "classifier" in parameter, seed)
    directory = FIXTURES / name / f"hub-{kind}"
    directory.mkdir(parents=True)
    model.save_adapter(str(directory), kind, use_safetensors=True, with_head=True)
    tidy(directory)
    found[directory.name] = outputs(model, inputs(model, name)).logits


def peft_tags(name, found):
    attention = "sdpa" if name.startswith("modernbert") else None
    model = AutoModelForTokenClassification.from_pretrained(
        BASES / name, attn_implementation=attention, ignore_mismatched_sizes=True, **NAMES)
    modules = {**BERT, **PEFT.get(name, BERT)}
    save_too = ["head", "classifier"] if name.startswith("modernbert") else None
    model = get_peft_model(model, LoraConfig(
        task_type="TOKEN_CLS", r=3, target_modules=modules["lora"], modules_to_save=save_too))
    randomize(model, lambda parameter: "lora_" in parameter or "modules_to_save" in parameter, 3)
    directory = FIXTURES / name / "peft-tags"
    model.save_pretrained(str(directory))
    tidy(directory)
    given = inputs(model, name)
    tags = torch.arange(given["input_ids"].numel()).reshape(given["input_ids"].shape) * 7 % (len(LABELS) + 2)
    tags[(tags >= len(LABELS)) | (given["attention_mask"] == 0)] = -100
    result = outputs(model, given, labels=tags)
    found["peft-tags"], found["labels"], found["loss"] = result.logits, tags, result.loss.reshape(1)


def write(name):
    shutil.rmtree(FIXTURES / name, ignore_errors=True)
    (FIXTURES / name).mkdir(parents=True)
    torch.manual_seed(0)
    found = {}
    if name in ("bert", "roberta", "distilbert"):
        hub(name, found)
        hub_static(name, found)
    peft_tags(name, found)
    save_file({key: value.contiguous() for key, value in found.items()}, FIXTURES / name / "outputs.safetensors")
    print(name, sorted(found))


if __name__ == "__main__":
    for base in ["bert", *PEFT]:
        write(base)
