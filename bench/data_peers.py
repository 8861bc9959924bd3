#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times data pipelines: normalizing 20,000 images of 28x28 bytes in batches of 128, ingot, tf.data and DataLoader.

  bench/data_peers.py BUILD [--rounds 5]

Each side in both of its usual forms: image by image, then batched; and whole batches, which costs a Python library far
less. One epoch over (image - mean) / deviation in float32 and the label, each batch taken and dropped. Sides take turns
in each round; images a second, the median and the best of the rounds. Needs a Python with torch and tensorflow; what is
missing is left out, and named.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

import numpy as np

IMAGES, BATCH = 20000, 128


def arrays():
    x = np.random.default_rng(1).integers(0, 256, (IMAGES, 28, 28, 1), dtype=np.uint8)
    return x, np.arange(IMAGES, dtype=np.int32) % 10, np.float32(x.mean()), np.float32(1 / x.std())


def torch_sides():
    import torch
    from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler

    x, y, mean, scale = arrays()
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    class Images(Dataset):
        def __len__(self):
            return IMAGES

        def __getitem__(self, i):  # one image, or the batch of these
            return (x[i].float() - mean) * scale, y[i]

    def batches(**options):
        return DataLoader(Images(), sampler=BatchSampler(SequentialSampler(range(IMAGES)), BATCH, False),
                          batch_size=None, **options)

    return {
        "DataLoader, image by image": DataLoader(Images(), batch_size=BATCH),
        "DataLoader, image by image, 2 workers": DataLoader(Images(), batch_size=BATCH, num_workers=2,
                                                            persistent_workers=True),
        "DataLoader, whole batches": batches(),
        "DataLoader, whole batches, 2 workers": batches(num_workers=2, persistent_workers=True),
    }


def tf_sides():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    x, y, mean, scale = arrays()
    data = tf.data.Dataset.from_tensor_slices((x, y))

    def normalize(image, label):
        return (tf.cast(image, tf.float32) - mean) * scale, label

    auto = tf.data.AUTOTUNE
    return {
        "tf.data, map, batch": data.map(normalize).batch(BATCH),
        "tf.data, map, batch, parallel, prefetch": data.map(normalize, auto).batch(BATCH).prefetch(auto),
        "tf.data, batch, map": data.batch(BATCH).map(normalize),
        "tf.data, batch, map, parallel, prefetch": data.batch(BATCH).map(normalize, auto).prefetch(auto),
    }


def epoch(loader):
    begin = time.perf_counter()
    rows = sum(len(labels) for _, labels in loader)
    assert rows == IMAGES
    return IMAGES / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    loaders = {}
    for sides in torch_sides, tf_sides:
        try:
            loaders.update(sides())
        except ImportError as e:
            print(f"left out: {e}")
    seen = {}
    for side in loaders.values():  # workers begin, graphs are traced
        epoch(side)
    for _ in range(args.rounds):
        for name, side in loaders.items():
            seen.setdefault(name, []).append(epoch(side))
        lines = subprocess.run([os.path.join(args.build, "ingot"), "bench", "data", "--json", "--only", "normalize"],
                               check=True, capture_output=True, text=True).stdout.splitlines()
        for line in map(json.loads, lines):
            if line["unit"] == "images/s":
                seen.setdefault("ingot, " + line["what"], []).append(line["median"])
    for name, rates in seen.items():
        print(f"{name:48} {statistics.median(rates):14,.0f} {max(rates):14,.0f}")


if __name__ == "__main__":
    main()
