"""How fast AdapterHub's BatchSplit is, beside `burn-adapters/examples/mixed_batch.rs`; torch, transformers and adapters
as in generate.py.

    python goldens/batch_split.py BASE_DIRECTORY [TOKENS]
"""

import statistics
import sys
import time

import adapters.composition as ac
import torch
from adapters import AutoAdapterModel, DoubleSeqBnConfig

ROWS, ROUNDS = 64, 7
tokens = int(sys.argv[2]) if len(sys.argv) > 2 else 64
torch.set_num_threads(2)
model = AutoAdapterModel.from_pretrained(sys.argv[1]).eval()
size = model.config.hidden_size / 64
for task in range(64):
    model.add_adapter(f"t{task}", config=DoubleSeqBnConfig(reduction_factor=size))
    model.add_classification_head(f"t{task}", num_labels=2, layers=1)
ids = torch.arange(1000, 1000 + ROWS * tokens).reshape(ROWS, tokens)


def activate(tasks):
    names = [f"t{task}" for task in range(tasks)]
    model.active_adapters = names[0] if tasks == 1 else ac.BatchSplit(*names, batch_sizes=[ROWS // tasks] * tasks)
    model.active_head = names[0] if tasks == 1 else ac.BatchSplit(*names, batch_sizes=[ROWS // tasks] * tasks)


seconds = {tasks: [] for tasks in (1, 4, 16, 64)}
with torch.inference_mode():
    for _ in range(ROUNDS):
        for tasks, measured in seconds.items():
            activate(tasks)
            start = time.perf_counter()
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
            measured.append(time.perf_counter() - start)
alone = statistics.median(seconds[1])
for tasks, measured in seconds.items():
    median = statistics.median(measured)
    print(f"{tasks:>2} tasks {ROWS / median:8.1f} texts/s  {alone / median:.2f} of one task's")
