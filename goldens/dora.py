"""DoRA of the packages adapters 1.3.0 and peft 0.18.1 on the small BERT: directories as the packages write them, and
the logits in double precision, for burn-adapters/tests/fixtures/{adapters/dora,peft/dora_qv}.

Run with a Python that has torch 2.9.1, transformers 4.57.6, adapters 1.3.0 and peft 0.18.1.
"""

import pathlib
import re
import shutil
import tempfile

import adapters
import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

FIXTURES = pathlib.Path(__file__).parent.parent / "burn-adapters/tests/fixtures"
BASE = FIXTURES / "base"


def randomize(model, is_trained):
    """Gives the trained parameters values that no start has; a magnitude stays above 0."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_trained(name):
                noise = torch.randn(parameter.shape, generator=generator)
                is_magnitude = "magnitude" in name or name.endswith(".m.weight")
                parameter.copy_(parameter * (1 + 0.1 * noise) if is_magnitude else 0.1 * noise)


def outputs(model, tensors):
    """The logits and the gradients of the cross entropy in double precision, by the paths of burn-adapters."""
    model = model.double().eval()
    inputs = {name: tensors[name].long() for name in ("input_ids", "token_type_ids", "attention_mask")}
    logits = model(**inputs).logits
    torch.nn.functional.cross_entropy(logits, tensors["labels"].long()).backward()
    found = {"logits.f64": logits.detach().contiguous()}
    for name, parameter in model.named_parameters():
        matched = re.search(r"layer\.(\d)\.attention\.self\.(query|value)\.(?:loras\.dora\.)?"
                            r"(lora_A|lora_B|m\.weight|lora_magnitude_vector)", name)
        if matched:
            layer, projection, kind = matched.groups()
            own = {"lora_A": "a", "lora_B": "b"}.get(kind, "dora.magnitude")
            gradient = parameter.grad.flatten() if own == "dora.magnitude" else parameter.grad.T
            found[f"gradient.layers.{layer}.low_rank.{projection}.{own}"] = gradient.contiguous()
    return found


def keep(directory, target, expected):
    """Copies what was written, safetensors and JSON only."""
    for file in directory.iterdir():
        if file.suffix == ".safetensors":
            shutil.copy(file, target / file.name)
        elif file.suffix == ".json":
            (target / file.name).write_text(file.read_text().replace(str(BASE), ""))
    save_file(expected, target / "outputs.safetensors")


tensors = load_file(FIXTURES / "inputs.safetensors")
with tempfile.TemporaryDirectory() as directory:
    model = adapters.BertAdapterModel.from_pretrained(BASE)
    model.add_adapter("dora", config=adapters.DoRAConfig(r=4, alpha=8))
    model.add_classification_head("dora", num_labels=3)
    model.set_active_adapters("dora")
    randomize(model, lambda name: ".loras.dora." in name or "heads.dora" in name)
    model.save_adapter(directory, "dora", use_safetensors=True)
    keep(pathlib.Path(directory), FIXTURES / "adapters/dora", outputs(model, tensors))

with tempfile.TemporaryDirectory() as directory:
    config = transformers.BertConfig.from_pretrained(BASE, num_labels=3)
    model = transformers.BertForSequenceClassification.from_pretrained(BASE, config=config)
    settings = peft.LoraConfig(
        task_type="SEQ_CLS", r=4, lora_alpha=8, target_modules=["query", "value"], use_dora=True
    )
    model = peft.get_peft_model(model, settings)
    model.base_model.model.config._name_or_path = ""
    randomize(model, lambda name: "lora_" in name or "modules_to_save" in name)
    model.peft_config["default"].base_model_name_or_path = ""
    model.save_pretrained(directory)
    keep(pathlib.Path(directory), FIXTURES / "peft/dora_qv", outputs(model, tensors))
