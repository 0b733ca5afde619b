"""Exchanges small adapters with the Python packages and compares logits: `cargo xtask interop`.

There: `trainer` trains on a small random BERT and exports; the packages load it, with nothing missing and nothing left
over. Back: the packages save adapters with random weights, and `trainer` imports them; then `walk.py` goes over every
setting of the packages' configuration classes. Adapters on bases of the other families are imported and exported again.

    python interop.py TRAINER     # the program; exit code 1 where anything differs
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Nothing here asks a hub for anything; PEFT looks there for the configuration of a base it does not know.
os.environ["HF_HUB_OFFLINE"] = "1"

import adapters
import torch
import transformers
from adapters import AutoAdapterModel, BertAdapterModel
from peft import IA3Config, LNTuningConfig, LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertTokenizerFast,
    PreTrainedTokenizerFast,
)

from walk import walk

TOLERANCE = 2e-5
WORDS = ["x", "y", "the", "a", "red", "blue", "cat", "dog", "runs", "sleeps", "and", "or", "not"]
TEXTS = [f"the {colour} {animal} {verb}" for colour in ("red", "blue") for animal in ("cat", "dog")
         for verb in ("runs", "sleeps", "and not runs or sleeps")]
LABELS = ["x", "y", "z"]


class Heard(logging.Handler):
    """What the packages say while they load."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())

    def complaints(self):
        words = ("missing", "unexpected", "not found", "newly initialized", "not used", "no matching")
        found = [line for line in self.said if any(word in line.lower() for word in words)]
        self.said.clear()
        return found


