# SPDX-License-Identifier: MIT
"""Every model of keras.applications: saved by Keras, read by ingot.

    PYTHON tests/applications.py BUILD [--only NAME...] [--batch N] [--size N | --small] [--beta X] [--float64]
                                 [--out FILE] [--scratch FOLDER]

PYTHON has keras (3.15), jax, h5py and numpy. Each model gets random weights and batch-norm statistics and is saved as
.keras, .h5 and .weights.h5. `BUILD/ingot predict` must predict from each file what Keras predicts: no logit may differ
by more than 1e-4 of the largest. The .weights.h5 is loaded into the model as it was before it got its weights, so that
nothing but that file can give the right answer. Then the model is trained on one batch twice: the first loss must be
Keras's loss of training mode, the second must be smaller. Where the model drops something at random, that is asked of
the model with this turned off, and of the model as it is only that its loss is finite.

With --float64 Keras predicts in float64 too, which tells how far its float32 and ingot's each are from the truth.

Prints a row of a table for each model, why one failed, and at the end "N passed, N failed". docs/applications.md is
what --out wrote. Not run by CI, which does a few small models by tests/interop.py: this needs up to an hour or two,
16 GiB of memory and 6 GiB of disk.
"""

import argparse
import concurrent.futures
import datetime
import inspect
import json
import logging
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
from unittest import mock

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402

logging.getLogger("absl").setLevel(logging.ERROR)  # Keras warns that .h5 is old

BOUND = 1e-4  # of predictions, relative to the largest, and of the loss
STEP = 1e-6  # the learning rate: small, so that a step must take the loss down
SMALL = 128  # pixels: with fewer, some models normalize batches of one pixel, and the loss is chaotic
COLUMNS = ["model", "parameters", "layers", "input", ".keras", ".h5", ".weights.h5", "ingot, float64",
           "Keras, float64", "loss", "Keras's loss", ""]
ABOUT = """# The models of keras.applications

What `tests/applications.py` found: every model of keras.applications with random weights, saved by Keras {keras} in
each format, read by ingot and held against Keras. The columns `.keras`, `.h5` and `.weights.h5` say by how much ingot's
predictions from that file differ from Keras's, relative to the largest; {bound:g} is allowed. The next two say how far
ingot's and Keras's predictions, both computed in float32, are from Keras's in float64. The losses are of training mode.

By runs of `{command}` (with --only a few models each),
the last on {date}, with {machine}.
"""


def names():
    """All there are: the functions that stand in keras.applications and make a model."""
    found = [name for name, f in vars(keras.applications).items()
             if inspect.isfunction(f) and "weights" in inspect.signature(f).parameters]
    return sorted(found)


def of_kind(model, *kinds):
    """The layers of those classes, in models within the model too."""
    return [layer for layer in model._flatten_layers() if type(layer).__name__ in kinds]


def undrawn():
    """While it lasts, kernels are made of zeros. JAX would compile a program that draws them for every shape."""
    return mock.patch.object(keras.initializers.VarianceScaling, "__call__",
                             lambda self, shape, dtype=None, **kwargs: np.zeros(shape, dtype or "float32"))


def randomize(model, rng, beta):
    """Random weights with which a signal neither dies nor explodes, and every one of which matters.

    Betas are about 1, by default: with betas about 0 each ReLU cuts off half, and deep models become chaotic. For
    ResNet152 (--beta 0 --float64) Keras's own predictions in float32 are then 2.2e-4 of the largest from those in
    float64, ingot's 1.9e-4; with betas about 1 they are 7.4e-7 and 6.5e-7 from them.
    """
    for layer in model._flatten_layers(include_self=False):
        if getattr(layer, "_layers", None):
            continue
        for w in layer.weights:
            normal = rng.standard_normal(w.shape).astype(np.float32)
            kind = w.name.split("/")[-1]
            if type(layer).__name__ == "LayerScale":
                w.assign(0.5 + 0.1 * normal)  # Keras's own 1e-6 would hide the blocks
            elif kind == "gamma":
                w.assign(1 + 0.1 * normal)
            elif kind == "beta":
                w.assign(beta + 0.1 * normal)
            elif kind == "bias":
                w.assign(0.1 * normal)
            elif kind.endswith("kernel"):
                w.assign(normal * np.sqrt(2 / np.prod(w.shape[:-1])))
    for layer in of_kind(model, "Normalization"):
        if getattr(layer, "adapt_mean", None) is not None:
            channels = layer.adapt_mean.shape
            layer.adapt_mean.assign(rng.uniform(0.4, 0.5, channels))
            layer.adapt_variance.assign(rng.uniform(0.05, 0.1, channels))
            layer.finalize_state()


