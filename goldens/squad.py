"""Exact match and F1 of some answers, for glue-data/tests/fixtures/squad/scores.json.

python -m venv venv && venv/bin/pip install transformers==4.57.6 && venv/bin/python goldens/squad.py

`compute_exact` and `compute_f1` are the official script's. Its version for SQuAD 2 differs from that for 1.1 where an
answer has no word left (then equal answers have F1 1, and not 0): there is no such answer here.
"""
import json
import pathlib

from transformers.data.metrics.squad_metrics import compute_exact, compute_f1, normalize_answer

CASES = [
    ("How many stones grind?", ["two stones", "two", "Two granite stones"], "The two stones"),
    ("When was the mill built?", ["1742", "in 1742", "1742."], "in the year 1742"),
    ("Who owned it?", ["the Brontë-Müller family", "Brontë-Müller", "the family"], "Brontë–Müller"),
    ("What does it grind?", ["rye and wheat", "rye, wheat", "rye and wheat"], "wheat and rye"),
    ("What turned the wheel?", ["water", "the river", "water from the river"], "a horse"),
    ("What is paid?", ["£1,200", "1200 pounds", "£1,200"], "£1200"),
    ("What did they say?", ["\"tick tock tick\"", "tick tock tick", "tick"], "tick tick"),
    ("Where is it?", ["anthem theatre", "the theatre", "an A theatre"], "The Anthem Theatre!"),
]

context = "\n".join(answer for _, answers, _ in CASES for answer in answers)
questions = []
predictions = {}
exact = f1 = 0.0
for index, (question, answers, predicted) in enumerate(CASES):
    questions.append({
        "id": f"q{index}",
        "question": question,
        "answers": [{"text": text, "answer_start": context.index(text)} for text in answers],
    })
    predictions[f"q{index}"] = predicted
    assert all(normalize_answer(text) for text in [*answers, predicted])
    exact += max(compute_exact(answer, predicted) for answer in answers)
    f1 += max(compute_f1(answer, predicted) for answer in answers)
# A question without a prediction counts 0.
questions.append({"id": "silent", "question": "Why?", "answers": questions[0]["answers"]})
paragraph = {"context": context, "qas": questions}
squad = {"version": "1.1", "data": [{"title": "The mill", "paragraphs": [paragraph]}]}
scores = {
    "exact_match": 100 * exact / len(questions),
    "f1": 100 * f1 / len(questions),
    "questions": len(questions),
    "unanswered": 1,
}

directory = pathlib.Path(__file__).parent.parent / "glue-data/tests/fixtures/squad"
directory.mkdir(exist_ok=True)
for name, value in [("dev-v1.1", squad), ("predictions", predictions), ("scores", scores)]:
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    (directory / f"{name}.json").write_text(text, encoding="utf-8")
