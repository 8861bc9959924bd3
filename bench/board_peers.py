#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times what TensorBoard's callback costs an epoch, ingot's and Keras's: scalars alone, and histograms of all weights.

  bench/board_peers.py BUILD [--rounds 3] [--epochs 10]

The MLP 784-64-10 and the CNN of README with Adam, 3,000 rows in batches of 128, made by Keras and trained on by both from
the same .keras file. An epoch of one side is timed as the time of a fit divided by its epochs, Keras's behind a first
epoch that is not counted; sides take turns. Needs a Python with keras, tensorflow and tensorboard.
"""
import argparse
import os
import statistics
import subprocess
import tempfile
import time

import numpy as np

ROWS, BATCH = 3000, 128
WAYS = {"no logs": None, "scalars": 0, "histograms": 1}  # name: histogram_freq


def models():
    from keras import Sequential, layers, regularizers

    mlp = Sequential([layers.Input((784,)), layers.Dense(64, "relu"), layers.Dense(10, "softmax")])
    block = []
    for filters in 64, 32:
        block += [layers.Conv2D(filters, 3, activation="relu", kernel_regularizer=regularizers.L2(1e-3)),
                  layers.BatchNormalization(), layers.MaxPooling2D(2)]
    cnn = Sequential([layers.Input((28, 28, 1)), *block, layers.Flatten(), layers.Dropout(0.5),
                      layers.Dense(10, "softmax")])
    for name, model in ("mlp", mlp), ("cnn", cnn):
        model.compile("adam", "sparse_categorical_crossentropy")
        yield name, model


def keras_epoch(model, x, y, way, epochs, folder):
    import keras

    logs = tempfile.mkdtemp(dir=folder)
    callbacks = [] if way is None else [keras.callbacks.TensorBoard(logs, histogram_freq=way, write_graph=False)]
    begin = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks)
    return 1e3 * (time.perf_counter() - begin) / epochs


def ingot_epoch(build, file, x, y, way, epochs, folder):
    logs = [] if way is None else ["--tensorboard", tempfile.mkdtemp(dir=folder)]
    if way:
        logs += ["--histogram-freq", str(way)]

    def run(n):
        begin = time.perf_counter()
        subprocess.run([os.path.join(build, "ingot"), "fit", file, "--x", x, "--y", y, "--epochs", str(n),
                        "--batch-size", str(BATCH), "--history", os.path.join(folder, "h.json"), *logs], check=True,
                       capture_output=True)
        return 1e3 * (time.perf_counter() - begin)

    start = run(0)  # the process, the file and the data
    return (run(epochs) - start) / epochs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    random = np.random.default_rng(0)
    print("| model, side | an epoch, ms | with scalars, ms more | with histograms, ms more |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models():
            x = random.standard_normal((ROWS, *model.input_shape[1:]), dtype=np.float32)
            y = random.integers(0, 10, ROWS).astype(np.int32)
            file, at_x, at_y = (os.path.join(folder, f) for f in (f"{name}.keras", "x.npy", "y.npy"))
            model.save(file)
            np.save(at_x, x)
            np.save(at_y, y)
            sides = {"ingot": lambda way: ingot_epoch(args.build, file, at_x, at_y, way, args.epochs, folder),
                     "Keras on TensorFlow": lambda way: keras_epoch(model, x, y, way, args.epochs, folder)}
            keras_epoch(model, x, y, 1, 1, folder)
            seen = {(side, way): [] for side in sides for way in WAYS}
            for _ in range(args.rounds):
                for way, frequency in WAYS.items():
                    for side, run in sides.items():
                        seen[side, way].append(run(frequency))
            for side in sides:
                plain, scalars, histograms = (statistics.median(seen[side, way]) for way in WAYS)
                print(f"| {name}, {side} | {plain:.1f} | {scalars - plain:.1f} | {histograms - plain:.1f} |")


if __name__ == "__main__":
    main()
