"""Every setting of the packages' configuration classes, one after the other, set to something else than its default.

The package saves an adapter with it, loads it again and computes logits; `trainer` imports the directory, and either
computes the same or refuses it by the name of the setting. Anything else is a failure, and so is a class or a setting
that is not in the tables below: a new release of a package that brings one is noticed.
"""

import collections
import copy
import dataclasses
import inspect
import json
import random
import re

import adapters
import peft
import torch
from adapters import BertAdapterModel
from adapters.configuration import adapter_config as hub
from adapters.heads import ClassificationHead
from peft import PeftModel, get_peft_model
from transformers import BertForSequenceClassification
from transformers.activations import ACT2FN

TOLERANCE = 2e-5
NAME = "walked"


@dataclasses.dataclass
class With:
    """A value that needs others beside it to have an effect."""

    value: object
    others: dict


# How a setting is walked that cannot be set in its class.
BY_CLASS = "the other classes have the other values"

BOTTLENECK = {
    "mh_adapter": [False, True],
    "output_adapter": [False, True],
    "reduction_factor": [2, 3.2, 6.4, 12.8, 0.5, 100, {"0": 4, "default": 16}, {"0": 4, "1": 16}],
    "non_linearity": ["relu", "gelu", "Swish", "leakyrelu"],
    "original_ln_before": [False, True],
    "original_ln_after": [False, With(False, {"residual_before_ln": False})],
    "ln_before": [True],
    "ln_after": [True],
    "init_weights": ["bert", "mam_adapter", "houlsby"],
    "init_weights_seed": [7],
    "is_parallel": [False, True],
    "scaling": [0.5, "learned", "channel"],
    "use_gating": [True],
    "residual_before_ln": [False, "post_add", With(False, {"original_ln_before": True}),
                           With("post_add", {"original_ln_before": True})],
    "adapter_residual_before_ln": [True, With(True, {"ln_after": True})],
    "inv_adapter": [With("nice", {"inv_adapter_reduction_factor": 2}),
                    With("glow", {"inv_adapter_reduction_factor": 2})],
    "inv_adapter_reduction_factor": [4],
    "cross_adapter": [True],
    "leave_out": [[0], [1], [7]],
    "dropout": [0.3],
    "phm_layer": [True],
    "phm_dim": [2],
    "factorized_phm_W": [False],
    "shared_W_phm": [True],
    "shared_phm_rule": [False],
    "factorized_phm_rule": [True],
    "phm_c_init": ["uniform"],
    "phm_init_range": [0.1],
    "learn_phm": [False],
    "hypercomplex_nonlinearity": ["phm"],
    "phm_rank": [2],
    "phm_bias": [False],
    "stochastic_depth": [0.1],
}
ACTIVATIONS = {"non_linearity": sorted({*ACT2FN, "leakyrelu"})}
# Those that change numbers together.
SWITCHES = {
    "mh_adapter": [True, True, False], "output_adapter": [True], "original_ln_before": [False, True],
    "original_ln_after": [False, True], "ln_before": [False, True], "ln_after": [False, True],
    "is_parallel": [False, False, True], "scaling": [1.0, 0.5, "learned", "channel"], "use_gating": [False, True],
    "residual_before_ln": [True, False, "post_add"], "adapter_residual_before_ln": [False, True],
    "non_linearity": ["relu", "gelu", "swish"], "leave_out": [[], [1]],
}
LORA = {
    "architecture": BY_CLASS,
    "selfattn_lora": [With(False, {"intermediate_lora": True})],
    "intermediate_lora": [True, False],
    "output_lora": [True],
    "leave_out": [[0], [1]],
    "r": [1, 3],
    "alpha": [2, 16],
    "dropout": [0.3],
    "attn_matrices": [["q"], ["k"], ["v"], ["q", "k", "v"]],
    "composition_mode": ["add", With("scale", {"r": 1, "alpha": 1, "init_weights": "ia3"})],
    "init_weights": ["bert", "vera", "ia3", "lora"],
    "init_weights_seed": [7],
    "use_gating": [True],
    "use_dora": [True],
    "vera_d": [0.1, 0.0, With(0.1, {"vera_b": 0.1}), With(0.0, {"vera_b": 0.0})],
    "vera_b": [0.1, 0.0],
    "dtype": ["float32", "float16"],
}
PREFIX = {
    "architecture": BY_CLASS,
    "encoder_prefix": [False],
    "cross_prefix": [False],
    "leave_out": [[0], [1]],
    "flat": [True],
    "prefix_length": [5],
    "bottleneck_size": [16],
    "non_linearity": ["relu", "gelu", With("relu", {"flat": True})],
    "dropout": [0.3],
    "use_gating": [True],
    "shared_gating": [False, With(False, {"use_gating": True})],
    "init_weights_seed": [7],
}
HUB_TABLES = {"SeqBnConfig": BOTTLENECK | ACTIVATIONS, "DoubleSeqBnConfig": BOTTLENECK, "ParBnConfig": BOTTLENECK,
              "LoRAConfig": LORA, "IA3Config": LORA, "PrefixTuningConfig": PREFIX}
