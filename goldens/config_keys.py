"""The keys of config.json that transformers 4.57.6 writes: burn-bert/tests/fixtures/config_keys.json."""
import json
import pathlib

import transformers
from transformers import BertConfig, PretrainedConfig

assert transformers.__version__ == "4.57.6", transformers.__version__
out = {kind.__name__: kind().to_dict() for kind in [BertConfig, PretrainedConfig]}
path = pathlib.Path(__file__).resolve().parent.parent / "burn-bert/tests/fixtures/config_keys.json"
path.write_text(json.dumps(out, indent=1) + "\n")
