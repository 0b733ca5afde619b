"""Trains token classification (WNUT-17) or several labels a text (GoEmotions) with transformers and adapters, with the
settings of `trainer train --optimizer adam-w --pooling pooler`, and prints one line of JSON: scores and seconds a step.

    python goldens/peers_tasks.py goemotions --base MINILM --data DATA --limit 2000 --epochs 4 --seed 42
    python goldens/peers_tasks.py wnut17 --base MINILM --data DATA --method full --learning-rate 1e-4 --epochs 3

Run with a Python that has torch, transformers, adapters, scikit-learn and, for wnut17, seqeval. MINILM is a directory with
the base, as `trainer base minilm --json` names it, and DATA the directory above `goemotions` and `wnut17`.
"""

import argparse
import json
import pathlib
import random
import statistics
import time

import adapters
import numpy as np
import torch
from transformers import (
    AutoTokenizer,
    BertForSequenceClassification,
    BertForTokenClassification,
    get_linear_schedule_with_warmup,
)

SPLITS = {"goemotions": ["train.tsv", "dev.tsv", "test.tsv"],
          "wnut17": ["wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"]}


def read_goemotions(path, labels):
    rows = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            text, numbers, _ = line.rstrip("\r").split("\t")
            row = [0.0] * len(labels)
            for number in numbers.split(","):
                row[int(number)] = 1.0
            rows.append((text, row))
    return rows


def read_wnut17(path, labels):
    rows, words, tags = [], [], []
    for line in [*path.read_text(encoding="utf-8").split("\n"), ""]:
        fields = line.strip().split("\t")
        if fields != [""]:
            words.append(fields[0])
            tags.append(fields[-1])
        elif words:
            rows.append((words, tags))
            words, tags = [], []
    return rows


def encode(task, tokenizer, rows, labels, length):
    encoded = []
    for text, label in rows:
        if task == "goemotions":
            encoded.append((tokenizer(text, truncation=True, max_length=length)["input_ids"], label))
            continue
        found = tokenizer(text, is_split_into_words=True, truncation=True, max_length=length)
        words = found.word_ids()
        tags = [labels.index(label[word]) if word is not None and word != before else -100
                for before, word in zip([None, *words], words)]
        encoded.append((found["input_ids"], tags))
    return encoded


def batch(rows):
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows])
    if isinstance(rows[0][1][0], float):
        targets = torch.tensor([label for _, label in rows])
    else:
        targets = torch.tensor([label + [-100] * (longest - len(label)) for _, label in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": targets}


def outputs(model, rows, size):
    """Logits and targets of rows, in their order."""
    model.eval()
    order = sorted(range(len(rows)), key=lambda row: len(rows[row][0]))
    found = [None] * len(rows)
    with torch.no_grad():
        for start in range(0, len(order), size):
            chosen = order[start:start + size]
            logits = model(**{k: v for k, v in batch([rows[row] for row in chosen]).items() if k != "labels"}).logits
            for row, of_row in zip(chosen, logits):
                found[row] = of_row.numpy()
    return found


def score(task, model, rows, labels, size):
    logits = outputs(model, rows, size)
    if task == "goemotions":
        from sklearn.metrics import accuracy_score, f1_score, label_ranking_average_precision_score

        logits, expected = np.stack(logits), np.array([label for _, label in rows])
        predicted = logits >= 0
        return {
            "macro-f1": f1_score(expected, predicted, average="macro", zero_division=0),
            "micro-f1": f1_score(expected, predicted, average="micro", zero_division=0),
            "subset-accuracy": accuracy_score(expected, predicted),
            "label-ranking-average-precision": label_ranking_average_precision_score(expected, logits),
        }
    from seqeval.metrics import f1_score, precision_score, recall_score

    expected = [[labels[tag] for tag in tags if tag != -100] for _, tags in rows]
    predicted = [[labels[int(of_token.argmax())] for of_token, tag in zip(of_row, tags) if tag != -100]
                 for of_row, (_, tags) in zip(logits, rows)]
    return {"f1": f1_score(expected, predicted), "precision": precision_score(expected, predicted),
            "recall": recall_score(expected, predicted)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=sorted(SPLITS))
    parser.add_argument("--base", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--method", choices=["houlsby", "full"], default="houlsby")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--validation-limit", type=int, help="score the first rows only")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--warmup", type=float, default=0.1)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    random.seed(args.seed)
    torch.manual_seed(args.seed)

    directory = args.data / args.task
    read = {"goemotions": read_goemotions, "wnut17": read_wnut17}[args.task]
    labels = (directory / "labels.txt").read_text().split() if args.task == "goemotions" else []
    train, validation, test = (read(directory / file, labels) for file in SPLITS[args.task])
    if args.task == "wnut17":
        labels = sorted({tag for _, tags in train for tag in tags})
    random.Random(args.seed).shuffle(train)
    train = train[:args.limit]
    tokenizer = AutoTokenizer.from_pretrained(args.base)
    train, validation, test = (
        encode(args.task, tokenizer, rows, labels, args.max_length)
        for rows in (train, validation[:args.validation_limit], test[:args.validation_limit])
    )

    kind = {"num_labels": len(labels)}
    if args.task == "goemotions":
        kind["problem_type"] = "multi_label_classification"
        model = BertForSequenceClassification.from_pretrained(args.base, **kind)
    else:
        model = BertForTokenClassification.from_pretrained(args.base, **kind)
    if args.method == "houlsby":
        adapters.init(model)
        width = model.config.hidden_size
        model.add_adapter("task", config=adapters.DoubleSeqBnConfig(
            reduction_factor=width / args.size, non_linearity="gelu"))
        model.train_adapter("task")
        # As the paper's code, which trains the norms too.
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name or name.startswith("classifier") or ".pooler." in name:
                parameter.requires_grad = True
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.learning_rate, weight_decay=0.01)
    per_epoch = max(len(train) // args.batch_size, 1)
    steps = per_epoch * args.epochs
    schedule = get_linear_schedule_with_warmup(optimizer, int(args.warmup * steps), steps)

    main_score = "macro-f1" if args.task == "goemotions" else "f1"
    best, seconds = None, []
    for epoch in range(1, args.epochs + 1):
        random.shuffle(train)
        model.train()
        for step in range(per_epoch):
            began = time.perf_counter()
            rows = train[step * args.batch_size:(step + 1) * args.batch_size]
            loss = model(**batch(rows)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            seconds.append(time.perf_counter() - began)
        scores = score(args.task, model, validation, labels, args.batch_size)
        if best is None or scores[main_score] > best["validation"][main_score]:
            best = {"epoch": epoch, "validation": scores, "test": score(args.task, model, test, labels, args.batch_size)}
    print(json.dumps({
        "task": args.task, "method": args.method, "seed": args.seed, "limit": args.limit, "epochs": args.epochs,
        "trained_parameters": sum(parameter.numel() for parameter in trained),
        "seconds_per_step": statistics.median(seconds), **best,
    }))


if __name__ == "__main__":
    main()