class Desk:
    def __init__(self, trainer, directory):
        self.trainer, self.directory = trainer, Path(directory)
        self.base = self.directory / "base"
        self.heard = Heard()
        # It tells on the terminal that a base has no classifier, each time; here it is heard and judged where it matters.
        transformers.utils.logging.disable_default_handler()
        for name in ("adapters", "transformers", "peft"):
            logging.getLogger(name).addHandler(self.heard)
        logging.captureWarnings(True)
        logging.getLogger("py.warnings").addHandler(self.heard)
        self.lay_base()
        self.tokenizer = BertTokenizerFast.from_pretrained(self.base)
        self.rows = []

    def lay_base(self):
        torch.manual_seed(1)
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        config = BertConfig(
            vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=64, max_position_embeddings=32,
        )
        model = BertModel(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        model.save_pretrained(self.base)
        (self.base / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
        BertTokenizerFast(vocab_file=str(self.base / "vocab.txt")).save_pretrained(self.base)
        lines = [f"{text},{LABELS[number % 3]}" for number, text in enumerate(TEXTS * 3)]
        (self.directory / "rows.csv").write_text("\n".join(["text,label", *lines]) + "\n")
        (self.directory / "texts").write_text("\n".join(TEXTS) + "\n")

    def tries(self, *arguments):
        command = [self.trainer, *map(str, arguments)]
        return subprocess.run(command, cwd=self.directory, capture_output=True, text=True)

    def says(self, *arguments):
        done = self.tries(*arguments)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(done.args)}\n{done.stderr}")
        return done.stdout

    def train(self, name, method, pooling, *more):
        self.says(
            "train", "--train", "rows.csv", "--text", "text", "--label", "label", "--base", "base",
            "--device", "cpu", "--epochs", 2, "--batch-size", 4, "--lr", "1e-3", "--max-length", 16,
            "--method", method, "--pooling", pooling, "--name", name, "--json", *more,
        )
        return self.directory / "runs" / "rows" / name / "adapter.safetensors"

    def predicts(self, adapter):
        lines = self.says("predict", adapter, "--input", "texts", "--base", "base", "--device", "cpu", "--json")
        predictions = [json.loads(line) for line in lines.splitlines()]
        # A head that labels words has no logits for a text.
        return None if "entities" in predictions[0] else torch.tensor([row["logits"] for row in predictions])

    def logits(self, model):
        inputs = self.tokenizer(TEXTS, return_tensors="pt", padding=True)
        with torch.no_grad():
            return model.eval()(**inputs).logits

    def compare(self, what, found, expected):
        difference = (found - expected).abs().max().item()
        complaints = self.heard.complaints()
        ok = difference <= TOLERANCE and not complaints
        self.rows.append(ok)
        print(f"{what:<52} {difference:9.1e}  {'ok' if ok else 'DIFFERS'}")
        for complaint in complaints:
            print(f"    {complaint}")


def there_adapter_hub(desk):
    for name, method, more, norms in [
        ("houlsby", "houlsby", ("--size", 4), True),
        ("pfeiffer", "pfeiffer", ("--size", 4), False),
        ("parallel", "parallel", ("--size", 4), False),
        ("scaled-parallel", "scaled-parallel", ("--size", 4), False),
        ("lora", "lora", (), False),
        ("dora", "dora-adapter-hub", (), False),
        ("ia3", "ia3", (), False),
        ("prefix", "prefix", ("--size", 3), False),
        ("mam", "mam", (), False),
    ]:
        adapter = desk.train(f"hub-{name}", method, "first-token", *more)
        for safe in (False, True):
            out = desk.directory / f"to-hub-{name}-{safe}"
            flags = ["--with-layer-norms"] if norms else []
            desk.says("adapter", "export", adapter, "--format", "adapter-hub", "--base", "base", "--out", out, *flags)
            model = BertAdapterModel.from_pretrained(desk.base)
            desk.heard.said.clear()
            loaded = model.load_adapter(str(out), use_safetensors=safe)
            model.set_active_adapters(loaded)
            model.active_head = loaded
            kind = "safetensors" if safe else "pickle"
            desk.compare(f"trainer -> adapters: {name}, {kind}", desk.logits(model), desk.predicts(adapter))


def there_peft(desk):
    for method in ("lora", "dora", "ia3", "layer-norm"):
        adapter = desk.train(f"peft-{method}", method, "pooler")
        out = desk.directory / f"to-peft-{method}"
        desk.says("adapter", "export", adapter, "--format", "peft", "--base", "base", "--out", out)
        model = BertForSequenceClassification.from_pretrained(desk.base, num_labels=len(LABELS))
        desk.heard.said.clear()
        model = PeftModel.from_pretrained(model, str(out))
        desk.compare(f"trainer -> peft: {method}", desk.logits(model), desk.predicts(adapter))


def there_merged(desk):
    for method in ("lora", "dora", "dora-adapter-hub", "ia3", "layer-norm", "full"):
        adapter = desk.train(f"merged-{method}", method, "pooler")
        out = desk.directory / f"merged-{method}"
        desk.says("adapter", "export", adapter, "--format", "merged", "--base", "base", "--out", out)
        desk.heard.said.clear()
        model, info = AutoModelForSequenceClassification.from_pretrained(out, output_loading_info=True)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            assert not info[kind], f"{kind}: {info[kind]}"
        assert model.config.id2label == dict(enumerate(LABELS)), model.config.id2label
        BertTokenizerFast.from_pretrained(out)
        desk.compare(f"trainer -> transformers, merged: {method}", desk.logits(model), desk.predicts(adapter))


def several_labels(desk):
    """A text has any number of labels: each format keeps that, or a flag restores it."""
    labels = ["red", "blue"]
    with open(desk.directory / "sets.csv", "w") as file:
        file.write("text,red,blue\n")
        for row in range(40):
            file.write(f"{TEXTS[row % len(TEXTS)]} {WORDS[row % len(WORDS)]},{row % 2},{row // 2 % 2}\n")

    def train(name, method, pooling):
        desk.says(
            "train", "--train", "sets.csv", "--text", "text", "--labels", ",".join(labels), "--base", "base",
            "--device", "cpu", "--epochs", 1, "--batch-size", 4, "--max-length", 16, "--method", method,
            "--pooling", pooling, "--name", name, "--json",
        )
        return desk.directory / "runs" / "sets" / name / "adapter.safetensors"

    def export(adapter, to):
        out = desk.directory / f"sets-{to}"
        desk.says("adapter", "export", adapter, "--format", to, "--base", "base", "--out", out)
        return out

    def imported(what, directory, expected, *flags):
        out = desk.directory / f"{directory.name}-back.safetensors"
        desk.says("adapter", "import", directory, "--base", "base", "--max-length", 16, "--out", out, *flags)
        head = json.loads(desk.says("adapter", "inspect", out, "--json"))["metadata"]["head"]
        assert head == {"multi-label": {"labels": labels}}, head
        desk.heard.said.clear()
        desk.compare(what, desk.predicts(out), expected)

    adapter = train("hub", "pfeiffer", "first-token")
    model = BertAdapterModel.from_pretrained(desk.base)
    desk.heard.said.clear()
    loaded = model.load_adapter(str(export(adapter, "adapter-hub")))
    model.set_active_adapters(loaded)
    model.active_head = loaded
    assert model.heads[loaded].config["head_type"] == "multilabel_classification"
    desk.compare("trainer -> adapters: several labels", desk.logits(model), desk.predicts(adapter))

    adapter = train("peft", "lora", "pooler")
    out = export(adapter, "peft")
    kind = {"num_labels": len(labels), "problem_type": "multi_label_classification"}
    model = BertForSequenceClassification.from_pretrained(desk.base, **kind)
    desk.heard.said.clear()
    model = PeftModel.from_pretrained(model, str(out))
    desk.compare("trainer -> peft: several labels", desk.logits(model), desk.predicts(adapter))
    imported("peft -> trainer: several labels", out, desk.logits(model), "--multi-label", "--labels", ",".join(labels))

    desk.heard.said.clear()
    model = AutoModelForSequenceClassification.from_pretrained(export(adapter, "merged"))
    assert model.config.problem_type == "multi_label_classification", model.config.problem_type
    assert model.config.id2label == dict(enumerate(labels)), model.config.id2label
    desk.compare("trainer -> transformers, merged: several labels", desk.logits(model), desk.predicts(adapter))

    model = BertAdapterModel.from_pretrained(desk.base)
    model.add_adapter("sets", config=adapters.SeqBnConfig(reduction_factor=8))
    model.add_classification_head(
        "sets", num_labels=len(labels), multilabel=True, id2label=dict(enumerate(labels))
    )
    with_noise(model, lambda parameter: "sets" in parameter)
    model.set_active_adapters("sets")
    model.active_head = "sets"
    saved = desk.directory / "sets-saved"
    model.save_adapter(str(saved), "sets")
    imported("adapters -> trainer: several labels", saved, desk.logits(model))


def with_noise(model, wanted):
    """Moves what an adapter brings from where it starts, so that whatever is dropped or mixed up shows."""
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if wanted(name):
                parameter.add_(0.1 * torch.randn_like(parameter))


def back(desk, what, directory, expected):
    out = desk.directory / f"{directory.name}.safetensors"
    desk.says(
        "adapter", "import", directory, "--base", "base", "--labels", ",".join(LABELS),
        "--max-length", 16, "--out", out,
    )
    desk.heard.said.clear()
    desk.compare(what, desk.predicts(out), expected)


def back_adapter_hub(desk):
    for name, config in [
        ("double_seq_bn", adapters.DoubleSeqBnConfig(reduction_factor=8)),
        ("seq_bn", adapters.SeqBnConfig(reduction_factor=8)),
        ("par_bn", adapters.ParBnConfig(reduction_factor=8)),
        ("lora", adapters.LoRAConfig()),
        ("dora", adapters.DoRAConfig()),
        ("dora-gated", adapters.DoRAConfig(use_gating=True)),
        ("ia3", adapters.IA3Config()),
        ("prefix_tuning", adapters.PrefixTuningConfig(prefix_length=3, bottleneck_size=8)),
        ("mam", adapters.MAMConfig()),
    ]:
        model = BertAdapterModel.from_pretrained(desk.base)
        model.add_adapter(name, config=config)
        model.add_classification_head(name, num_labels=len(LABELS))
        model.set_active_adapters(name)
        model.active_head = name
        with_noise(model, lambda parameter, name=name: name in parameter)
        directory = desk.directory / f"from-hub-{name}"
        model.save_adapter(str(directory), name)
        back(desk, f"adapters -> trainer: {name}", directory, desk.logits(model))


def back_peft(desk):
    for name, config in [
        ("lora", LoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"])),
        ("dora", LoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"], use_dora=True)),
        ("dora-everywhere", LoraConfig(task_type="SEQ_CLS", target_modules="all-linear", use_dora=True, use_rslora=True)),
        ("lora-patterns", LoraConfig(
            task_type="SEQ_CLS", target_modules=["query", "value"], layers_to_transform=[1],
        )),
        ("ia3", IA3Config(
            task_type="SEQ_CLS", target_modules=["key", "value", "intermediate.dense"],
            feedforward_modules=["intermediate.dense"],
        )),
        ("ln_tuning", LNTuningConfig(task_type="SEQ_CLS", target_modules=["LayerNorm"])),
    ]:
        model = BertForSequenceClassification.from_pretrained(desk.base, num_labels=len(LABELS))
        model = get_peft_model(model, config)
        with_noise(model, lambda parameter: any(
            part in parameter for part in ("lora_", "ia3_", "ln_tuning", "modules_to_save")
        ))
        directory = desk.directory / f"from-peft-{name}"
        model.save_pretrained(str(directory))
        back(desk, f"peft -> trainer: {name}", directory, desk.logits(model))


# Small models of the other families: the configuration, what PEFT adapts, and whether AdapterHub has the family.
SIZE = {"vocab_size": 5 + len(WORDS), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 64, "max_position_embeddings": 32, "pad_token_id": 0}
BERT_TARGETS = ["query", "value", "intermediate.dense"]
FAMILIES = {
    "roberta": (transformers.RobertaConfig(**SIZE, type_vocab_size=1), BERT_TARGETS, True),
    "xlm-roberta": (transformers.XLMRobertaConfig(**SIZE, type_vocab_size=1), BERT_TARGETS, True),
    "camembert": (transformers.CamembertConfig(**SIZE, type_vocab_size=1), BERT_TARGETS, False),
    "distilbert": (transformers.DistilBertConfig(
        vocab_size=SIZE["vocab_size"], dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=32,
    ), ["q_lin", "v_lin", "lin1"], True),
    "mpnet": (transformers.MPNetConfig(**{**SIZE, "pad_token_id": 1}), ["q", "v", "intermediate.dense"], False),
    "deberta-v2": (transformers.DebertaV2Config(
        **SIZE, type_vocab_size=0, relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False,
    ), ["query_proj", "value_proj", "intermediate.dense"], True),
    "electra": (transformers.ElectraConfig(**SIZE, embedding_size=24), BERT_TARGETS, True),
    "modernbert": (transformers.ModernBertConfig(
        **{**SIZE, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}, local_attention=8,
        global_attn_every_n_layers=2, classifier_pooling="mean", reference_compile=False,
    ), ["Wqkv", "Wi", "mlp.Wo"], False),
}


class FamilyDesk:
    """A base of another family, with the texts, the tokens and the judgement of the first desk."""

    def __init__(self, desk, name, config):
        self.desk, self.name, self.base = desk, name, f"base-{name}"
        torch.manual_seed(3)
        model = transformers.AutoModel.from_config(config)
        with_noise(model, lambda parameter: True)
        directory = desk.directory / self.base
        model.save_pretrained(directory)
        PreTrainedTokenizerFast(
            tokenizer_object=desk.tokenizer.backend_tokenizer, pad_token="[PAD]", unk_token="[UNK]",
            cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
            model_input_names=["input_ids", "attention_mask"],
        ).save_pretrained(directory)
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(directory)

    def logits(self, model):
        inputs = self.tokenizer(TEXTS, return_tensors="pt", padding=True)
        with torch.no_grad():
            return model.eval()(**inputs).logits

    def there_and_back(self, kind, saved, expected, formats):
        """Imports what a package has saved, and exports it: both give the package's logits."""
        adapter = self.desk.directory / f"{self.name}-{kind}.safetensors"
        self.desk.says(
            "adapter", "import", saved, "--base", self.base, "--labels", ",".join(LABELS), "--max-length", 16,
            "--out", adapter,
        )
        found = self.predicts(adapter)
        self.desk.heard.said.clear()
        self.desk.compare(f"packages -> trainer: {self.name}: {kind}", found, expected)
        self.exports(kind, adapter, expected, formats)

    def trained(self, formats):
        """Trains with the defaults of the family, whose head is that of its class, and exports."""
        self.desk.says(
            "train", "--train", "rows.csv", "--text", "text", "--label", "label", "--base", self.base, "--device", "cpu",
            "--epochs", 1, "--batch-size", 4, "--lr", "1e-3", "--max-length", 16, "--method", "lora",
            "--name", self.name, "--json",
        )
        adapter = self.desk.directory / "runs" / "rows" / self.name / "adapter.safetensors"
        self.exports("trained", adapter, self.predicts(adapter), formats)

    def predicts(self, adapter):
        lines = self.desk.says("predict", adapter, "--input", "texts", "--base", self.base, "--device", "cpu", "--json")
        return torch.tensor([json.loads(line)["logits"] for line in lines.splitlines()])

    def exports(self, kind, adapter, expected, formats):
        for format in formats:
            out = self.desk.directory / f"{self.name}-{kind}-{format}"
            self.desk.says("adapter", "export", adapter, "--format", format, "--base", self.base, "--out", out)
            model = {"peft": self.load_peft, "merged": self.load_merged, "adapter-hub": self.load_hub}[format](out)
            self.desk.compare(f"trainer -> {format}: {self.name}: {kind}", self.logits(model), expected)

    def classifier(self):
        path = self.desk.directory / self.base
        model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=len(LABELS))
        self.desk.heard.said.clear()
        return model

    def load_peft(self, directory):
        return PeftModel.from_pretrained(self.classifier(), str(directory))

    def load_merged(self, directory):
        model, info = AutoModelForSequenceClassification.from_pretrained(directory, output_loading_info=True)
        assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
        return model

    def hub_model(self):
        # `sdpa` adds 1 to the scores of prefixes on DistilBERT.
        path = self.desk.directory / self.base
        model = AutoAdapterModel.from_pretrained(path, attn_implementation="eager")
        self.desk.heard.said.clear()
        return model

    def load_hub(self, directory):
        model = self.hub_model()
        name = model.load_adapter(str(directory))
        model.set_active_adapters(name)
        model.active_head = name
        return model

    def peft(self, kind, config):
        model = get_peft_model(self.classifier(), config)
        with_noise(model, lambda parameter: any(
            part in parameter for part in ("lora_", "ia3_", "ln_tuning", "modules_to_save")))
        saved = self.desk.directory / f"{self.name}-from-peft-{kind}"
        model.save_pretrained(str(saved))
        self.there_and_back(f"peft-{kind}", saved, self.logits(model), ["peft", "merged"])

    def hub(self, kind, config):
        model = self.hub_model()
        model.add_adapter(kind, config=config)
        model.add_classification_head(kind, num_labels=len(LABELS))
        model.set_active_adapters(kind)
        model.active_head = kind
        with_noise(model, lambda parameter: f".{kind}." in parameter)
        saved = self.desk.directory / f"{self.name}-from-hub-{kind}"
        saved.mkdir()
        model.save_adapter(str(saved), kind)
        self.there_and_back(f"hub-{kind}", saved, self.logits(model), ["adapter-hub"])


def families(desk):
    for name, (config, targets, in_hub) in FAMILIES.items():
        own = FamilyDesk(desk, name, config)
        hidden = {"distilbert": ["pre_classifier"], "deberta-v2": ["pooler"], "modernbert": ["head"]}.get(name)
        common = {"task_type": "SEQ_CLS", "modules_to_save": hidden}
        own.trained(["peft", "merged", "adapter-hub"] if in_hub else ["peft", "merged"])
        own.peft("lora", LoraConfig(**common, target_modules=targets))
        own.peft("dora", LoraConfig(**common, target_modules=targets, use_dora=True))
        norms = {
            "distilbert": ["LayerNorm", "sa_layer_norm", "output_layer_norm"],
            "modernbert": ["embeddings.norm", "mlp_norm", "final_norm", "layers.1.attn_norm"],
        }.get(name, ["LayerNorm"])
        if name != "deberta-v2":  # `encoder.LayerNorm`, of the embeddings of distances, would be adapted too.
            own.peft("norms", LNTuningConfig(**common, target_modules=norms))
        own.peft("ia3", IA3Config(**common, target_modules=targets, feedforward_modules=targets[2:]))
        if in_hub:
            own.hub("houlsby", adapters.DoubleSeqBnConfig(reduction_factor=8))
            own.hub("lora", adapters.LoRAConfig(intermediate_lora=True, output_lora=True))
            own.hub("mam", adapters.MAMConfig())


def main():
    trainer = str(Path(sys.argv[1]).resolve())
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as directory:
        desk = Desk(trainer, directory)
        for exchange in (
            there_adapter_hub, there_peft, there_merged, back_adapter_hub, back_peft, several_labels, families,
        ):
            exchange(desk)
        whole = walk(desk, with_noise)
    differing = desk.rows.count(False)
    print(f"{len(desk.rows)} exchanges, {differing} differ by more than {TOLERANCE:.0e} or lose something")
    return 0 if whole and not differing else 1


if __name__ == "__main__":
    sys.exit(main())
