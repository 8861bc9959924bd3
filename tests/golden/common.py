# SPDX-License-Identifier: MIT
"""What every group shares: the environment, seeded numbers, the fixture file and the "model" case.

Import this module before keras: it selects the jax backend on the CPU at full fp32 precision.
GOLDEN_FLOAT64=1 computes everything in float64 and, instead of writing, prints how far each fixture
on disk lies from that: the error of Keras's own fp32 arithmetic, the floor of any tolerance.
"""

import json
import os
import struct
import warnings
import zlib

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import jax  # noqa: E402

FLOAT64 = os.environ.get("GOLDEN_FLOAT64") == "1"
jax.config.update("jax_default_matmul_precision", "highest")
jax.config.update("jax_enable_x64", FLOAT64)

import keras  # noqa: E402
import numpy as np  # noqa: E402

if FLOAT64:
    keras.config.set_floatx("float64")

warnings.filterwarnings("ignore", message=".*rms_scaling=True.*")

HERE = os.path.dirname(os.path.abspath(__file__))
KERAS_VERSION = "3.15.1"
assert keras.__version__ == KERAS_VERSION, keras.__version__


# ---- numbers -------------------------------------------------------------------------------------


def rng_for(name):
    """A generator seeded by the case's name, so that cases do not disturb each other."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def f32(a):
    """Rounds to float32, then widens again if the run is in float64: both see the same numbers."""
    a = np.asarray(a, np.float32)
    return a.astype(np.float64) if FLOAT64 else a


def normal(rng, shape, scale=1.0, shift=0.0):
    return f32(rng.standard_normal(shape) * scale + shift)


def integers(rng, high, shape):
    return rng.integers(0, high, shape).astype(np.int32)


def flat(structure):
    """The leaves of a tensor or a (possibly nested) list of them."""
    return keras.tree.flatten(structure)


# ---- the file ------------------------------------------------------------------------------------


class Fixture:
    """Collects the cases of one group and writes GROUP.safetensors."""

    def __init__(self, group):
        self.path = os.path.join(HERE, group + ".safetensors")
        self.cases, self.tensors = [], {}

    def add(self, case, tensors):
        name = case["name"]
        assert all(c["name"] != name for c in self.cases), f"{name}: a second case of that name"
        for key, value in tensors.items():
            a = np.asarray(value)
            if a.dtype == np.bool_ or np.issubdtype(a.dtype, np.integer):
                a = a.astype(np.int32)
            elif not FLOAT64:
                a = a.astype(np.float32)
            assert np.all(np.isfinite(a)), f"{name}/{key}: not finite"
            self.tensors[f"{name}/{key}"] = np.array(a, order="C")
        self.cases.append(case)

    def save(self):
        if FLOAT64:
            return self.compare()
        metadata = {"cases": json.dumps(self.cases, allow_nan=False), "keras": KERAS_VERSION}
        header, offset = {"__metadata__": metadata}, 0
        for key, a in self.tensors.items():
            kind = "I32" if a.dtype == np.int32 else "F32"
            end = offset + a.nbytes
            header[key] = {"dtype": kind, "shape": list(a.shape), "data_offsets": [offset, end]}
            offset = end
        text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(self.path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for a in self.tensors.values():
                file.write(a.tobytes())
        size = os.path.getsize(self.path)
        print(f"{os.path.basename(self.path)}: {len(self.cases)} cases, {size / 1e6:.2f} MB")

    def compare(self, show=2e-6):
        """Prints each case whose fixture is farther than `show` from the float64 result."""
        from safetensors.numpy import load_file

        stored, worst = load_file(self.path), {}
        for key, exact in self.tensors.items():
            got = stored[key]
            assert got.shape == exact.shape, f"{key}: {got.shape} on disk, {exact.shape} computed"
            scale = max(float(np.max(np.abs(exact), initial=0)), 1e-1)
            error = float(np.max(np.abs(got - exact), initial=0)) / scale
            name, tensor = key.rsplit("/", 1)
            if error > worst.get(name, (0.0, ""))[0]:
                worst[name] = (error, tensor)
        for name, (error, tensor) in sorted(worst.items(), key=lambda item: -item[1][0]):
            if error > show:
                print(f"{name:48s} {tensor:10s} {error:.1e}")


# ---- the "model" case ----------------------------------------------------------------------------


def random_weight(rng, variable):
    """A value for a weight that is not its initial one and keeps activations near unit scale."""
    shape, name = variable.shape, variable.name
    if "int" in variable.dtype:
        return np.zeros(shape, np.int32)
    if "variance" in name:
        return f32(rng.uniform(0.5, 1.5, shape))
    if name == "gamma" or name.startswith("variable"):
        return normal(rng, shape, 0.3, 1.0)
    if len(shape) < 2 or name in ("beta", "alpha"):
        return normal(rng, shape, 0.3)
    if name == "embeddings":
        return normal(rng, shape)
    fan_in = int(np.prod(shape[:-2])) * (shape[-1] if "depthwise" in name else shape[-2])
    return normal(rng, shape, 1.0 / np.sqrt(fan_in) + 0.05)


def finalize(model):
    """What loading a file does after the weights are set (Normalization derives its constants)."""
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def inference_and_gradients(model, xs, rng, train):
    """The tensors predict*, and with `train` also train*, cot*, gw*, gx*, u*."""
    tv = [v.value for v in model.trainable_variables]
    ntv = [v.value for v in model.non_trainable_variables]

    def call(tv, xs, training):
        x = xs if len(xs) > 1 else xs[0]
        y, after = model.stateless_call(tv, ntv, x, training=training)
        return flat(y), after

    tensors = {}
    outputs = jax.jit(lambda xs: call(tv, xs, False)[0])(xs)
    for i, y in enumerate(outputs):
        tensors[f"predict{i}"] = y
    if not train:
        return tensors

    cot = [normal(rng, y.shape) for y in outputs]
    is_float = [np.issubdtype(x.dtype, np.floating) for x in xs]

    def scalar(tv, fx):
        full, it = [], iter(fx)
        for x, keep in zip(xs, is_float):
            full.append(next(it) if keep else x)
        ys, after = call(tv, full, True)
        return sum((y * c).sum() for y, c in zip(ys, cot)), (ys, after)

    fx = [x for x, keep in zip(xs, is_float) if keep]
    grad = jax.jit(jax.value_and_grad(scalar, argnums=(0, 1), has_aux=True))
    (_, (ys, after)), (gtv, gfx) = grad(tv, fx)
    for i, (y, c) in enumerate(zip(ys, cot)):
        tensors[f"train{i}"], tensors[f"cot{i}"] = y, c
    by_path = {id(v): g for v, g in zip(model.trainable_variables, gtv)}
    updated = {id(v): (v, a) for v, a in zip(model.non_trainable_variables, after)}
    for i, v in enumerate(model.weights):
        tensors[f"gw{i}"] = by_path.get(id(v), np.zeros(v.shape, np.float32))
        if id(v) in updated and np.any(np.asarray(updated[id(v)][1]) != np.asarray(v.value)):
            tensors[f"u{i}"] = updated[id(v)][1]
    gx = iter(gfx)
    for i, keep in enumerate(is_float):
        if keep:
            tensors[f"gx{i}"] = next(gx)
    return tensors


def pack(arrays):
    return arrays if len(arrays) > 1 else arrays[0]


def train(model, xs, ys, sws, batch, steps):
    """Twenty steps of train_on_batch, each step's own loss; then evaluate over all rows."""
    rows, losses = len(xs[0]), []
    assert rows % batch == 0
    for step in range(steps):
        begin = step * batch % rows
        cut = [[a[begin : begin + batch] for a in part] for part in (xs, ys, sws)]
        model.reset_metrics()
        logs = model.train_on_batch(
            pack(cut[0]), pack(cut[1]), pack(cut[2]) if sws else None, return_dict=True
        )
        losses.append(logs["loss"])
    results = model.evaluate(
        pack(xs), pack(ys), sample_weight=pack(sws) if sws else None,
        batch_size=batch, verbose=0, return_dict=True,
    )  # fmt: skip
    return losses, {k: float(v) for k, v in results.items()}


