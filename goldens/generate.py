"""Scores of random and degenerate predictions, for glue-data/tests/fixtures/metrics.json.

python -m venv venv && venv/bin/pip install scikit-learn==1.9.1 scipy==1.17.1 && venv/bin/python goldens/generate.py
"""
import json
import pathlib
import random

from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

stream = random.Random(0)
cases = []
for classes, rows in [(2, 40), (2, 7), (3, 50), (6, 90), (2, 1)]:
    expected = [stream.randrange(classes) for _ in range(rows)]
    predicted = [label if stream.random() < 0.6 else stream.randrange(classes) for label in expected]
    cases.append((predicted, expected))
cases.append(([1] * 10, [0, 1] * 5))
cases.append(([0] * 10, [0] * 10))
cases.append(([0, 1, 1, 0], [1, 0, 0, 1]))
out = {"classes": [], "scores": []}
for predicted, expected in cases:
    out["classes"].append({
        "predicted": predicted,
        "expected": expected,
        "accuracy": accuracy_score(expected, predicted),
        "f1": f1_score(expected, predicted, labels=[1], average="micro", zero_division=0),
        "macro-f1": f1_score(expected, predicted, average="macro", zero_division=0),
        "matthews": matthews_corrcoef(expected, predicted),
    })
for rows, step in [(30, 0.2), (200, 0.25), (5, 1.0), (60, 2.5)]:
    expected = [round(stream.uniform(0, 5) / step) * step for _ in range(rows)]
    predicted = [round((score + stream.gauss(0, 1)) * 8) / 8 for score in expected]
    out["scores"].append({
        "predicted": predicted,
        "expected": expected,
        "pearson": pearsonr(predicted, expected).statistic,
        "spearman": spearmanr(predicted, expected).statistic,
    })
path = pathlib.Path(__file__).parent.parent / "glue-data/tests/fixtures/metrics.json"
path.write_text(json.dumps(out, indent=1) + "\n")
