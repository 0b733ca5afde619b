"""Token ids of AutoTokenizer for small tokenizers of every class.

Trains the tokenizers and writes glue-data/tests/fixtures/tokenizers: a directory for each, and cases.json with what
transformers makes of texts, pairs, questions and 10,000 lines, which are generated here and in the test by the same
arithmetic. Needs transformers 4.57.6, tokenizers 0.22.2 and sentencepiece.
"""
import hashlib
import io
import json
import logging
import pathlib
import shutil
import tempfile

import sentencepiece
import tokenizers
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

logging.disable(logging.WARNING)
assert transformers.__version__ == "4.57.6", transformers.__version__
OUT = pathlib.Path(__file__).resolve().parent.parent / "glue-data/tests/fixtures/tokenizers"

# The generator of lines; glue-data/tests/tokenizer_kinds.rs has the same.
RANGES = [
    (0x61, 26), (0x41, 26), (0x30, 10), (0x21, 15), (0xA1, 95), (0x100, 128), (0x250, 96), (0x300, 64), (0x391, 57), (0x410, 64),
    (0x531, 38), (0x5D0, 27), (0x621, 42), (0x905, 53), (0x985, 8), (0xB85, 6), (0xE01, 58), (0x10A0, 38), (0x1100, 90),
    (0x1E00, 250), (0x2010, 24), (0x20A0, 30), (0x2100, 80), (0x2190, 100), (0x2460, 80), (0x3041, 86), (0x30A1, 90),
    (0x3400, 50), (0x4E00, 400), (0xAC00, 400), (0xFB00, 7), (0xFF01, 94), (0x1D400, 84), (0x1F300, 250), (0x1F600, 80),
    (0x20000, 40),
]
WORDS = (
    "the of and to in is was for that with café naïve Über déjà straße the. it's don't we'll 3,141 2024 hello, world Αθήνα "
    "привет мир 中国 日本語 한국어 नमस्ते สวัสดี שלום مرحبا ﬁne ½ ① ™ … “quoted” a-b x_y http://a.b/c?d=e ﷺ"
).split(" ")
MARKS = [
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1eb\U0001f1f7", "❤\ufe0f", "\u200b", "\u00ad", "\ufeff",
    "\x01", "\x7f", "\ufffd", "e\u0301\u0323", "\u0130", "<mask>", "[MASK]", "<s>", "</s>", "[SEP]", "<pad>", "[PAD]", "▁", "Ġ", "##a", "\ue000",
]
GAPS = [" ", " ", " ", " ", "", "  ", "   ", "\t", "\u00a0", "\u3000", "-", ", ", "\r", " \u2028"]


class Lines:
    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) % 2**31
        return (self.state >> 8) % limit

    def word(self):
        kind = self.below(10)
        if kind < 4:
            return WORDS[self.below(len(WORDS))]
        if kind < 5:
            return MARKS[self.below(len(MARKS))]
        start, length = RANGES[self.below(len(RANGES))]
        return "".join(chr(start + self.below(length)) for _ in range(1 + self.below(7)))

    def line(self):
        text = "" if self.below(4) else GAPS[self.below(len(GAPS))]
        for _ in range(1 + self.below(9)):
            text += self.word()
            text += GAPS[self.below(len(GAPS))]
        return text


def lines(seed, n):
    generator = Lines(seed)
    return [generator.line() for _ in range(n)]


N, BLOCK = 10_000, 1_000
LINES = lines(1, N)
CORPUS = [line.replace("\r", " ") for line in lines(2, 4_000)]
# Words, so that there is something to merge.
CORPUS += [" ".join(WORDS[(i * 7 + j * j) % len(WORDS)] for j in range(8)) for i in range(300)]

# With an eighth of the rare letters: SentencePiece wants to cover 98 % of them.
COVERED = ["".join(letter for letter in line if ord(letter) < 0x180 or ord(letter) % 8 == 0) for line in CORPUS]

