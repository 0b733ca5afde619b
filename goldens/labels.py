"""Scores of labels by scikit-learn, losses by torch, temperatures by SciPy: the fixtures of several labels a text and of weighted classes.

Run: python labels.py
"""

import json
import pathlib

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    label_ranking_average_precision_score,
    precision_recall_fscore_support,
)
from sklearn.utils.class_weight import compute_class_weight

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETS = [
    # rows, labels, share of labels, grid of the scores: a coarse grid has ties
    (1, 1, 0.5, 4),
    (7, 3, 0.5, 2),
    (40, 5, 0.3, 3),
    (60, 28, 0.05, 8),
    (25, 4, 0.9, 4),
]


def sets(rng, rows, labels, share, grid):
    """A case with rows that have no label or all, and labels that no row has or that are never predicted."""
    expected = (rng.random((rows, labels)) < share).astype(int)
    logits = np.round(rng.normal(size=(rows, labels)) * grid) / grid
    logits += 0.5 * (expected - 0.5)
    if rows > 5:
        expected[0], expected[1] = 0, 1
        expected[2:, -1] = 0
        logits[:, 0] = np.where(np.arange(rows) == 3, logits[:, 0], -1.0)
    logits = logits.astype(np.float32)
    predicted = (logits >= 0).astype(int)
    precision, recall, f1, support = precision_recall_fscore_support(
        expected, predicted, average=None, zero_division=0
    )
    return {
        "logits": logits.tolist(),
        "expected": [np.flatnonzero(row).tolist() for row in expected],
        "micro-f1": f1_score(expected, predicted, average="micro", zero_division=0),
        "macro-f1": f1_score(expected, predicted, average="macro", zero_division=0),
        "subset-accuracy": accuracy_score(expected, predicted),
        "label-ranking-average-precision": label_ranking_average_precision_score(expected, logits),
        "by_label": [
            {"precision": p, "recall": r, "f1": f, "support": int(s)}
            for p, r, f, s in zip(precision, recall, f1, support)
        ],
        "thresholds": [best_f1(expected[:, label], logits[:, label]) for label in range(labels)],
    }


def best_f1(expected, logits):
    """The highest F1 of a label over all thresholds."""
    candidates = [-np.inf, np.inf, *logits]
    return max(f1_score(expected, logits >= floor, zero_division=0) for floor in candidates)


class ECELoss(torch.nn.Module):
    """The reference's, https://github.com/gpleiss/temperature_scaling/blob/126a50975e0cd76c0496c44080bcaf7defca42b3/temperature_scaling.py."""

    def __init__(self, n_bins=15):
        super().__init__()
        boundaries = torch.linspace(0, 1, n_bins + 1, dtype=torch.float64)
        self.bin_lowers, self.bin_uppers = boundaries[:-1], boundaries[1:]

    def forward(self, logits, labels):
        softmaxes = torch.nn.functional.softmax(logits, dim=1)
        confidences, predictions = torch.max(softmaxes, 1)
        accuracies = predictions.eq(labels)
        ece = torch.zeros(1, dtype=torch.float64)
        for lower, upper in zip(self.bin_lowers, self.bin_uppers):
            in_bin = confidences.gt(lower.item()) * confidences.le(upper.item())
            share = in_bin.double().mean()
            if share.item() > 0:
                accuracy = accuracies[in_bin].double().mean()
                ece += torch.abs(confidences[in_bin].mean() - accuracy) * share
        return ece.item()


def classes(rng, rows, labels, scale):
    """Classes of uneven size, one of which may be missing."""
    expected = np.minimum(rng.geometric(0.4, rows) - 1, labels - 1)
    logits = rng.normal(size=(rows, labels)) * scale
    logits[np.arange(rows), expected] += scale * 0.7
    logits = logits.astype(np.float32)
    predicted = logits.argmax(1)
    doubles = logits.astype(np.float64)

    def loss(inverse):
        scaled = doubles * inverse
        return (logsumexp(scaled, axis=1) - scaled[np.arange(rows), expected]).mean()

    found = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-13})
    ece = ECELoss()
    tensor = torch.tensor(doubles)
    targets = torch.tensor(expected)
    occurring = np.unique(expected)
    return {
        "logits": logits.tolist(),
        "expected": expected.tolist(),
        "balanced-accuracy": balanced_accuracy_score(expected, predicted),
        "confusion": confusion_matrix(expected, predicted, labels=range(labels)).tolist(),
        "class_weights": {
            int(label): weight
            for label, weight in zip(
                occurring, compute_class_weight("balanced", classes=occurring, y=expected)
            )
        },
        "error": ece(tensor, targets),
        "temperature": 1 / found.x,
        "error_with_temperature": ece(tensor * found.x, targets),
    }


def losses(rng):
    """Losses and gradients in double precision."""
    cases = []
    for smoothing, weighted in [(0.0, False), (0.1, False), (0.0, True), (0.3, True)]:
        logits = torch.tensor(rng.normal(size=(5, 4)) * 2, requires_grad=True)
        labels = torch.tensor([0, 3, 3, 1, 0])
        weights = torch.tensor([0.5, 2.0, 3.0, 0.25], dtype=torch.float64) if weighted else None
        loss = torch.nn.CrossEntropyLoss(weight=weights, label_smoothing=smoothing)(logits, labels)
        loss.backward()
        cases.append({
            "logits": logits.tolist(), "labels": labels.tolist(), "smoothing": smoothing,
            "weights": weights.tolist() if weighted else None,
            "loss": loss.item(), "gradient": logits.grad.tolist(),
        })
    for weighted in [False, True]:
        logits = torch.tensor(rng.normal(size=(4, 3)) * 4, requires_grad=True)
        with torch.no_grad():
            logits[0, 0], logits[1, 1] = 60.0, -60.0
        sets = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]], dtype=torch.float64)
        weights = torch.tensor([3.0, 0.5, 12.0], dtype=torch.float64) if weighted else None
        loss = torch.nn.BCEWithLogitsLoss(pos_weight=weights)(logits, sets)
        loss.backward()
        cases.append({
            "logits": logits.tolist(), "sets": sets.tolist(),
            "weights": weights.tolist() if weighted else None,
            "loss": loss.item(), "gradient": logits.grad.tolist(),
        })
    return cases


def write(path, value):
    (ROOT / path).write_text(json.dumps(value, indent=None, separators=(",", ":")) + "\n")


def main():
    rng = np.random.default_rng(20)
    write("glue-data/tests/fixtures/label_scores.json", {
        "sets": [sets(rng, *case) for case in SETS],
        "classes": [classes(rng, *case) for case in [(50, 3, 2.0), (200, 6, 0.4), (30, 8, 5.0)]],
    })
    write("burn-adapters/tests/fixtures/losses.json", losses(rng))
    y = [0] * 5 + [1] * 2 + [3]
    print("balanced class weights", compute_class_weight("balanced", classes=np.unique(y), y=y))


if __name__ == "__main__":
    main()