# Small sizes for a BERT of 32.
HUB_SIZES = {"SeqBnConfig": {"reduction_factor": 8}, "DoubleSeqBnConfig": {"reduction_factor": 8},
             "ParBnConfig": {"reduction_factor": 8}, "PrefixTuningConfig": {"prefix_length": 3, "bottleneck_size": 8}}
# Whole classes: what becomes of their defaults.
HUB_CLASSES = {
    "BnConfig": lambda: hub.BnConfig(mh_adapter=True, output_adapter=False, reduction_factor=4, non_linearity="tanh"),
    "CompacterConfig": lambda: hub.CompacterConfig(reduction_factor=4),
    "CompacterPlusPlusConfig": lambda: hub.CompacterPlusPlusConfig(reduction_factor=4),
    "SeqBnInvConfig": lambda: hub.SeqBnInvConfig(reduction_factor=8),
    "DoubleSeqBnInvConfig": lambda: hub.DoubleSeqBnInvConfig(reduction_factor=8),
    "AdapterPlusConfig": lambda: hub.AdapterPlusConfig(reduction_factor=8, stochastic_depth=0.0),
    "PromptTuningConfig": hub.PromptTuningConfig,
    "VeraConfig": hub.VeraConfig,
    "DoRAConfig": hub.DoRAConfig,
    "DvoRAConfig": hub.DvoRAConfig,
    "MTLLoRAConfig": hub.MTLLoRAConfig,
    "LoReftConfig": hub.LoReftConfig,
    "NoReftConfig": hub.NoReftConfig,
    "DiReftConfig": hub.DiReftConfig,
    "MAMConfig": lambda: hub.MAMConfig(hub.PrefixTuningConfig(prefix_length=3, bottleneck_size=8),
                                       hub.ParBnConfig(reduction_factor=8)),
    "UniPELTConfig": lambda: hub.UniPELTConfig(hub.PrefixTuningConfig(prefix_length=3, bottleneck_size=8),
                                               hub.SeqBnConfig(reduction_factor=8), hub.LoRAConfig(r=4, alpha=2)),
}
ABSTRACT = {"AdapterConfig", "MultiTaskConfig", "ReftConfig", "ConfigUnion"}
UNIONS = {
    "two bottlenecks": lambda: hub.ConfigUnion(
        hub.SeqBnConfig(reduction_factor=8),
        hub.SeqBnConfig(reduction_factor=8, mh_adapter=True, output_adapter=False)),
    "LoRA and a prefix": lambda: hub.ConfigUnion(hub.LoRAConfig(r=4),
                                                 hub.PrefixTuningConfig(prefix_length=3, flat=True)),
    "(IA)3 and a bottleneck in other layers": lambda: hub.ConfigUnion(
        hub.IA3Config(), hub.DoubleSeqBnConfig(reduction_factor=8, leave_out=[0])),
}
HEADS = {
    "num_labels": [2, 4],
    "layers": [1, 3],
    "activation_function": ["relu", "gelu", "sigmoid", None],
    "use_pooler": [True],
    "dropout_prob": [0.3],
    "bias": [False],
    "id2label": [{0: "one", 1: "two", 2: "three"}],
}
HEAD_KINDS = {
    "add_multiple_choice_head": {"num_choices": 2},
    "add_qa_head": {},
    "add_dependency_parsing_head": {},
    "add_masked_lm_head": {},
    "add_causal_lm_head": {},
}