TEXTS = [
    "", " ", "Hello, world", " the café  naïve ", "ÜBER straße ﬁne ½", "x<mask>y [MASK] </s>", "中国 日本語 한국어",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \x01\u200b\ufeff", "don't we'll\t3,141\u00a02024", "e\u0301\u0323 ① ﷺ",
    "the of and to in is was for that with the of and to in is was for", "new thing <new> NEW", "a <s>NOTUSED b [unused0]  c",
]
PAIRS = [["the café", "hello, world the of"], ["the of and to in is was", "x"], ["a", " the. it's don't we'll 3,141"], ["the", ""], ["", "the"]]
QUESTION = ["what is the café ?", "The old  café, naïve world was hello, for the straße. 日本語 it's 2024.", "straße"]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode())


def word_piece(special, lowercase, strip_accents=None):
    trained = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=900, special_tokens=special, limit_alphabet=400, show_progress=False))
    vocab = trained.get_vocab()
    return {"vocab.txt": "".join(token + "\n" for token in sorted(vocab, key=vocab.get))}


def byte_pairs(special, size=600):
    trained = tokenizers.Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
    )
    return trained


def roberta():
    model = json.loads(byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]).to_str())["model"]
    merges = "#version: 0.2\n" + "".join(" ".join(merge) + "\n" for merge in model["merges"])
    return {"vocab.json": model["vocab"], "merges.txt": merges}


def sentence_piece(file, rules="nmt_nfkc", **settings):
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as directory:
        if rules == "small":
            rules = None
            path = pathlib.Path(directory) / "rules.tsv"
            # Hexadecimal code points: ﬁ, ½, ①, é in two parts, a no-break space, and a soft hyphen that vanishes.
            path.write_text("FB01\t66 69\nBD\t31 2044 32\n2460\t31\n65 301\tE9\nA0\t20\nAD\t\n3000\t20\n1E9B 323\t1E69\n")
            settings["normalization_rule_tsv"] = str(path)
        else:
            settings["normalization_rule_name"] = rules
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(COVERED), model_writer=model, vocab_size=900, character_coverage=0.98, minloglevel=2, num_threads=1,
            input_sentence_size=0, **settings,
        )
    return {file: model.getvalue()}


BRACKETS = dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]")


def modernbert():
    trained = byte_pairs(["|||IP_ADDRESS|||", "<|padding|>"], 560)
    trained.normalizer = normalizers.NFC()
    trained.decoder = decoders.ByteLevel()
    trained.add_tokens([tokenizers.AddedToken("  ", normalized=True), tokenizers.AddedToken("   ", normalized=True)])
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    trained.add_special_tokens([tokenizers.AddedToken(token) for token in special] + [tokenizers.AddedToken("[MASK]", lstrip=True)])
    trained.add_tokens([tokenizers.AddedToken("[unused0]", normalized=True)])
    ids = [(token, trained.token_to_id(token)) for token in ["[CLS]", "[SEP]"]]
    trained.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=ids)
    config = dict(
        tokenizer_class="PreTrainedTokenizerFast", model_input_names=["input_ids", "attention_mask"], model_max_length=8192, pad_token="[PAD]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]", unk_token="[UNK]", clean_up_tokenization_spaces=True,
    )
    return {"tokenizer.json": json.loads(trained.to_str()), "tokenizer_config.json": config}


BERT_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"]
# The model_type of kinds that are not named by it.
MODEL_TYPES = {"xlm-roberta-bpe": "xlm-roberta", "deberta-v3": "deberta-v2"}
# A directory for each.
KINDS = {
    "bert": word_piece(BERT_TOKENS, True) | {"tokenizer_config.json": dict(do_lower_case=True)},
    "distilbert": word_piece(BERT_TOKENS, False) | {"tokenizer_config.json": dict(do_lower_case=False)},
    "electra": word_piece(BERT_TOKENS, True, False) | {"tokenizer_config.json": dict(do_lower_case=True, strip_accents=False)},
    "mpnet": word_piece(["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"], True) | {"tokenizer_config.json": dict(do_lower_case=True)},
    "roberta": roberta(),
    "xlm-roberta": sentence_piece("sentencepiece.bpe.model"),
    "xlm-roberta-bpe": sentence_piece("sentencepiece.bpe.model", "identity", model_type="bpe"),
    "camembert": sentence_piece("sentencepiece.bpe.model", "small", user_defined_symbols=["hello", "3,"]),
    "deberta-v2": sentence_piece("spm.model", "small", **BRACKETS)
    | {"tokenizer_config.json": dict(do_lower_case=True, split_by_punct=True, vocab_type="spm")},
    "deberta-v3": sentence_piece("spm.model", "identity", **BRACKETS)
    | {"tokenizer_config.json": dict(do_lower_case=False, vocab_type="spm"), "added_tokens.json": {"[MASK]": 900}},
    "modernbert": modernbert(),
}