def add_model(
    fixture, name, covers, model, xs, *,
    differentiate=True, compile=None, ys=(), sws=(), batch=None, steps=20, note=None,
):  # fmt: skip
    """Records one model: `compile` holds the arguments of model.compile, or None."""
    rng = rng_for(name + "/weights")
    config = json.loads(model.to_json())
    weights = [random_weight(rng, v) for v in model.weights]
    model.set_weights(weights)
    finalize(model)
    tensors = {f"w{i}": w for i, w in enumerate(weights)}
    tensors |= {f"x{i}": x for i, x in enumerate(xs)}
    tensors |= inference_and_gradients(model, xs, rng, differentiate)
    case = {
        "kind": "model", "name": name, "covers": covers, "config": config,
        "inputs": len(xs), "outputs": len(model.outputs), "compile": None,
        "weights": [v.path for v in model.weights],
    }  # fmt: skip
    if note:
        case["note"] = note
    if compile:
        model.compile(**compile)
        case["compile"] = model.get_compile_config()
        batch = batch or len(xs[0])
        losses, results = train(model, xs, ys, sws, batch, steps)
        case |= {"steps": steps, "batch": batch, "targets": len(ys), "evaluate": results}
        tensors |= {f"y{i}": y for i, y in enumerate(ys)}
        tensors |= {f"sw{i}": s for i, s in enumerate(sws)}
        tensors["losses"] = np.array(losses)
        tensors |= {f"f{i}": w for i, w in enumerate(model.get_weights())}
    fixture.add(case, tensors)


def fresh(name):
    """Forgets every layer made before, so that automatic names do not depend on other cases."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(zlib.crc32(name.encode()) & 0x7FFFFFFF)