def set_statistics(model, rng, x, y):
    """Batch-norm statistics near those of the batch, but not the same. Returns the loss in training mode."""
    norms = of_kind(model, "BatchNormalization")
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)(y, model(x, training=True))
    for layer, momentum in zip(norms, momenta):
        layer.momentum = momentum
        mean, variance = (keras.ops.convert_to_numpy(v) for v in (layer.moving_mean, layer.moving_variance))
        layer.moving_mean.assign(mean + 0.1 * np.sqrt(variance) * rng.standard_normal(mean.shape))
        layer.moving_variance.assign(variance * rng.uniform(0.8, 1.25, variance.shape))
    return float(loss)


def build(name, size, **options):
    """The model of that name, with logits; `name` may be another function that makes models."""
    factory = name if callable(name) else getattr(keras.applications, name)
    if size:
        options["input_shape"] = (size, size, 3)
    keras.utils.set_random_seed(1)
    with undrawn():
        return factory(**options, weights=None, classifier_activation=None)


def make(name, size, batch, folder, beta=1.0, **options):
    """Makes the model and its files; what Keras says about it."""
    rng = np.random.default_rng(1)
    model = build(name, size, **options)
    model.compile(keras.optimizers.SGD(STEP), keras.losses.CategoricalCrossentropy(from_logits=True))
    shape = [n or 224 for n in model.input_shape[1:]]  # MobileNetV3 takes images of any size
    scaled = of_kind(model, "Rescaling", "Normalization")  # then the model takes pixels of 0 to 255
    x = rng.uniform(*((0, 255) if scaled else (-1, 1)), (batch, *shape)).astype(np.float32)
    y = np.eye(model.output_shape[-1], dtype=np.float32)[rng.integers(0, model.output_shape[-1], batch)]
    np.save(os.path.join(folder, "x.npy"), x)
    np.save(os.path.join(folder, "y.npy"), y)

    noisy = [layer for layer in of_kind(model, "Dropout") if layer.rate > 0]
    rates = [layer.rate for layer in noisy]
    for layer in noisy:
        layer.rate = 0.0
    model.save(os.path.join(folder, "quiet.keras"))  # without noise, and with the weights that it starts with
    randomize(model, rng, beta)
    loss = set_statistics(model, rng, x, y)
    for layer, rate in zip(noisy, rates):
        layer.rate = rate
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    for extension in (".keras", ".h5"):
        model.save(os.path.join(folder, "model" + extension))
    model.save_weights(os.path.join(folder, "model.weights.h5"))
    return {"expected": expected, "loss": loss, "noisy": bool(noisy), "parameters": model.count_params(),
            "layers": len(model.layers), "size": shape[0], "batch": batch}


def predict_in_float64(name, size, folder):
    """What the model that make() has made predicts, with the same weights, in float64. For a process of its own."""
    jax.config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")
    model = build(name, size)
    model.load_weights(os.path.join(folder, "model.weights.h5"))
    rows = np.load(os.path.join(folder, "x.npy")).astype(np.float64)
    # One at a time: Keras keeps what every layer gives, and float64 takes twice the memory.
    found = np.concatenate([keras.ops.convert_to_numpy(model(row[None], training=False)) for row in rows])
    assert found.dtype == np.float64, f"Keras computed in {found.dtype}"
    return found


