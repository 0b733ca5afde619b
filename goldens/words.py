"""Token ids of texts that are split into words, and the word of each token, by transformers with
`is_split_into_words=True`, for the small tokenizers of glue-data/tests/fixtures/tokenizers:
glue-data/tests/fixtures/words.json.

    target/peers/bin/python goldens/words.py

Byte-level BPE is loaded with `add_prefix_space=True`, as in `run_ner.py`.
"""

import json
import os
import pathlib
import shutil
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import transformers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

assert transformers.__version__ == "4.57.6"
FIXTURES = pathlib.Path(__file__).parent.parent / "glue-data/tests/fixtures"
TEXTS = [
    ["The", "old", "mill", "grinds", "rye", ",", "wheat", "and", "barley", "."],
    ["don't", "U.S.", "3.5%", "e-mail", "a_b", "C++", "(x)", "...", "№5"],
    ["Émile", "naïve", "Straße", "İstanbul", "東京", "日本語です", "한국어", "Москва", "हिन्दी", "العربية"],
    ["😀", "👨‍👩‍👧", "e\u0301", "\u00a0x", "ﬁn", "２３", "Ⅻ"],
    ["before", "\u0007", "after", "\u200b", "end"],
    ["[MASK]", "<s>", "[SEP]", "</s>", "<mask>", "mask"],
    ["a" * 40, "antidisestablishmentarianism", "xyzzy", "https://example.org/a?b=c"],
    ["two words", "tab\tin", " lead", "trail ", "▁bar"],
    ["x"],
]


def of_kind(directory):
    if list(directory.glob("*.model")):
        # What transformers made of the model of SentencePiece.
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / "saved.json"))
    else:
        with tempfile.TemporaryDirectory() as copy:
            for file in directory.iterdir():
                if file.name != "saved.json":
                    shutil.copy(file, copy)
            is_bytes = directory.name in ("roberta", "modernbert")
            tokenizer = AutoTokenizer.from_pretrained(copy, **({"add_prefix_space": True} if is_bytes else {}))
    found = []
    for words in TEXTS:
        encoding = tokenizer(words, is_split_into_words=True)
        found.append({"ids": encoding["input_ids"], "words": encoding.word_ids()})
    return found


if __name__ == "__main__":
    # A model of SentencePiece needs the file that transformers made of it.
    kinds = sorted(path for path in (FIXTURES / "tokenizers").iterdir()
                   if path.is_dir() and (not list(path.glob("*.model")) or (path / "saved.json").is_file()))
    golden = {"texts": TEXTS, "kinds": {path.name: of_kind(path) for path in kinds}}
    path = FIXTURES / "words.json"
    path.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(path.stat().st_size, list(golden["kinds"]))
