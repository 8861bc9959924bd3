# SPDX-License-Identifier: MIT
"""What `ingot fit --tensorboard` writes, read by TensorBoard itself."""

import json
import os
import subprocess

import keras
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util


def read(folder):
    found = EventAccumulator(folder, size_guidance={"tensors": 0, "scalars": 0, "histograms": 0})
    found.Reload()
    return found


def check(build, folder):
    """Error unless TensorBoard reads what a fit has logged: the history, the last weights, the model."""
    rng = np.random.default_rng(1)
    at = {name: os.path.join(folder, name) for name in ("x.npy", "y.npy", "m.keras", "out.keras", "h.json", "logs")}
    np.save(at["x.npy"], rng.standard_normal((96, 5), np.float32))
    np.save(at["y.npy"], rng.standard_normal((96, 1), np.float32))
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(7, activation="relu", name="first"),
                              keras.layers.Dense(1, name="second")])
    model.compile("adam", "mse", metrics=["mae"])
    model.save(at["m.keras"])
    subprocess.run([os.path.join(build, "ingot"), "fit", at["m.keras"], "--x", at["x.npy"], "--y", at["y.npy"], "--epochs", "3",
                    "--validation-split", "0.25", "--out", at["out.keras"], "--history", at["h.json"],
                    "--tensorboard", at["logs"], "--histogram-freq", "1"], check=True, capture_output=True)
    with open(at["h.json"]) as f:
        history = json.load(f)
    train, validation = (read(os.path.join(at["logs"], part)) for part in ("train", "validation"))
    for name, values in history.items():
        if name == "batch_loss":
            continue
        where, tag = (validation, name[4:]) if name.startswith("val_") else (train, name)
        events = where.Scalars("epoch_" + tag)
        assert [e.step for e in events] == [0, 1, 2], f"{tag}: steps {[e.step for e in events]}"
        assert [np.float32(e.value) for e in events] == [np.float32(v) for v in values], f"{tag}: other values"
    weights = keras.models.load_model(at["out.keras"]).get_weights()
    for tag, w in zip(("first/kernel", "first/bias", "second/kernel", "second/bias"), weights):
        event = train.Histograms(tag + "/histogram")[-1]
        value = event.histogram_value
        assert event.step == 2 and value.num == w.size, f"{tag}: step {event.step}, {value.num} values"
        assert np.isclose(value.sum, w.sum(dtype=np.float64), rtol=1e-6), f"{tag}: the sum is {value.sum}"
        assert sum(value.bucket) == w.size, f"{tag}: the bars hold {sum(value.bucket)}"
        if w.size > 1:
            bars, _ = np.histogram(w.astype(np.float64), np.concatenate([[value.min], value.bucket_limit]))
            assert np.abs(np.cumsum(bars) - np.cumsum(value.bucket)).max() <= 1, f"{tag}: other bars"
    described = json.loads(tensor_util.make_ndarray(train.Tensors("keras")[0].tensor_proto).item())
    assert [layer["config"]["name"] for layer in described["config"]["layers"]][1:] == ["first", "second"]
    assert {node.name for node in train.Graph().node} >= {"first", "second"}
    plan = tensor_util.make_ndarray(train.Tensors("plan")[0].tensor_proto).item().decode()
    assert "second" in plan, "the plan does not name the layers"
