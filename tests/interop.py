# SPDX-License-Identifier: MIT
"""What ingot writes, read by the real thing; and a few models of keras.applications, both ways.

    PYTHON tests/interop.py BUILD

PYTHON has keras (3.15), jax, safetensors, tensorboard and numpy. Takes the files that Keras 3.15 wrote (BUILD/formats/3.15), lets
ingot convert each into every format, and loads those with Keras, safetensors and NumPy: the same weights bit for bit,
the same predictions, and for .keras and .weights.h5 the same losses of 20 further steps. (From a legacy .h5 Keras 3.15
itself cannot go on training.) Small models of keras.applications are checked as tests/applications.py checks all of
them, then read back from what ingot makes of them; tests/shared_layers.py has models that share layers, tests/
dict_models.py models of dicts, tests/board.py what TensorBoard reads. docs/keras.md names each class of Keras that ingot
lacks. Ends with the line "N passed, N failed".
"""

import inspect
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ["JAX_PLATFORMS"] = "cpu"

import applications  # noqa: E402
import board  # noqa: E402
import dict_models  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
import shared_layers  # noqa: E402
from keras.src.applications.convnext import ConvNeXt  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

BUILD = sys.argv[1]
FOLDER = os.path.join(BUILD, "formats", "3.15")
TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CASES = ["mlp", "branches", "nested", "wrapped", "conv", "text", "frozen", "adam_amsgrad", "adamw", "nadam", "adamax",
         "rmsprop_centered", "adagrad", "adadelta", "lion", "sgd_nesterov", "adam_ema", "adam_exponential",
         "sgd_cosine", "adam_accumulate"]


def small_convnext(**options):  # its smallest public size has 28 million weights
    return ConvNeXt(depths=(1, 1, 1, 1), projection_dims=(8, 16, 32, 64), name="convnext", **options)


# With operations of keras.ops between layers (the first two), LayerScale, noise, pixels normalized within the model.
APPLICATIONS = [("MobileNetV3Small", {}), (small_convnext, {}), ("MobileNetV2", {"alpha": 0.35}),
                ("EfficientNetV2B0", {})]


def expected():
    path = os.path.join(FOLDER, "expect.safetensors")
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    return {c["name"]: c for c in json.loads(header["__metadata__"]["cases"])}, load_file(path)


class Losses(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(logs["loss"]))


def listed(tensors, name, prefix):
    found = []
    while f"{name}/{prefix}{len(found)}" in tensors:
        found.append(tensors[f"{name}/{prefix}{len(found)}"])
    return found


def one(values):
    return values[0] if len(values) == 1 else values


def same(got, want):
    return len(got) == len(want) and all(
        np.array_equal(np.asarray(g, np.float64), np.asarray(w, np.float64)) for g, w in zip(got, want))


def close(got, want, bound=1e-5):
    got = got if isinstance(got, list) else [got]
    return all(np.all(np.abs(g - w) <= bound * np.abs(w) + 1e-6) for g, w in zip(got, want))


def check_model(model, case, tensors, goes_on):
    name = case["name"]
    assert same(model.get_weights(), listed(tensors, name, "w")), "the weights differ"
    x, y = listed(tensors, name, "x"), listed(tensors, name, "y")
    assert close(model.predict(one(x), verbose=0, batch_size=40), listed(tensors, name, "predict")), "it predicts otherwise"
    if not goes_on or not case["deterministic"]:
        return
    losses = Losses()
    model.fit(one(x), one(y), batch_size=case["batch"], epochs=case["epochs"], shuffle=False, verbose=0,
              callbacks=[losses])
    want = tensors[f"{name}/batch_loss"]
    worst = np.max(np.abs(np.array(losses.seen) - want) / np.abs(want))
    assert worst <= 1e-5, f"the losses of 20 steps differ by {worst:.2g}"


def check(extension, source, path, case, tensors):
    if extension == ".keras":
        check_model(keras.models.load_model(path), case, tensors, True)
    elif extension == ".h5":
        check_model(keras.models.load_model(path, compile=False), case, tensors, False)
    elif extension == ".weights.h5":
        model = keras.models.load_model(source)
        model.set_weights([w * 0 for w in model.get_weights()])
        if model.optimizer.variables:
            for v in model.optimizer.variables:
                v.assign(v * 0)
        model.load_weights(path)
        check_model(model, case, tensors, True)
    else:
        loaded = load_file(path) if extension == ".safetensors" else dict(np.load(path))
        got = sorted(v.tobytes() for k, v in loaded.items() if not k.startswith("optimizer/"))
        want = listed(tensors, case["name"], "w")
        assert got == sorted(w.tobytes() for w in want), "the weights differ"


