"""The settings that each configuration class writes, for burn-adapters/tests/fixtures/settings.json.

target/peers/bin/python goldens/settings.py     # the Python that `cargo xtask interop` makes

A test sets each of them to something that means nothing, and expects the reader to refuse it by its name, or to have
it in its list of settings that change no answer.
"""
import dataclasses
import inspect
import json
import pathlib

import peft
from adapters.configuration import adapter_config
from peft.utils.save_and_load import PeftType

HUB = [adapter_config.BnConfig(mh_adapter=True, output_adapter=True, reduction_factor=8, non_linearity="relu")]
HUB += [found() for name, found in inspect.getmembers(adapter_config, inspect.isclass)
        if dataclasses.is_dataclass(found) and name not in ("BnConfig", "ReftConfig")]
PEFT = [found() for name, found in inspect.getmembers(peft, inspect.isclass)
        if name in ("LoraConfig", "IA3Config", "LNTuningConfig")]


def as_written(config):
    """As `PeftConfigMixin.save_pretrained` writes it."""
    return {key: value.value if isinstance(value, PeftType) else value for key, value in config.to_dict().items()}


out = {
    "adapters": {type(config).__name__: config.to_dict() for config in HUB},
    "peft": {type(config).__name__: as_written(config) for config in PEFT},
}
# What `LoraConfig` of peft 0.2.0 has and later ones have not.
out["peft"]["LoraConfig 0.2.0"] = {
    "peft_type": "LORA", "task_type": None, "base_model_name_or_path": None, "inference_mode": False, "r": 8,
    "target_modules": None, "lora_alpha": 8, "lora_dropout": 0.0, "merge_weights": False, "fan_in_fan_out": False,
    "enable_lora": None, "bias": "none", "modules_to_save": None,
}
path = pathlib.Path(__file__).parent.parent / "burn-adapters/tests/fixtures/settings.json"
path.write_text(json.dumps(out, indent=1, sort_keys=True) + "\n")
