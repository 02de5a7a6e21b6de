"""Training in several processes that share the tables, on one machine or on several: `training.engine: torchrec`.

The process that was asked to train is the *coordinator*: it encodes rows, chunk after chunk, and puts them into a folder.
*Ranks*, started and watched by torchrun, learn them. A rank owns some of the embedding tables (TorchRec, one table per feature)
and every `n`-th row of the wide part; it learns a share of each batch's rows, and all of them hold the same layers.

    coordinator   job.json, start.safetensors, chunk-000000/, chunk-000001/, ... end.json
    ranks         heard.jsonl (losses, batch by batch), checkpoint-000004/rank-0.safetensors, ... checkpoint.json

Every batch is the one that a single process would have learnt, so that the model is the same but for the order of sums. Where a
rank dies, torchrun starts all of them again, and they go on from the last checkpoint; the bytes are those of an undisturbed run.
"""