LORA_TARGETS = [
    ["query"], ["key", "dense"], ["dense"], ["intermediate.dense", "output.dense"], ["attention.output.dense"],
    "all-linear", r".*attention.self.(query|value)", ["bert.encoder.layer.1.output.dense"],
    ["layer.0.attention.self.query", "value"], ["query", "word_embeddings"], ["query", "classifier"], ["pooler.dense"],
]
COMMON = {
    "task_type": ["TOKEN_CLS", "FEATURE_EXTRACTION", With(None, {"modules_to_save": ["classifier"]})],
    "peft_type": BY_CLASS,
    "auto_mapping": [{"base_model_class": "BertForTokenClassification", "parent_library": "transformers"}],
    "peft_version": ["0.5.0"],
    "base_model_name_or_path": ["elsewhere"],
    "revision": ["main"],
    "inference_mode": [True],
    "exclude_modules": [["layer.0.attention.self.query"], r".*layer\.0.*"],
    "modules_to_save": [["classifier"], ["classifier", "score"], ["classifier", "pooler"]],
}
PEFT_TABLES = {
    "LoraConfig": COMMON | {
        "r": [1, 4],
        "target_modules": LORA_TARGETS,
        "lora_alpha": [1, 32],
        "lora_dropout": [0.3],
        "fan_in_fan_out": [True],
        "bias": ["all", "lora_only"],
        "use_rslora": [True],
        "init_lora_weights": [False, "gaussian", "orthogonal", "eva", "pissa", "pissa_niter_4", "olora", "corda",
                              With("loftq", {"loftq_config": {"loftq_bits": 4}})],
        "layers_to_transform": [1, [0], [0, 1], With([1], {"target_modules": ["query", "pooler.dense"]})],
        "layers_pattern": [With("layer", {"layers_to_transform": [1]}), With(["layer"], {"layers_to_transform": [1]}),
                           With("block", {"layers_to_transform": [1]})],
        "rank_pattern": [{"query": 2}, {".*0.attention.self.value": 2}],
        "alpha_pattern": [{"query": 2}],
        "megatron_config": [{"a": 1}],
        "megatron_core": ["elsewhere"],
        "trainable_token_indices": [[1, 2]],
        "loftq_config": [{"loftq_bits": 4}],
        "eva_config": [peft.EvaConfig(), With(peft.EvaConfig(), {"init_lora_weights": "eva"})],
        "corda_config": [peft.tuners.lora.config.CordaConfig()],
        "use_dora": [True],
        "alora_invocation_tokens": [[5]],
        "use_qalora": [True],
        "qalora_group_size": [8],
        "layer_replication": [[[0, 2], [0, 2]]],
        "runtime_config": [peft.LoraRuntimeConfig(ephemeral_gpu_offload=True)],
        "lora_bias": [True],
        "target_parameters": [["layer.0.attention.self.query.weight"]],
        "arrow_config": [peft.tuners.lora.config.ArrowConfig()],
        "ensure_weight_tying": [True],
    },
    "IA3Config": COMMON | {
        "target_modules": [["key", "value", "output.dense"], ["query", "intermediate.dense"], ["dense", "output.dense"],
                           "all-linear", r".*(key|output.dense)",
                           ["layer.0.attention.self.key", "layer.1.output.dense", "output.dense"],
                           ["bert.encoder.layer.1.output.dense", "output.dense"], ["output.dense"]],
        "feedforward_modules": [[], ["output.dense"], ["layer.0.output.dense"], ["put.dense"], r".*output.dense"],
        "fan_in_fan_out": [True],
        "init_ia3_weights": [False],
    },
    "LNTuningConfig": COMMON | {
        "target_modules": [["attention.output.LayerNorm"], ["LayerNorm", "query"], r".*LayerNorm",
                           ["embeddings.LayerNorm", "output.LayerNorm"]],
    },
}
PEFT_DEFAULTS = {
    "LoraConfig": {"target_modules": ["query", "value"]},
    "IA3Config": {"target_modules": ["key", "value", "output.dense"], "feedforward_modules": ["output.dense"]},
    "LNTuningConfig": {"target_modules": ["LayerNorm"]},
}