def check_application(name, options):
    """From Keras to ingot, and from there back to Keras."""
    ingot = os.path.join(BUILD, "ingot")
    with tempfile.TemporaryDirectory() as folder:
        made = applications.make(name, 64, 2, folder, **options)
        _, wrong = applications.check(ingot, made, folder)
        assert not wrong, "; ".join(wrong)
        x = np.load(os.path.join(folder, "x.npy"))
        for extension in (".keras", ".h5", ".weights.h5"):
            path = os.path.join(folder, "back" + extension)
            subprocess.run([ingot, "convert", os.path.join(folder, "model.keras"), path], check=True,
                           stdout=subprocess.DEVNULL)
            # Keras 3.15 cannot load an .h5 with operations, its own neither.
            if extension == ".h5" and any(type(o).__module__.startswith("keras.src.ops") for o in model.operations):
                continue
            with applications.undrawn():
                if extension == ".weights.h5":
                    model = keras.models.load_model(os.path.join(folder, "quiet.keras"))
                    model.load_weights(path)
                else:
                    model = keras.models.load_model(path, compile=False)
            got = keras.ops.convert_to_numpy(model(x, training=False))
            assert np.array_equal(got, made["expected"]), f"Keras predicts otherwise from ingot's {extension}"


def check_conversion(name, extension, case, tensors):
    source = os.path.join(FOLDER, name + ".keras")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m" + extension)
        subprocess.run([os.path.join(BUILD, "ingot"), "convert", source, path], check=True, stdout=subprocess.DEVNULL)
        check(extension, source, path, case, tensors)


def check_shared(case):
    with tempfile.TemporaryDirectory() as folder:
        shared_layers.check(os.path.join(BUILD, "ingot"), case, folder)


def check_dicts(case):
    with tempfile.TemporaryDirectory() as folder:
        dict_models.check(os.path.join(BUILD, "ingot"), case, folder)


def check_board():
    with tempfile.TemporaryDirectory() as folder:
        board.check(BUILD, folder)


# Where ingot lists what it knows of Keras's classes, and how.
LISTS = {"layers": ("layers/layers.h", r"^  X\((\w+)\)"), "optimizers": ("optim/optimizers.h", r"^Optimizer (\w+)\("),
         "losses": ("train/losses.h", r'^  X\((\w+), "'), "metrics": ("train/metrics.h", r'^  X\((\w+), "'),
         "callbacks": ("train/callbacks.h", r"^CallbackPtr (\w+)\(")}
OF_INGOT = {"CustomScaleLayer", "LayerScale", "MemoryReport"}  # the first two are of keras.applications


def check_page(kind):
    """Each public class of Keras is either known to ingot, or docs/keras.md says what stands for it or that it is missing."""
    def text(path):
        with open(os.path.join(TREE, path)) as f:
            return f.read()

    path, pattern = LISTS[kind]
    known = set(re.findall(pattern, text(path), re.M)) - OF_INGOT
    rows = re.findall(rf"^\| `keras\.{kind}` \| (.*) \|$", text("docs/keras.md"), re.M)
    named = [name for row in rows for name in re.findall(r"`([A-Z]\w*)`", row)]
    public = {}  # by the class itself: Conv2D and Convolution2D are one
    for name, value in vars(getattr(keras, kind)).items():
        if inspect.isclass(value):
            public.setdefault(value, set()).add(name)
    assert len(known) > 5 and len(named) > 0, "the lists could not be read"
    assert len(named) == len(set(named)), f"named twice: {sorted(n for n in named if named.count(n) > 1)}"
    names = set().union(*public.values())
    assert not set(named) - names, f"Keras has no {sorted(set(named) - names)}"
    assert not known - names, f"Keras has no {sorted(known - names)}, which ingot lists"
    both = [n for n in public.values() if n & known and n & set(named)]
    assert not both, f"there, though the page says otherwise: {both}"
    neither = [n for n in public.values() if not n & (known | set(named))]
    assert not neither, f"neither there nor named on the page: {neither}"


def main():
    failed = []
    passed = 0

    def attempt(what, f, *args):
        nonlocal passed
        try:
            f(*args)
            passed += 1
        except Exception as e:  # each is reported, and the others still run
            failed.append(what)
            print(f"[  FAILED  ] {what}: {type(e).__name__}: {str(e)[:300]}")

    cases, tensors = expected()
    for name in CASES:
        for extension in (".keras", ".h5", ".weights.h5", ".safetensors", ".npz"):
            attempt(f"{name} as {extension}", check_conversion, name, extension, cases[name], tensors)
    for name, options in APPLICATIONS:
        attempt(f"{name} of keras.applications", check_application, name, options)
    for case in shared_layers.CASES:
        attempt(f"shared layers, {case.__name__}", check_shared, case)
    for case in dict_models.CASES:
        attempt(f"dicts, {case.__name__}", check_dicts, case)
    attempt("TensorBoard", check_board)
    for kind in LISTS:
        attempt(f"docs/keras.md, keras.{kind}", check_page, kind)
    print(f"{passed} passed, {len(failed)} failed")
    return len(failed) != 0


sys.exit(main())