def directory(kind, changes, path):
    """Writes the files of a kind with some changes; a file that becomes null is removed."""
    files = {"config.json": dict(model_type=MODEL_TYPES.get(kind, kind))} | KINDS[kind] | changes
    for file, content in files.items():
        if content is not None:
            write(path / file, content)


def saved(kind, changes=None):
    """The files that transformers saves for a kind."""
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as target:
        directory(kind, changes or {}, pathlib.Path(source))
        AutoTokenizer.from_pretrained(source).save_pretrained(target)
        read = lambda file: json.loads((pathlib.Path(target) / file).read_text())
        return {file.name: read(file.name) for file in pathlib.Path(target).iterdir() if file.suffix == ".json" and file.name != "vocab.json"}


def without(files, *keys):
    """Saved files without some keys of tokenizer_config.json."""
    config = {key: value for key, value in files["tokenizer_config.json"].items() if key not in keys}
    return files | {"tokenizer_config.json": config}


def token(content, **flags):
    return dict(content=content, lstrip=False, normalized=False, rstrip=False, single_word=False) | flags


def changed(files, change):
    files = json.loads(json.dumps(files))
    change(files["tokenizer.json"])
    return files


def plain_mask(parts):
    for added in parts["added_tokens"]:
        if added["content"] == "<mask>":
            added["lstrip"] = False


older = {kind: saved(kind) for kind in KINDS}
size = {kind: len(json.loads(json.dumps(files["tokenizer.json"]))["model"]["vocab"]) for kind, files in older.items()}
# A name, the kind it starts from, and other files.
CASES = [(kind, kind, {}) for kind in KINDS]
CASES += [
    ("roberta, saved", "roberta", older["roberta"]),
    ("mpnet, saved", "mpnet", older["mpnet"]),
    ("camembert, saved", "camembert", older["camembert"]),
    ("deberta-v2, saved", "deberta-v2", older["deberta-v2"]),
    ("roberta with a space before texts", "roberta", {"tokenizer_config.json": dict(add_prefix_space=True)}),
    ("roberta with a space by its configuration", "roberta", {"tokenizer.json": older["roberta"]["tokenizer.json"], "tokenizer_config.json": dict(add_prefix_space=True, trim_offsets=False)}),
    ("roberta with a plain mask in its tokenizer.json", "roberta", {"tokenizer.json": changed(older["roberta"], plain_mask)["tokenizer.json"]}),
    ("roberta with a plain mask in its list", "roberta", {"tokenizer_config.json": dict(mask_token="<mask>", added_tokens_decoder={"4": token("<mask>", special=True)})}),
    ("roberta with added tokens", "roberta", {"added_tokens.json": {"<new>": size["roberta"], "NEW": size["roberta"] + 1}, "special_tokens_map.json": dict(mask_token=token("<mask>", rstrip=True), additional_special_tokens=["<new>"])}),
    ("roberta of the class of BART's kind", "roberta", {"tokenizer_config.json": dict(tokenizer_class="RobertaTokenizerFast", errors="replace")}),
    ("mpnet with a plain mask in its tokenizer.json", "mpnet", {"tokenizer.json": changed(older["mpnet"], plain_mask)["tokenizer.json"]}),
    ("mpnet with a mask in the old file and among the added", "mpnet", {"added_tokens.json": {"<new>": size["mpnet"]}, "special_tokens_map.json": dict(mask_token=token("<mask>"))}),
    ("xlm-roberta with added tokens", "xlm-roberta", {"added_tokens.json": {"<new>": size["xlm-roberta"]}, "special_tokens_map.json": dict(mask_token=token("<mask>", rstrip=True))}),
    ("camembert with other tokens", "camembert", {"tokenizer_config.json": dict(additional_special_tokens=["<new>"])}),
    ("deberta-v2 with a list", "deberta-v2", {"tokenizer_config.json": dict(do_lower_case=False, added_tokens_decoder={str(size["deberta-v2"]): token("[MASK]", lstrip=True, special=True)})}),
    ("modernbert with a list", "modernbert", {"tokenizer_config.json": older["modernbert"]["tokenizer_config.json"]}),
    ("bert with the inputs of DistilBERT", "bert", {"tokenizer_config.json": dict(do_lower_case=True, model_input_names=["input_ids", "attention_mask"])}),
    ("distilbert by the class of BERT", "distilbert", {"tokenizer_config.json": dict(do_lower_case=False, tokenizer_class="BertTokenizer")}),
]


