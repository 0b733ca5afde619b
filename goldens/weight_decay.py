"""To which parameters of the encoders in burn-bert/tests/fixtures/families the Trainer of transformers 4.57.6 applies
weight decay, for burn-adapters/tests/fixtures/weight_decay.json: the matrices that do not decay, and the vectors that do.

    target/peers/bin/python goldens/weight_decay.py
"""

import json
import pathlib

import transformers
from transformers import AutoModel, Trainer

assert transformers.__version__ == "4.57.6", transformers.__version__
ROOT = pathlib.Path(__file__).parent.parent
found = {}
for base in sorted((ROOT / "burn-bert/tests/fixtures/families").iterdir()):
    if not base.is_dir():
        continue
    model = AutoModel.from_pretrained(base)
    decays = set(Trainer.get_decay_parameter_names(None, model))
    shapes = {name: parameter.dim() for name, parameter in model.named_parameters()}
    found[base.name] = {
        "matrices_without": sorted(name for name, rank in shapes.items() if rank > 1 and name not in decays),
        "vectors_with": sorted(name for name, rank in shapes.items() if rank == 1 and name in decays),
    }
path = ROOT / "burn-adapters/tests/fixtures/weight_decay.json"
path.write_text(json.dumps(found, indent=1) + "\n")
