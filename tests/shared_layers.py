# SPDX-License-Identifier: MIT
"""Models that share layers with models inside them, between Keras and ingot: what tests/interop.py asks of each.

Keras 3.15 cannot load most of the .keras files that it writes of such models (io/keras_sharing.h says why). ingot reads
them, and Keras reads what ingot makes of them, the layers still shared. Of an .h5 file Keras makes two layers; ingot
reads it so, and refuses to write one.
"""

import json
import os
import subprocess

import keras
import numpy as np
from keras import Input, Model, Sequential, layers


def in_and_out():
    shared, i, x = layers.Dense(4, name="shared"), Input((4,)), Input((4,))
    inner = Model(i, layers.Dense(4, name="d")(shared(i)), name="inner")
    return Model(x, layers.Dense(2, name="o")(shared(inner(x))), name="outer")


def out_and_in():
    shared, i, x = layers.Dense(4, name="shared"), Input((4,)), Input((4,))
    inner = Model(i, layers.Dense(4, name="d")(shared(i)), name="inner")
    return Model(x, layers.Dense(2, name="o")(inner(shared(x))), name="outer")


def siblings():
    shared, i, k, x = layers.Dense(4, activation="tanh", name="shared"), Input((4,)), Input((4,)), Input((4,))
    p = Model(i, shared(layers.Dense(4, name="d")(shared(i))), name="p")
    q = Model(k, shared(layers.Dense(4, name="e")(shared(k))), name="q")
    return Model(x, layers.Dense(2, name="o")(q(p(x))), name="outer")


def shared_model():
    i, k, x = Input((4,)), Input((4,)), Input((4,))
    shared = Model(i, layers.LayerNormalization(name="n")(layers.Dense(4, name="s")(i)), name="shared")
    p = Model(k, layers.Dense(4, name="d")(shared(k)), name="p")
    return Model(x, layers.Dense(2, name="o")(shared(p(x))), name="outer")


def chains():
    shared = layers.Dense(4, name="shared")
    p = Sequential([Input((4,)), shared, layers.Dense(4, name="d")], name="p")
    return Sequential([Input((4,)), p, shared, layers.Dense(2, name="o")], name="outer")


def part_and_whole():
    i, x = Input((4,)), Input((4,))
    middle = layers.Dense(4, activation="relu", name="s")(i)
    part, whole = Model(i, middle, name="part"), Model(i, layers.Dense(4, name="d")(middle), name="whole")
    return Model(x, layers.Dense(2, name="o")(layers.Add(name="a")([part(x), whole(x)])), name="outer")


def chain_in_functional():
    shared, x = layers.Dense(4, name="shared"), Input((4,))
    p = Sequential([Input((4,)), layers.Dense(4, name="d"), shared], name="p")
    return Model(x, layers.Dense(2, name="o")(p(shared(x))), name="outer")


def functional_in_chain():
    shared, i = layers.Dense(4, name="shared"), Input((4,))
    p = Model(i, shared(layers.Dense(4, name="d")(i)), name="p")
    return Sequential([Input((4,)), shared, p, layers.Dense(2, name="o")], name="outer")


# What ingot does not write as .keras, as no Keras could read it.
REFUSED = [chain_in_functional, functional_in_chain]
CASES = [in_and_out, out_and_in, siblings, shared_model, chains, part_and_whole, *REFUSED]


def check(ingot, make, folder):
    rng = np.random.default_rng(1)
    keras.utils.set_random_seed(1)
    x, y = rng.standard_normal((8, 4)).astype(np.float32), rng.standard_normal((8, 2)).astype(np.float32)
    model = make()
    model.compile("sgd", "mse")

    def at(name):
        return os.path.join(folder, name)

    def run(*command):
        return subprocess.run([ingot, *command], capture_output=True, text=True)

    def convert(name, to):
        done = run("convert", at(name), at(to))
        assert done.returncode == 0, done.stderr
        return at(to)

    def predict(model):
        return model.predict(x, verbose=0)

    def train(model):
        return [model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history["loss"][0] for _ in range(5)]

    np.save(at("x.npy"), x)
    np.save(at("y.npy"), y)
    model.save(at("model.keras"))
    model.save(at("model.h5"))
    want = predict(model)
    for name in ("model.keras", "model.h5", convert("model.keras", "native.ingot")):
        done = run("predict", at(name), "--x", at("x.npy"), "--out", at("out.npy"))
        assert done.returncode == 0, done.stderr
        assert np.allclose(np.load(at("out.npy")), want, rtol=1e-5, atol=1e-6), f"ingot predicts otherwise from {name}"
    done = run("convert", at("model.keras"), at("back.h5"))
    assert done.returncode == 1 and "an .h5 file cannot say so" in done.stderr, f"an .h5 was made: {done.stderr}"

    if make in REFUSED:
        done = run("convert", at("model.keras"), at("back.keras"))
        assert done.returncode == 1 and "Keras cannot load such a file" in done.stderr, f"not refused: {done.stderr}"
        back = None
    else:
        back = keras.models.load_model(convert("model.keras", "back.keras"))
        assert len(back.weights) == len(model.weights), "Keras makes several layers of one"
        assert np.array_equal(predict(back), want), "Keras predicts otherwise from ingot's .keras"
    other = make()
    other.load_weights(convert("model.keras", "back.weights.h5"))
    assert np.array_equal(predict(other), want), "Keras predicts otherwise from ingot's .weights.h5"

    # Two layers in place of one would part in training.
    losses = train(model)
    assert back is None or np.allclose(train(back), losses, rtol=1e-6), "Keras trains otherwise from ingot's .keras"
    done = run("fit", at("model.keras"), "--x", at("x.npy"), "--y", at("y.npy"), "--epochs", "5", "--batch-size", "8",
               "--no-shuffle", "--history", at("history.json"))
    assert done.returncode == 0, done.stderr
    with open(at("history.json")) as f:
        assert np.allclose(json.load(f)["loss"], losses, rtol=1e-5), "ingot trains otherwise from Keras's .keras"