def run(command):
    """An error with its last line if the command fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]
        raise RuntimeError(f"ingot {command[1]} {os.path.basename(command[2])}: {last}")


def check_weights(want):
    """Error if the random weights make predictions that show nothing."""
    assert np.isfinite(want).all(), "Keras predicts what is not finite: the test's weights are bad"
    assert 1e-2 < np.abs(want).max() < 1e3, f"Keras predicts {np.abs(want).max():.1g}: the test's weights are bad"
    spread = np.abs(want[0] - want[-1]).max() / np.abs(want).max() if len(want) > 1 else np.std(want)
    assert spread > 1e-3, f"Keras predicts the same for all inputs ({spread:.1g}): the test's weights are bad"


def difference(got, want):
    assert got.shape == want.shape, f"{got.shape} was predicted, {want.shape} was expected"
    error = np.abs(got - want).max() / np.abs(want).max()
    return float(error) if np.isfinite(got).all() else float("inf")


def train(ingot, folder, model):
    """The losses of two epochs of one batch."""
    history = os.path.join(folder, "history.json")
    x, y = os.path.join(folder, "x.npy"), os.path.join(folder, "y.npy")
    run([ingot, "fit", os.path.join(folder, model), "--x", x, "--y", y, "--epochs", "2", "--no-shuffle", "--history",
         history])
    with open(history) as f:
        return json.load(f)["loss"]


def check(ingot, made, folder):
    """Reads the files of a model that make() has made. A row of the table, by column, and what is wrong."""
    wrong = []
    row = {"parameters": f"{made['parameters']:,}", "layers": made["layers"],
           "input": f"{made['batch']}x{made['size']}x{made['size']}", "Keras's loss": f"{made['loss']:.6f}"}

    def at(file):
        return os.path.join(folder, file)

    def attempt(what):
        try:
            what()
        except Exception as e:  # each is reported, and the others still run
            wrong.append(str(e)[:300] if str(e) else type(e).__name__)

    def predict(column, file):
        run([ingot, "predict", at(file), "--x", at("x.npy"), "--out", at("out.npy"), "--batch-size",
             str(made["batch"])])
        got = np.load(at("out.npy"))
        error = difference(got, made["expected"])
        row[column] = f"{error:.1e}"
        if "float64" in made:
            row["ingot, float64"] = f"{difference(got, made['float64']):.1e}"
        if not error < BOUND:
            wrong.append(f"the predictions from {column} are off by {error:.2g} of the largest")

    def convert():
        run([ingot, "convert", at("model.weights.h5"), at("quiet.ingot"), "--model", at("quiet.keras")])
        predict(".weights.h5", "quiet.ingot")

    def fit(file, exact):
        first, second = train(ingot, folder, file)
        if exact:
            row["loss"] = f"{first:.6f}"
            if not abs(first - made["loss"]) <= BOUND * abs(made["loss"]):
                wrong.append(f"the loss of {file} is {first}, Keras's is {made['loss']}")
            if not second < first:
                wrong.append(f"a step took the loss from {first} to {second}")
        elif not np.isfinite([first, second]).all():
            wrong.append(f"the losses of {file} are {first} and {second}")

    if "float64" in made:
        row["Keras, float64"] = f"{difference(made['expected'], made['float64']):.1e}"
    attempt(lambda: check_weights(made["expected"]))
    attempt(lambda: predict(".keras", "model.keras"))
    attempt(lambda: predict(".h5", "model.h5"))
    attempt(convert)
    attempt(lambda: fit("quiet.ingot", True))
    if made["noisy"]:
        attempt(lambda: fit("model.keras", False))
    row[""] = "FAILED" if wrong else "ok"
    return row, wrong


def apart(f, *args):
    """f(*args), run by a process of its own: what Keras took of memory is given back."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(f, *args).result()


def line(row):
    return "| " + " | ".join(str(row.get(c, "-")) for c in COLUMNS) + " |"


