"""Measures the peers for `trainer bench`: one case per process, printed as one line of JSON.

    python bench_peers.py JOB BASE THREADS      JOB is the case as JSON, from `trainer bench`
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
    import torch
    import transformers
    from transformers import BertConfig, BertForSequenceClassification

    transformers.logging.set_verbosity_error()
    if job["config"]:
        config = transformers.AutoConfig.for_model(num_labels=2, **job["config"])
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    elif job["workload"].startswith("bert-base"):
        model = BertForSequenceClassification(BertConfig(num_labels=2))
    elif job["workload"].startswith("bert-large"):
        large = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
        config = BertConfig(num_labels=2, intermediate_size=4096, **large)
        model = BertForSequenceClassification(config)
    else:
        model = BertForSequenceClassification.from_pretrained(base, num_labels=2)
    method = job["method"]
    kind = model.config.model_type
    # The package adapters has no ModernBERT.
    if method == "inference":
        method = "lora" if kind == "modernbert" else "houlsby"
    if method == "houlsby":
        import adapters

        adapters.init(model)
        factor = model.config.hidden_size / job["size"]
        model.add_adapter("task", config=adapters.DoubleSeqBnConfig(reduction_factor=factor))
        model.train_adapter("task")
        # As in the paper, and in ours.
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.LayerNorm) or name.startswith("classifier"):
                module.requires_grad_(True)
    elif method == "lora":
        import peft

        targets = {"distilbert": ["q_lin", "v_lin"], "deberta-v2": ["query_proj", "value_proj"],
                   "modernbert": ["Wqkv"]}.get(kind, ["query", "value"])
        config = peft.LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=targets)
        model = peft.get_peft_model(model, config)
    elif method != "full":
        raise SystemExit(f"there is no peer for {method}")
    return model.train(job["method"] != "inference")


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
    device = torch.device(job["device"])
    model = build(job, base).to(device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    infers = job["method"] == "inference"
    optimizer = None if infers else torch.optim.AdamW(trained, lr=1e-4, fused=True)
    random = torch.Generator().manual_seed(0)
    if job["compile"]:
        model = torch.compile(model)
    precisions = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
    precision = precisions[job["precision"]]
    halved = torch.autocast(device.type, dtype=precision, enabled=job["precision"] != "f32")

    def batch(lengths):
        sequence = max(lengths)
        mask = (torch.arange(sequence)[None] < torch.tensor(lengths)[:, None]).long()
        ids = torch.randint(1000, 30000, mask.shape, generator=random) * mask
        labels = torch.arange(len(lengths)) % 2
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return {name: tensor.to(device) for name, tensor in inputs.items()}

    batches = [batch(lengths) for lengths in job["batches"]]
    passes = []
    for index in range(job["passes"] + 1):
        started = time.perf_counter()
        for one in batches:
            if infers:
                with torch.inference_mode(), halved:
                    model(**one).logits.tolist()
                continue
            optimizer.zero_grad(set_to_none=True)
            with halved:
                loss = model(**one).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            loss.item()
        # The first pass fills caches and pools.
        if index > 0:
            passes.append((time.perf_counter() - started) / len(batches))
    if device.type == "cuda":
        peak_mib = torch.cuda.max_memory_allocated() >> 20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak_mib = peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)
    tokens = sum(map(sum, job["batches"])) / len(batches)
    figure = {"seconds": statistics.median(passes), "tokens": tokens, "peak_mib": peak_mib}
    print(json.dumps(figure))


main()
