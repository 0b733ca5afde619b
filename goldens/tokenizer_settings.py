"""Token ids of AutoTokenizer for tokenizers with settings off the beaten path.

Writes glue-data/tests/fixtures/tokenizer_settings.json (files of each case and what transformers makes of texts) and
tokenizer_keys.json (the keys that transformers writes). Needs transformers 4.57.6.
"""
import json
import logging
import pathlib
import tempfile

import transformers
from transformers import AutoTokenizer, BertTokenizer, BertTokenizerFast

logging.disable(logging.WARNING)
assert transformers.__version__ == "4.57.6", transformers.__version__
FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "glue-data/tests/fixtures"

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"]
LETTERS = [letter for letter in "abcdefghijklmnopqrstuvwxyz"]
WORDS = "the uber über cafe café deja déjà vu naive ##s hv hvac ##ac ##unit 中 国 中国 ##国 , ! ß i istanbul full width".split()
UNCASED = SPECIAL + WORDS + LETTERS + [f"##{letter}" for letter in LETTERS]
UNCASED = list(dict.fromkeys(UNCASED))
N = len(UNCASED)
CASED = UNCASED + "The Über Uber Café HV HVAC ##UNIT ##S Déjà Deja".split() + [f"##{x.upper()}" for x in LETTERS]
CASED = list(dict.fromkeys(CASED))
RENAMED = ["<pad>", "<unk>", "<s>", "</s>", "<mask>", "[unused0]"] + UNCASED[6:]
NAMES = dict(pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>", mask_token="<mask>")

TEXTS = [
    "Über the café",
    "中国 hvacunit",
    "the [MASK] HVACUNIT s",
    "x [unused0]  y",
    "Déjà vu, naïve!",
    "hvacunitS hvacunit s HvacUnit",
    " <unk> [CLS] <mask>",
    "full\u200b wi\u00addth\tthe\u00a0x",
    "İstanbul ß \U0001f600",
    "",
]
PAIR = ["the café the vu", "Über hvacunit, the x"]


def lines(tokens, end="\n"):
    return "".join(token + end for token in tokens)


def saved(tokens, **settings):
    """The tokenizer.json that transformers saves."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory)
        (path / "vocab.txt").write_text(lines(tokens))
        BertTokenizerFast(vocab_file=str(path / "vocab.txt"), **settings).save_pretrained(path / "saved")
        return json.loads((path / "saved/tokenizer.json").read_text())


def token(content, **flags):
    return dict(content=content, lstrip=False, normalized=False, rstrip=False, single_word=False, special=False) | flags


def numbered(tokens):
    """Added tokens with the ids of the vocabulary, or those after it."""
    new = [value["content"] for value in tokens if value["content"] not in UNCASED]
    for value in tokens:
        content = value["content"]
        yield (N + new.index(content) if content in new else UNCASED.index(content)), value


def listed(*more):
    """added_tokens_decoder with the usual tokens and more."""
    usual = [token(content, special=True) for content in SPECIAL[:5]]
    return {str(index): value for index, value in enumerate(usual)} | {
        str(index): value
        for index, value in numbered(more)
    }


vocab = {"vocab.txt": lines(UNCASED)}
cased = {"vocab.txt": lines(CASED)}
whole = {"tokenizer.json": saved(UNCASED)}
CASES = {
    "a vocabulary alone": vocab,
    "a vocabulary with Windows line ends": {"vocab.txt": lines(UNCASED, "\r\n")},
    "accents are kept": vocab | {"tokenizer_config.json": dict(do_lower_case=True, strip_accents=False)},
    "accents follow lower-casing": vocab | {"tokenizer_config.json": dict(do_lower_case=True, strip_accents=None)},
    "Chinese characters are not split": vocab | {"tokenizer_config.json": dict(tokenize_chinese_chars=False)},
    "cased": cased | {"tokenizer_config.json": dict(do_lower_case=False)},
    "cased without accents": cased | {"tokenizer_config.json": dict(do_lower_case=False, strip_accents=True)},
    "cased vocabulary, lower-cased": cased | {"tokenizer_config.json": dict(do_lower_case=True)},
    "an added token": vocab | {"added_tokens.json": {"hvacunit": N}},
    "an added token with upper-case letters": vocab | {"added_tokens.json": {"HvacUnit": N}},
    "an added token that is special": vocab
    | {"added_tokens.json": {"HvacUnit": N}, "special_tokens_map.json": dict(additional_special_tokens=["HvacUnit"])},
    "added tokens with flags": vocab
    | {
        "tokenizer_config.json": dict(
            do_lower_case=True,
            added_tokens_decoder=listed(
                token("hvacunit", single_word=True), token("[unused0]", lstrip=True, rstrip=True), token("VU", normalized=True)
            ),
        )
    },
    "special tokens of other names": {"vocab.txt": lines(RENAMED), "tokenizer_config.json": dict(do_lower_case=True, **NAMES)},
    "special tokens of other names in the old file": {"vocab.txt": lines(RENAMED), "special_tokens_map.json": NAMES},
    "a mask that takes the space before it": vocab
    | {"special_tokens_map.json": dict(mask_token=dict(content="[MASK]", lstrip=True, rstrip=False, normalized=True, single_word=False))},
    "an additional special token of the vocabulary": vocab | {"tokenizer_config.json": dict(additional_special_tokens=["[unused0]"])},
    "both list additional special tokens": vocab
    | {
        "tokenizer_config.json": dict(additional_special_tokens=["[unused0]"]),
        "special_tokens_map.json": dict(additional_special_tokens=["<e>", dict(content="hvacunit", lstrip=False, rstrip=False, normalized=False, single_word=False)]),
    },
    "cut at the left": vocab | {"tokenizer_config.json": dict(truncation_side="left")},
    "tokenizer.json alone": whole,
    "tokenizer.json, cased by the configuration": {"tokenizer.json": saved(CASED)} | {"tokenizer_config.json": dict(do_lower_case=False)},
    "tokenizer.json, accents kept by the configuration": whole | {"tokenizer_config.json": dict(do_lower_case=True, strip_accents=False)},
    "tokenizer.json, Chinese characters by the configuration": whole | {"tokenizer_config.json": dict(tokenize_chinese_chars=False)},
    "tokenizer.json, lower-cased by the configuration": {"tokenizer.json": saved(CASED, do_lower_case=False)}
    | {"tokenizer_config.json": dict(do_lower_case=True)},
    "tokenizer.json of a plain class": {"tokenizer.json": saved(CASED, do_lower_case=False)}
    | {"tokenizer_config.json": dict(tokenizer_class="PreTrainedTokenizerFast", do_lower_case=True)},
    "tokenizer.json of a plain class with names": whole
    | {"tokenizer_config.json": dict(tokenizer_class="PreTrainedTokenizerFast", additional_special_tokens=["hvacunit"], pad_token="[PAD]")},
    "tokenizer.json with an added token beside it": whole | {"added_tokens.json": {"hvacunit": N}},
    "tokenizer.json with listed tokens": whole
    | {"tokenizer_config.json": dict(do_lower_case=True, added_tokens_decoder=listed(token("hvacunit")), additional_special_tokens=["[unused0]"])},
    "tokenizer.json with other flags": whole
    | {
        "tokenizer_config.json": dict(
            do_lower_case=True,
            added_tokens_decoder={"4": token("[MASK]", lstrip=True, special=True)},
            unk_token=dict(__type="AddedToken", **token("[UNK]", rstrip=True)),
        )
    },
    "tokenizer.json with a stored length": {
        "tokenizer.json": whole["tokenizer.json"]
        | {"truncation": dict(direction="Left", max_length=5, strategy="LongestFirst", stride=0)}
    },
    "Electra's class": whole | {"tokenizer_config.json": dict(tokenizer_class="ElectraTokenizer")},
    "the class is in config.json": vocab | {"config.json": dict(model_type="bert", tokenizer_class="BertTokenizerFast")},
}


def case(name, files):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory)
        files = {"config.json": dict(model_type="bert")} | files
        for file, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (path / file).write_bytes(text.encode())
        tokenizer = AutoTokenizer.from_pretrained(path)
        pair = tokenizer(*PAIR, truncation=True, max_length=9)
        return dict(
            name=name,
            files=files,
            ids=[tokenizer(text)["input_ids"] for text in TEXTS],
            cut=[tokenizer(text, truncation=True, max_length=6)["input_ids"] for text in TEXTS],
            pair=[pair["input_ids"], pair["token_type_ids"]],
        )


def keys():
    """The keys of tokenizer_config.json that transformers writes."""
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory)
        (path / "vocab.txt").write_text(lines(UNCASED))
        for kind in [BertTokenizer, BertTokenizerFast]:
            tokenizer = kind(vocab_file=str(path / "vocab.txt"), additional_special_tokens=["[unused0]"])
            tokenizer.save_pretrained(path / kind.__name__)
            # Saved again after it was loaded, with a length and padding in use.
            tokenizer = kind.from_pretrained(path / kind.__name__)
            tokenizer(TEXTS, padding=True, truncation=True, max_length=8)
            tokenizer.save_pretrained(path / kind.__name__)
            tokenizer = kind.from_pretrained(path / kind.__name__)
            tokenizer.save_pretrained(path / kind.__name__)
            for file in ["tokenizer_config.json", "special_tokens_map.json"]:
                found[f"{kind.__name__}/{file}"] = json.loads((path / kind.__name__ / file).read_text())
    return found


out = dict(texts=TEXTS, pair=PAIR, cases=[case(name, files) for name, files in CASES.items()])
(FIXTURES / "tokenizer_settings.json").write_text(json.dumps(out, ensure_ascii=False, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
(FIXTURES / "tokenizer_keys.json").write_text(json.dumps(keys(), ensure_ascii=False, indent=1) + "\n")
