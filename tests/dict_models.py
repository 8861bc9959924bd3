# SPDX-License-Identifier: MIT
"""Models that take or give a dict of tensors, between Keras and ingot: what tests/interop.py asks of each.

Keras counts the tensors of a dict by the names of the keys, however it wrote them, and so the layers that make them. In
ingot they are a list in that order; the keys stay in the files, and name what losses and metrics belong to.
"""

import json
import os
import subprocess

import keras
import numpy as np
from keras import Input, Model, layers


def heads(first, second, keys, sizes=(3, 3)):
    a, b = Input((4,), name="a"), Input((6,), name="b")
    both = layers.Concatenate()([layers.Dense(8, "relu", name="da")(a), layers.Dense(8, "relu", name="db")(b)])
    ends = [layers.Dense(size, name=name)(both) for size, name in zip(sizes, (first, second))]
    return Model([a, b], dict(zip(keys, ends)))


def heads_of_one_shape():  # nothing but the order tells them apart
    return heads("z", "c", ("z", "c"))


def heads_of_two_shapes():
    return heads("price", "kind", ("price", "kind"), (1, 3))


def keys_that_are_no_layers():
    return heads("zz", "yy", ("first", "second"), (1, 3))


def inputs():
    z, a = Input((4,), name="one"), Input((4,), name="two")
    difference = layers.Subtract()([layers.Dense(5, name="da")(z), layers.Dense(5, name="db")(a)])
    return Model({"z": z, "a": a}, layers.Dense(2, name="out")(difference))


def within():
    i = Input((4,), name="i")
    inner = Model(i, {"q": layers.Dense(5, name="iq")(i), "p": layers.Dense(5, name="ip")(i)}, name="inner")
    x = Input((4,), name="x")
    given = inner(layers.Dense(4, name="before")(x))
    return Model(x, layers.Dense(2, name="after")(layers.Subtract()([given["q"], given["p"]])))


CASES = [heads_of_one_shape, heads_of_two_shapes, keys_that_are_no_layers, inputs, within]


def flat(values):
    if isinstance(values, dict):
        return [values[key] for key in sorted(values)]
    return values if isinstance(values, list) else [values]


def check(ingot, case, folder):
    """Error unless ingot predicts, evaluates and trains as Keras does, from every format, and Keras from its files."""
    model = case()
    rng = np.random.default_rng(1)
    for layer in model.layers:
        layer.set_weights([rng.standard_normal(w.shape, np.float32) for w in layer.get_weights()])
    keyed = isinstance(model.output, dict)
    names = sorted(model.output) if keyed else []
    model.compile("sgd", {name: "mse" for name in names} if keyed else "mse",
                  metrics={name: ["mae"] for name in names} if keyed else ["mae"])
    x = [rng.standard_normal((12, *t.shape[1:]), np.float32) for t in flat(model.input)]
    y = [rng.standard_normal((12, *t.shape[1:]), np.float32) for t in flat(model.output)]
    files = {}
    for kind, arrays in (("x", x), ("y", y)):
        files[kind] = [os.path.join(folder, f"{kind}{i}.npy") for i in range(len(arrays))]
        for path, array in zip(files[kind], arrays):
            np.save(path, array)

    def structured(arrays, like):
        if isinstance(like, dict):
            return dict(zip(sorted(like), arrays))
        return arrays if isinstance(like, list) else arrays[0]

    feed, target = structured(x, model.input), structured(y, model.output)
    want = flat(model.predict(feed, verbose=0))
    logs = model.evaluate(feed, target, verbose=0, return_dict=True)

    def run(command, *options):
        done = subprocess.run([ingot, command, *options], capture_output=True, text=True)
        assert done.returncode == 0, f"ingot {command}: {done.stderr.strip()}"
        return done.stdout

    def predictions(path):
        out = os.path.join(folder, "out.npy")
        run("predict", path, *(o for f in files["x"] for o in ("--x", f)), "--out", out)
        return [np.load(out if i == 0 else out[:-4] + f"_{i}.npy") for i in range(len(want))]

    def close(got, what):
        assert len(got) == len(want), f"{what}: {len(got)} outputs"
        for g, w in zip(got, want):
            assert np.abs(g - w).max() <= 1e-5 * np.abs(w).max(), f"{what} is off by {np.abs(g - w).max()}"

    data = [o for kind in ("x", "y") for f in files[kind] for o in ("--" + kind, f)]
    for extension in (".keras", ".h5"):
        path = os.path.join(folder, "model" + extension)
        model.save(path)
        close(predictions(path), "what ingot predicts from " + extension)
        found = json.loads(run("evaluate", path, *data))
        assert set(found) == set(logs), f"{extension}: logs {sorted(found)}, Keras's are {sorted(logs)}"
        for name, value in logs.items():
            assert abs(found[name] - value) <= 1e-5 * abs(value), f"{extension}: {name} is {found[name]}, not {value}"
        for back in (".keras", ".h5", ".ingot"):
            again = os.path.join(folder, "again" + back)
            run("convert", path, again)
            if back == ".ingot":
                close(predictions(again), "what ingot predicts from its own file")
                continue
            loaded = keras.models.load_model(again, compile=False)
            given = loaded.predict(feed, verbose=0)
            assert isinstance(given, dict) == keyed, f"Keras gets a {type(given).__name__} from ingot's {back}"
            assert not keyed or sorted(given) == names, f"Keras gets the keys {sorted(given)} from ingot's {back}"
            close(flat(given), f"what Keras predicts from ingot's {back}")
    weights = os.path.join(folder, "model.weights.h5")
    model.save_weights(weights)
    run("convert", weights, os.path.join(folder, "w.ingot"), "--model", os.path.join(folder, "model.h5"))
    close(predictions(os.path.join(folder, "w.ingot")), "what ingot predicts from .weights.h5")
