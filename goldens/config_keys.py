"""The keys of config.json that transformers 4.57.6 writes: burn-bert/tests/fixtures/config_keys.json."""
import json
import pathlib

import transformers
from transformers import (BertConfig, CamembertConfig, DebertaV2Config, DistilBertConfig, ElectraConfig,
                          ModernBertConfig, MPNetConfig, PretrainedConfig, RobertaConfig, XLMRobertaConfig)

assert transformers.__version__ == "4.57.6", transformers.__version__
KINDS = [BertConfig, PretrainedConfig, CamembertConfig, DebertaV2Config, DistilBertConfig, ElectraConfig, MPNetConfig,
         ModernBertConfig, RobertaConfig, XLMRobertaConfig]
out = {kind.__name__: kind().to_dict() for kind in KINDS}
path = pathlib.Path(__file__).resolve().parent.parent / "burn-bert/tests/fixtures/config_keys.json"
path.write_text(json.dumps(out, indent=1) + "\n")
