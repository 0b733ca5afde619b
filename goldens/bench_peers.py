"""The peers' side of `trainer bench`: one case in one process, told as one line of JSON.

    python bench_peers.py JOB BASE THREADS      JOB is the case as `trainer bench` writes it
    python bench_peers.py --versions

A step is forward, loss, backward, clipping to norm 1 and the optimizer, with dropout 0.1; texts are padded to the
longest of their batch.
"""

import importlib.metadata
import json
import os
import resource
import statistics
import sys
import time


def build(job, base):
    import transformers
    from transformers import BertConfig, BertForSequenceClassification

    transformers.logging.set_verbosity_error()
    if job["workload"] == "bert-base-128":
        model = BertForSequenceClassification(BertConfig(num_labels=2))
    else:
        model = BertForSequenceClassification.from_pretrained(base, num_labels=2)
    method = job["method"]
    if method in ("houlsby", "inference"):
        import adapters

        adapters.init(model)
        factor = model.config.hidden_size / job["size"]
        model.add_adapter("task", config=adapters.DoubleSeqBnConfig(reduction_factor=factor))
        model.train_adapter("task")
        # As in the paper, and in ours.
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name or name.startswith("classifier"):
                parameter.requires_grad = True
    elif method == "lora":
        import peft

        config = peft.LoraConfig(
            task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=["query", "value"]
        )
        model = peft.get_peft_model(model, config)
    elif method != "full":
        raise SystemExit(f"there is no peer for {method}")
    return model.train(method != "inference")


def main():
    if sys.argv[1] == "--versions":
        names = ["torch", "transformers", "adapters", "peft"]
        print(json.dumps({name: importlib.metadata.version(name) for name in names}))
        return
    job, base, threads = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = build(job, base)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    infers = job["method"] == "inference"
    optimizer = None if infers else torch.optim.AdamW(trained, lr=1e-4, fused=True)
    random = torch.Generator().manual_seed(0)

    def batch(lengths):
        sequence = max(lengths)
        mask = (torch.arange(sequence)[None] < torch.tensor(lengths)[:, None]).long()
        ids = torch.randint(1000, 30000, mask.shape, generator=random) * mask
        labels = torch.arange(len(lengths)) % 2
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    batches = [batch(lengths) for lengths in job["batches"]]
    passes = []
    for index in range(job["passes"] + 1):
        started = time.perf_counter()
        for one in batches:
            if infers:
                with torch.inference_mode():
                    model(**one).logits.tolist()
                continue
            optimizer.zero_grad(set_to_none=True)
            loss = model(**one).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            loss.item()
        # The first pass fills caches and pools.
        if index > 0:
            passes.append((time.perf_counter() - started) / len(batches))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mib = peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)
    tokens = sum(map(sum, job["batches"])) / len(batches)
    figure = {"seconds": statistics.median(passes), "tokens": tokens, "peak_mib": peak_mib}
    print(json.dumps(figure))


main()