def machine():
    """The class of this machine: its processor, cores and memory."""
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(os.sched_getaffinity(0))} cores ({model}) and {memory:.0f} GiB of memory"


def written(path):
    """The rows of a page that write() wrote, by model; none if there is no such page."""
    if not os.path.exists(path):
        return {}
    with open(path) as f:
        cells = [[cell.strip() for cell in text.strip()[1:-1].split("|")] for text in f if text.startswith("|")]
    return {row[0]: dict(zip(cells[0], row)) for row in cells[2:]}


def write(path, args, rows):
    """The table as a page, written anew after each model: what is interrupted leaves what it has found. The rows of
    models that this run does not do are kept, so that a page may come from several runs."""
    by_model = {**written(path), **{row["model"]: row for row in rows}}
    words = ["python tests/applications.py build"]
    words += [f"--batch {args.batch}"] if args.batch != 2 else []
    words += [f"--size {args.size}"] if args.size else []
    words += [f"--beta {args.beta:g}"] if args.beta != 1 else []
    words += ["--float64"] if args.float64 else []
    failed = [name for name, row in by_model.items() if row[""] != "ok"]
    count = f"{len(by_model) - len(failed)} of {len(by_model)} passed"
    count += f"; failed: {', '.join(failed)}." if failed else "."
    missing = sorted(set(names()) - set(by_model))
    count += f" Not run: {', '.join(missing)}." if missing else ""
    with open(path, "w") as f:
        print(ABOUT.format(keras=keras.__version__, bound=BOUND, command=" ".join(words) + " --out FILE",
                           date=datetime.date.today(), machine=machine()), count, "", sep="\n", file=f)
        for row in [{c: c for c in COLUMNS}, {c: "---" for c in COLUMNS}, *(by_model[n] for n in sorted(by_model))]:
            print(line(row), file=f)


def main():
    parser = argparse.ArgumentParser(description="Holds ingot against Keras on every model of keras.applications.")
    parser.add_argument("build", help="ingot's build folder")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=names(), help="these models; by default all")
    parser.add_argument("--batch", type=int, default=2, help="rows to predict and to train on (%(default)s)")
    parser.add_argument("--size", type=int, help="pixels each way; by default each model's own")
    parser.add_argument("--small", action="store_const", const=SMALL, dest="size", help=f"the same as --size {SMALL}")
    parser.add_argument("--beta", type=float, default=1.0, help="the mean of the random betas (%(default)s)")
    parser.add_argument("--float64", action="store_true", help="compare with Keras's predictions in float64 too")
    parser.add_argument("--out", metavar="FILE",
                        help="write the table there too, as a page of Markdown, beside the rows it has of other models")
    parser.add_argument("--scratch", help="where the files may lie for a while; by default the system's place")
    args = parser.parse_args()
    unknown = set(args.only) - set(names())
    if unknown:
        parser.error(f"keras.applications has no {', '.join(sorted(unknown))}; it has {', '.join(names())}")
    print(line({c: c for c in COLUMNS}), line({c: "---" for c in COLUMNS}), sep="\n", flush=True)
    rows = []
    cache = tempfile.TemporaryDirectory(dir=args.scratch)  # of compiled programs, for all the processes
    os.environ.update({"JAX_COMPILATION_CACHE_DIR": cache.name, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"})
    for name in args.only:
        with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
            try:
                made = apart(make, name, args.size, args.batch, folder, args.beta)
                if args.float64:
                    made["float64"] = apart(predict_in_float64, name, args.size, folder)
                row, wrong = check(os.path.join(args.build, "ingot"), made, folder)
            except Exception as e:  # each is reported, and the others still run
                row, wrong = {"": "FAILED"}, [f"{type(e).__name__}: {str(e)[:300]}"]
        rows.append(dict(row, model=name))
        print(line(rows[-1]), flush=True)
        if args.out:
            write(args.out, args, rows)
        for what in wrong:
            print(f"[  FAILED  ] {name}: {what}", file=sys.stderr, flush=True)
    failed = sum(row[""] != "ok" for row in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
