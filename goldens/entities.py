"""Entities and their scores in random sequences of tags, for glue-data/tests/fixtures/entities.json.

python -m venv venv && venv/bin/pip install seqeval==1.2.2 && venv/bin/python goldens/entities.py

The sequences are odd on purpose: entities without a first tag, changes of type inside of one, types with dashes, tags
without a type, and predictions of types that are in no reference. seqeval's default mode reads every sequence; its strict
mode gets those of one scheme.
"""
import json
import pathlib
import random
import warnings

from seqeval import metrics
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB1, IOB2, IOBES, Tokens

warnings.filterwarnings("ignore")
random.seed(7)
TYPES = ["per", "loc", "a-b", "x-"]


def sequence(prefixes, types, length):
    tags = []
    while len(tags) < length:
        prefix = random.choice(prefixes)
        label = random.choice(types)
        if prefix == "O":
            tags.append("O")
        elif label is None:
            tags.append(prefix)
        elif random.random() < 0.3:
            # A legal entity, so that some are right.
            tags += [f"B-{label}"] + [f"I-{label}"] * random.randrange(3)
        else:
            tags.append(f"{prefix}-{label}")
    return tags[:length]


def changed(tags, prefixes, types):
    return [random.choice(sequence(prefixes, types, 1)) if random.random() < 0.25 else tag for tag in tags]


def scores(gold, predicted, **mode):
    out = {"accuracy": metrics.accuracy_score(gold, predicted)}
    for average in ["micro", "macro", "weighted"]:
        out[average] = [
            float(score(gold, predicted, average=average, **mode))
            for score in (metrics.precision_score, metrics.recall_score, metrics.f1_score)
        ]
    report = metrics.classification_report(gold, predicted, output_dict=True, **mode)
    out["by_type"] = {
        label: [float(row["precision"]), float(row["recall"]), float(row["f1-score"]), int(row["support"])]
        for label, row in report.items()
        if not label.endswith(" avg")
    }
    return out


def case(name, scheme, prefixes, types, unseen):
    gold, predicted = [], []
    for _ in range(random.randrange(1, 9)):
        tags = sequence(prefixes, types, random.randrange(1, 12))
        gold.append(tags)
        predicted.append(changed(tags, prefixes, types + unseen))
    mode = {} if scheme is None else {"mode": "strict", "scheme": scheme}
    read = get_entities if scheme is None else (
        lambda tags: [(found.tag, found.start, found.end - 1) for found in Tokens(tags, scheme).entities])
    entities = [[[label, start, end + 1] for label, start, end in read(tags)] for tags in predicted]
    return {
        "mode": name, "gold": [" ".join(tags) for tags in gold], "predicted": [" ".join(tags) for tags in predicted],
        "entities": entities,
        "scores": scores(gold, predicted, **mode),
    }


cases = []
for _ in range(16):
    cases.append(case("default", None, ["O", "B", "I", "E", "S"], TYPES + [None], ["org"]))
    cases.append(case("default", None, ["O", "B", "I"], TYPES[:2], []))
    cases.append(case("BIO", IOB2, ["O", "B", "I"], TYPES, ["org"]))
    cases.append(case("IOB1", IOB1, ["O", "B", "I"], TYPES[:2], []))
    cases.append(case("BIOES", IOBES, ["O", "B", "I", "E", "S"], TYPES[:3] + [None], []))
# Without any entity, seqeval's means are not a number.
cases = [case for case in cases if case["scores"]["macro"][0] == case["scores"]["macro"][0]]
path = pathlib.Path(__file__).parent.parent / "glue-data/tests/fixtures/entities.json"
path.write_text(json.dumps(cases, separators=(",", ":")).replace('{"mode"', '\n{"mode"') + "\n")