class Walk:
    def __init__(self, desk, with_noise):
        self.desk, self.with_noise = desk, with_noise
        self.outcomes = collections.Counter()
        self.failed = []
        self.number = 0

    def directory(self):
        self.number += 1
        return self.desk.directory / f"walked-{self.number}"

    def report(self, what, outcome, detail="", ok=True):
        self.outcomes[outcome] += 1
        print(f"{what:<78} {outcome} {detail}".rstrip(), flush=True)
        if not ok:
            self.failed.append(what)

    def judge(self, what, keys, make):
        """`make` saves into a directory and computes the logits of what the package loads from there."""
        directory = self.directory()
        try:
            expected = make(directory)
        except Exception as error:  # whatever a package throws at a setting it does not take
            self.report(what, "refused by the package", f"({type(error).__name__})")
            return False
        self.compare(what, keys, directory, expected)
        return True

    def compare(self, what, keys, directory, expected):
        out = directory.with_suffix(".safetensors")
        out.unlink(missing_ok=True)
        done = self.desk.tries("adapter", "import", directory, "--base", "base", "--max-length", 16, "--out", out)
        if done.returncode != 0:
            named = set(re.findall(r"`(\w+)`", done.stderr))
            fitting = named & set(keys)
            detail = f"by `{min(fitting)}`" if fitting else done.stderr.strip()
            self.report(what, "refused" if fitting else "REFUSED WITHOUT ITS NAME", detail, ok=bool(fitting))
            return
        try:
            found = self.desk.predicts(out)
        except RuntimeError as error:
            self.report(what, "FAILS AFTER THE IMPORT", str(error).strip(), ok=False)
            return
        if found is None:
            self.report(what, "read for words", ok=bool({"task_type", "auto_mapping"} & set(keys)))
            return
        if found.shape != expected.shape:
            self.report(what, "DIFFERS", f"{tuple(found.shape)}, not {tuple(expected.shape)}", ok=False)
            return
        difference = (found - expected).abs().max().item()
        ok = difference <= TOLERANCE
        self.report(what, "equal" if ok else "DIFFERS", f"{difference:.1e}", ok)

    # AdapterHub

    def hub_saved(self, config, directory, head):
        model = BertAdapterModel.from_pretrained(self.desk.base)
        model.add_adapter(NAME, config=config)
        head(model)
        model.set_active_adapters(NAME)
        model.active_head = NAME
        self.with_noise(model, lambda parameter: NAME in parameter)
        model.save_adapter(str(directory), NAME)

    def hub_logits(self, config, directory, head=lambda model: model.add_classification_head(NAME, num_labels=3)):
        self.hub_saved(config, directory, head)
        loaded = BertAdapterModel.from_pretrained(self.desk.base)
        loaded.load_adapter(str(directory), set_active=True)
        loaded.active_head = NAME
        return self.desk.logits(loaded)

    def hub_class(self, name, table):
        default = getattr(hub, name)
        sizes = HUB_SIZES.get(name, {})
        for field in dataclasses.fields(default):
            values = table.get(field.name)
            if values is None:
                self.report(f"{name}.{field.name}", "NOT IN THE TABLE", ok=False)
            for value, others in cases(values):
                if not others and value == getattr(default(**sizes), field.name):
                    continue
                settings = sizes | others | {field.name: value}
                what = f"{name}.{field.name} = {short(value)}{beside(others)}"
                self.judge(what, [field.name, *others],
                           lambda directory, settings=settings: self.hub_logits(default(**settings), directory))

    def hub_switches(self, count):
        """Bottlenecks with several switches at once."""
        stream = random.Random(0)
        for _ in range(count):
            chosen = {key: stream.choice(values) for key, values in SWITCHES.items()}
            config = hub.BnConfig(reduction_factor=8, **chosen)
            shown = ", ".join(f"{key}={value}" for key, value in chosen.items() if value not in (False, [], 1.0))
            self.judge(f"BnConfig({shown})", [*chosen],
                       lambda directory, config=config: self.hub_logits(config, directory))

    def hub_classes(self):
        found = {name for name, value in inspect.getmembers(hub, inspect.isclass)
                 if issubclass(value, hub.AdapterConfig)}
        for name in sorted(found - {*HUB_TABLES, *HUB_CLASSES, *ABSTRACT}):
            self.report(name, "NOT IN THE TABLE", ok=False)
        for name, make in (HUB_CLASSES | UNIONS).items():
            config = make()
            keys = ["architecture", "configs", *keys_of(config.to_dict())]
            self.judge(f"{name}, as it is", keys, lambda directory: self.hub_logits(config, directory))

    def hub_heads(self):
        config = hub.SeqBnConfig(reduction_factor=8)
        for name in inspect.signature(ClassificationHead.__init__).parameters:
            if name not in {"self", "model", "head_name", *HEADS}:
                self.report(f"head.{name}", "NOT IN THE TABLE", ok=False)
        for key, values in HEADS.items():
            for value in values:
                head = {"num_labels": 3, key: value}
                self.judge(f"head.{key} = {short(value)}", [key], lambda directory: self.hub_logits(
                    config, directory, lambda model: model.add_prediction_head(ClassificationHead(model, NAME, **head))))
        # Of tagging heads, which give no logits for a text, token_classification.py compares the logits.
        self.judge("head.multilabel = True", ["multilabel"], lambda directory: self.hub_logits(
            config, directory, lambda model: model.add_classification_head(NAME, num_labels=3, multilabel=True)))
        for kind, settings in HEAD_KINDS.items():
            directory = self.directory()
            self.hub_saved(config, directory, lambda model: getattr(model, kind)(NAME, **settings))
            self.compare(f"{kind}({short(settings)})", ["head_type"], directory, torch.zeros(0))

    def hub_fusions(self):
        """The adapters of a fusion are directories of their own; the fusion over them has no place here."""
        for kind in adapters.configuration.adapter_fusion_config.ADAPTERFUSION_CONFIG_MAP:
            model = BertAdapterModel.from_pretrained(self.desk.base)
            for name in ("one", "two"):
                model.add_adapter(name, config=hub.SeqBnConfig(reduction_factor=8))
            model.add_adapter_fusion(["one", "two"], kind)
            directory = self.directory()
            model.save_adapter_fusion(str(directory), "one,two")
            done = self.desk.tries("adapter", "import", directory, "--base", "base", "--out", "fusion.safetensors")
            ok = done.returncode != 0 and "adapter_fusion_config.json" in done.stderr
            self.report(f"a fusion, {kind}", "refused" if ok else "READ", done.stderr.strip(), ok)

    # PEFT

    def peft_logits(self, config, directory):
        model = BertForSequenceClassification.from_pretrained(self.desk.base, num_labels=3)
        model = get_peft_model(model, config)
        parts = ("lora_", "ia3_", "ln_tuning", "modules_to_save", "trainable_tokens", "classifier")
        self.with_noise(model, lambda parameter: any(part in parameter for part in parts))
        model.save_pretrained(str(directory))
        base = BertForSequenceClassification.from_pretrained(self.desk.base, num_labels=3)
        return self.desk.logits(PeftModel.from_pretrained(base, str(directory)))

    def peft_class(self, name, table):
        make, defaults = getattr(peft, name), {"task_type": "SEQ_CLS"} | PEFT_DEFAULTS[name]
        whole = self.directory()
        as_it_is = self.peft_logits(make(**defaults), whole)
        self.compare(f"{name}, as it is", [], whole, as_it_is)
        for field in dataclasses.fields(make):
            values = table.get(field.name)
            if values is None:
                self.report(f"{name}.{field.name}", "NOT IN THE TABLE", ok=False)
            for value, others in cases(values):
                # The package adds to lists that it is given.
                settings = copy.deepcopy(defaults | others | {field.name: value})
                what = f"{name}.{field.name} = {short(value)}{beside(others)}"
                if not self.judge(what, [field.name, *others], lambda directory, settings=settings: self.peft_logits(
                        make(**settings), directory)) and field.name == "init_lora_weights":
                    # It can come from elsewhere: this package has it, and cannot compute it here.
                    self.edited(f"{what}, in the file", whole, {field.name: value})
        return whole

    def edited(self, what, directory, change):
        """A directory with other settings than it was saved with, which have to be refused by their names."""
        file = directory / "adapter_config.json"
        before = file.read_text()
        file.write_text(json.dumps(json.loads(before) | change))
        self.compare(what, [*change], directory, torch.zeros(0))
        file.write_text(before)

    def peft_types(self, directory):
        """Other types than those that are walked above, in a directory that is whole but for it."""
        for kind in peft.PeftType:
            if kind.value not in ("LORA", "IA3", "LN_TUNING"):
                self.edited(f"peft_type = {kind.value}", directory, {"peft_type": kind.value})

    def early_peft(self, directory):
        """What `LoraConfig` of 0.1 and 0.2 wrote beside what it writes today."""
        file = directory / "adapter_config.json"
        before = file.read_text()
        base = BertForSequenceClassification.from_pretrained(self.desk.base, num_labels=3)
        expected = self.desk.logits(PeftModel.from_pretrained(base, str(directory)))
        for early in ({"merge_weights": False}, {"merge_weights": True}, {"enable_lora": None},
                      {"enable_lora": [True, False, True]}):
            file.write_text(json.dumps(json.loads(before) | early))
            self.compare(f"LoraConfig of 0.2, {short(early)}", [*early], directory, expected)
        file.write_text(before)


