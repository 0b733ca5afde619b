"""A head for several labels a text of the package adapters 1.3.0 on the small BERT: the directory as the package writes
it, and the logits in double precision, for burn-adapters/tests/fixtures/adapters/multi_label.

Run with a Python that has torch 2.9.1, transformers 4.57.6 and adapters 1.3.0.
"""

import pathlib
import shutil
import tempfile

import adapters
import torch
from safetensors.torch import load_file, save_file

FIXTURES = pathlib.Path(__file__).parent.parent / "burn-adapters/tests/fixtures"
BASE = FIXTURES / "base"
LABELS = ["red", "green", "blue", "1"]

tensors = load_file(FIXTURES / "inputs.safetensors")
target = FIXTURES / "adapters/multi_label"
target.mkdir(exist_ok=True)
with tempfile.TemporaryDirectory() as directory:
    model = adapters.BertAdapterModel.from_pretrained(BASE)
    model.add_adapter("multi_label", config=adapters.DoubleSeqBnConfig(reduction_factor=8))
    model.add_classification_head(
        "multi_label", num_labels=len(LABELS), multilabel=True, id2label=dict(enumerate(LABELS)), use_pooler=True
    )
    model.set_active_adapters("multi_label")
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".adapters.multi_label." in name or "heads.multi_label" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    model.save_adapter(directory, "multi_label", use_safetensors=True)
    for file in pathlib.Path(directory).iterdir():
        if file.suffix == ".safetensors":
            shutil.copy(file, target / file.name)
        elif file.suffix == ".json":
            (target / file.name).write_text(file.read_text().replace(str(BASE), ""))
    model = model.double().eval()
    inputs = {name: tensors[name].long() for name in ("input_ids", "token_type_ids", "attention_mask")}
    with torch.no_grad():
        logits = model(**inputs).logits
    save_file({"logits.f64": logits.contiguous()}, target / "outputs.safetensors")
