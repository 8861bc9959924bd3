# SPDX-License-Identifier: MIT
"""fit() itself: how epochs, steps, weights and validation make up a history. Rows are never shuffled.

No ReLU, whose kink makes of a rounding another history.
"""

import json
import pathlib
import shutil
import tempfile

from common import Fixture, f32, fresh, integers, keras, normal, np, random_weight, rng_for
from keras import layers

# The last batch has at least 3 rows, also of what a split leaves: the normalization over 2 takes nearly all of a gradient
# away, and what is left is rounding.
ROWS, FEATURES, CLASSES = 24, 6, 3


def labels(rng):
    return integers(rng, CLASSES, (ROWS,))


def one_hot(rng):
    return f32(np.eye(CLASSES)[labels(rng)])


def halves(rng):
    """Labels as a column of floats that are not whole: class_weight rounds them."""
    return f32(labels(rng) + rng.choice([-0.4, 0.0, 0.4], ROWS))[:, None].clip(0, 2)


def weights(rng):
    return f32(rng.uniform(0.1, 2.0, ROWS))


def zeros_among(rng):
    w = weights(rng)
    w[3:9] = 0.0
    return w


SPARSE, DENSE, MSE = "sparse_categorical_crossentropy", "categorical_crossentropy", "mse"
CLASS_WEIGHT = {0: 0.5, 2: 3.0}  # class 1 counts once

# name, loss, targets, sample weights, validation data, arguments of fit
CASES = [
    ("plain", SPARSE, labels, None, None, dict(epochs=3)),
    ("class_weight", SPARSE, labels, None, None, dict(epochs=3, class_weight=CLASS_WEIGHT)),
    ("class_weight_one_hot", DENSE, one_hot, None, None, dict(epochs=3, class_weight=CLASS_WEIGHT)),
    ("class_weight_rounds", MSE, halves, None, None, dict(epochs=2, class_weight=CLASS_WEIGHT)),
    ("class_weight_split", SPARSE, labels, None, None,
     dict(epochs=2, class_weight=CLASS_WEIGHT, validation_split=0.25)),
    ("sample_weight", SPARSE, labels, weights, None, dict(epochs=3)),
    ("sample_weight_zeros", SPARSE, labels, zeros_among, None, dict(epochs=2)),
    ("sample_weight_split", SPARSE, labels, weights, None, dict(epochs=2, validation_split=0.25)),
    ("validation_split", SPARSE, labels, None, None, dict(epochs=3, validation_split=0.25)),
    ("validation_data", DENSE, one_hot, None, 9, dict(epochs=3)),
    ("validation_batch_size", SPARSE, labels, None, 9, dict(epochs=2, validation_batch_size=2)),
    ("initial_epoch", SPARSE, labels, None, None, dict(epochs=5, initial_epoch=3)),
    # Four batches: two epochs to a pass. Where a pass ends within an epoch Keras cuts that epoch short.
    ("steps_per_epoch", SPARSE, labels, None, None,
     dict(epochs=5, steps_per_epoch=2, batch_size=6)),
    ("steps_of_a_whole_pass", SPARSE, labels, None, None, dict(epochs=2, steps_per_epoch=5)),
    ("reduce_lr", SPARSE, labels, None, 9,
     dict(epochs=12, callbacks=[("ReduceLROnPlateau", dict(factor=0.5, patience=1, cooldown=1, min_lr=0.01, min_delta=0.01)),
                                ("CSVLogger", {})])),
    ("reduce_lr_of_accuracy", SPARSE, labels, None, None,
     dict(epochs=8, callbacks=[("ReduceLROnPlateau", dict(monitor="accuracy", factor=0.2, patience=2, min_delta=0.1)),
                               ("CSVLogger", dict(separator=";"))])),
    ("learning_rate_scheduler", MSE, halves, None, None,
     dict(epochs=4, callbacks=[("LearningRateScheduler", {}), ("CSVLogger", {})])),
]  # fmt: skip


def scheduled(epoch, rate):
    """What the test schedules too."""
    return 0.02 * (epoch + 1) if epoch % 2 == 0 else rate * 0.5


def callback(name, arguments, csv):
    if name == "CSVLogger":
        return keras.callbacks.CSVLogger(csv, **arguments)
    if name == "LearningRateScheduler":
        return keras.callbacks.LearningRateScheduler(scheduled)
    return getattr(keras.callbacks, name)(**arguments)


def make():
    fixture = Fixture("fits")
    for name, loss, targets, weighting, validation_rows, arguments in CASES:
        fresh(name)
        rng = rng_for("fit/" + name)
        head = layers.Dense(1) if loss == MSE else layers.Dense(CLASSES, activation="softmax")
        model = keras.Sequential(
            [
                layers.Input((FEATURES,)),
                layers.Dense(5, activation="tanh", kernel_regularizer="l2"),
                layers.BatchNormalization(),
                head,
            ]
        )
        initial = [random_weight(rng, v) for v in model.weights]
        model.set_weights(initial)
        model.compile(
            optimizer=keras.optimizers.SGD(0.05, momentum=0.9), loss=loss,
            metrics=["mae"] if loss == MSE else ["accuracy"],
            weighted_metrics=["mse"] if loss == MSE else ["accuracy"],
        )  # fmt: skip
        x, y = normal(rng, (ROWS, FEATURES)), targets(rng)
        tensors = {f"w{i}": w for i, w in enumerate(initial)} | {"x": x, "y": y}
        call = dict(x=x, y=y, batch_size=5, shuffle=False, verbose=0) | arguments
        if weighting:
            call["sample_weight"] = tensors["sw"] = weighting(rng)
        if validation_rows:
            vx, vy = normal(rng, (validation_rows, FEATURES)), targets(rng)[:validation_rows]
            call["validation_data"] = (vx, vy)
            tensors |= {"vx": vx, "vy": vy}
        compiled = model.get_compile_config()
        csv = pathlib.Path(tempfile.mkdtemp()) / "log.csv"
        call["callbacks"] = [callback(*c, str(csv)) for c in arguments.get("callbacks", [])]
        history = model.fit(**call)
        tensors |= {f"f{i}": w for i, w in enumerate(model.get_weights())}
        told = {"batch_size": 5} | {k: v for k, v in arguments.items() if k != "class_weight"}
        if "class_weight" in arguments:
            told["class_weight"] = sorted(arguments["class_weight"].items())
        case = {
            "kind": "fit", "name": name, "config": json.loads(model.to_json()), "compile": compiled,
            "fit": told, "epoch": history.epoch,
            "history": {k: [float(v) for v in vs] for k, vs in history.history.items()},
        }  # fmt: skip
        if csv.exists():
            case["csv"] = csv.read_bytes().decode()
        shutil.rmtree(csv.parent)
        fixture.add(case, tensors)
    fixture.save()