def cases(values):
    """Values with what stands beside each; none where a table says how else they are walked."""
    if values is None or isinstance(values, str):
        return
    for value in values:
        yield (value.value, value.others) if isinstance(value, With) else (value, {})


def beside(others):
    return f" with {short(others)}" if others else ""


def short(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def keys_of(settings):
    for key, value in settings.items():
        yield key
        for inner in value if isinstance(value, list) else ():
            if isinstance(inner, dict):
                yield from keys_of(inner)


def walk(desk, with_noise):
    """Whether every setting was met with equal logits or a refusal by its name."""
    walked = Walk(desk, with_noise)
    for name, table in HUB_TABLES.items():
        walked.hub_class(name, table)
    walked.hub_switches(60)
    walked.hub_classes()
    walked.hub_heads()
    walked.hub_fusions()
    directories = {name: walked.peft_class(name, table) for name, table in PEFT_TABLES.items()}
    walked.early_peft(directories["LoraConfig"])
    walked.peft_types(directories["LoraConfig"])
    total = sum(walked.outcomes.values())
    parts = ", ".join(f"{count} {outcome}" for outcome, count in walked.outcomes.most_common())
    for what in walked.failed:
        print(f"failed: {what}")
    print(f"{total} settings walked over: {parts}")
    return not walked.failed