def hashes(tokenizer):
    found = []
    for start in range(0, N, BLOCK):
        digest = hashlib.sha256()
        for ids in tokenizer(LINES[start : start + BLOCK])["input_ids"]:
            digest.update((",".join(map(str, ids)) + "\n").encode())
        found.append(digest.hexdigest()[:16])
    return found


def answer(tokenizer):
    """The question as one row, and the tokens that overlap its answer."""
    question, context, text = QUESTION
    row = tokenizer(question, context, return_offsets_mapping=True)
    start = context.index(text)
    overlapping = [
        position
        for position, (sequence, (first, last)) in enumerate(zip(row.sequence_ids(), row["offset_mapping"]))
        if sequence == 1 and first < start + len(text) and last > start
    ]
    return dict(ids=row["input_ids"], start=overlapping[0], end=overlapping[-1])


def types(row):
    """Token types, which are zeros for a model without them."""
    return row.get("token_type_ids", [0] * len(row["input_ids"]))


def case(name, kind, changes):
    with tempfile.TemporaryDirectory() as path:
        directory(kind, changes, pathlib.Path(path))
        tokenizer = AutoTokenizer.from_pretrained(path)
        pairs = [tokenizer(*pair) if pair[1] else tokenizer(pair[0]) for pair in PAIRS]
        cut = [tokenizer(*pair, truncation=True, max_length=9) if pair[1] else tokenizer(pair[0], truncation=True, max_length=9) for pair in PAIRS]
        return dict(
            name=name, kind=kind, files=changes, tokens=len(tokenizer), pad=tokenizer.pad_token_id, class_name=type(tokenizer).__name__,
            ids=[tokenizer(text)["input_ids"] for text in TEXTS],
            pairs=[[row["input_ids"], types(row)] for row in pairs],
            cut=[[row["input_ids"], types(row)] for row in cut],
            question=answer(tokenizer),
            lines=hashes(tokenizer) if changes == {} else [],
        )


if OUT.exists():
    shutil.rmtree(OUT)
for kind in KINDS:
    (OUT / kind).mkdir(parents=True)
    directory(kind, {}, OUT / kind)
cases = [case(*arguments) for arguments in CASES]
# The tokenizer.json that transformers saves for the older files; that of XLM-R has a large table.
whole = {kind: files["tokenizer.json"] for kind, files in older.items() if kind not in ["modernbert", "xlm-roberta"]}
golden = dict(texts=TEXTS, pairs=PAIRS, question=QUESTION, lines=N, block=BLOCK, last_line=LINES[-1], cases=cases)
write(OUT / "cases.json", json.dumps(golden, ensure_ascii=False, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
for kind, parts in whole.items():
    write(OUT / kind / "saved.json", json.dumps(parts, ensure_ascii=False, separators=(",", ":")))
