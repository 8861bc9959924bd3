#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times one step of training, or one prediction, of a bench model in a peer engine; data in memory.

  bench/peers.py ENGINE step|predict --model M --batch N [--seconds S] [--threads T] [--cache DIR] [--width W --depth D]

ENGINE is torch (eager, channels_last, fused Adam), torch-compile, keras-tf, keras-jax; for predictions torch,
onnxruntime and openvino (fp32), which take what torch exports. Models are those of cli/bench_models.cc. Prints one line
of JSON like `ingot bench step --json`, with as many parameters, so that whoever compares can see that it is the same
model. A step is forward, backward and update; of Keras, whole epochs of fit() divided by their steps, without what
fit() does before the first. What was compiled and exported once is kept in the cache.

Packages: torch, keras with tensorflow and jax, onnxruntime, openvino, onnxscript (which torch exports with).
"""
import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time

now = time.perf_counter
SHAPES = {"mlp": (784,), "binary": (10,), "cnn": (28, 28, 1), "cnn-big": (28, 28, 1), "resnet20": (32, 32, 3),
          "mobilenetv2": (96, 96, 3), "resnet50": (224, 224, 3)}
MOBILENET = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
RESNET50 = ((64, 3), (128, 4), (256, 6), (512, 3))
ENGINES = {"torch": "torch", "torch-compile": "torch", "keras-tf": "tensorflow", "keras-jax": "jax",
           "onnxruntime": "onnxruntime", "openvino": "openvino"}
MOST_MB = 256  # of data


def classes_of(model):
    return 1 if model == "binary" else 1000 if model in ("mobilenetv2", "resnet50") else 10


def data(options, rows):
    import numpy as np
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (rows, *SHAPES[options.model])).astype(np.float32)
    classes = classes_of(options.model)
    y = rng.integers(0, max(2, classes), rows)
    return x, (y[:, None].astype(np.float32) if classes == 1 else y)


def peak_mb():
    """The most memory that this process ever had resident."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


# ---- Keras ----

def keras_model(options):
    import keras
    from keras import layers as L
    name, classes = options.model, classes_of(options.model)
    if name == "mobilenetv2":
        return keras.applications.MobileNetV2(input_shape=SHAPES[name], weights=None)
    if name == "resnet50":
        return keras.applications.ResNet50(weights=None)
    inputs = L.Input(SHAPES[name])
    x = inputs
    if name in ("mlp", "binary"):
        for _ in range(options.depth):
            x = L.Dense(options.width, activation="relu")(x)
    elif name == "cnn":
        for filters in (64, 32):
            x = L.Conv2D(filters, 3, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3))(x)
            x = L.MaxPooling2D(2)(L.BatchNormalization()(x))
        x = L.Dropout(0.5)(L.Flatten()(x))
    elif name == "cnn-big":
        for filters in (1024, 512):
            x = L.MaxPooling2D(2)(L.Conv2D(filters, 3, activation="relu")(x))
        x = L.Flatten()(x)
    else:
        def conv(x, filters, size, stride=1):
            return L.BatchNormalization()(L.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x))
        x = L.ReLU()(conv(x, 16, 3))
        for filters in (16, 32, 64):
            for block in range(3):
                stride = 2 if filters > 16 and block == 0 else 1
                y = conv(L.ReLU()(conv(x, filters, 3, stride)), filters, 3)
                if stride == 2:
                    x = conv(x, filters, 1, 2)
                x = L.ReLU()(L.Add()([x, y]))
        x = L.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, L.Dense(classes, activation="sigmoid" if classes == 1 else "softmax")(x))


def keras_steps(options):
    import keras
    if options.engine == "keras-tf":
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    elif options.cache:
        import jax
        jax.config.update("jax_compilation_cache_dir", os.path.join(options.cache, "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    model = keras_model(options)
    model.compile("adam", "binary_crossentropy" if options.model == "binary" else "sparse_categorical_crossentropy")
    times = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.begin = now()

        def on_epoch_end(self, epoch, logs=None):
            times.append((now() - self.begin) / self.params["steps"])
            if len(times) >= least and now() > end:
                self.model.stop_training = True

    def fit(steps):
        x, y = data(options, steps * options.batch)
        times.clear()
        model.fit(x, y, batch_size=options.batch, epochs=100000, shuffle=False, verbose=0, callbacks=[Clock()])

    end, least = 0, 2
    fit(2)  # compiles
    most = int(min(5000, MOST_MB * 1e6 / data(options, options.batch)[0].nbytes))
    # Epochs of a third of the time, so that what an epoch costs beside its steps vanishes; short ones are mostly that.
    steps = 2
    while steps < most and min(times) * steps < options.seconds / 4:
        steps = int(max(4, min(most, 20 * steps, options.seconds / 3 / min(times))))
        fit(steps)
    end, least = now() + options.seconds, 4
    fit(max(4, steps))
    return times[1:], model.count_params()


# ---- PyTorch ----

def torch_model(options):
    """Gives logits. Paddings of strided convolutions are symmetric where Keras's are not; the sizes are the same."""
    import torch
    from torch import nn
    name, classes = options.model, classes_of(options.model)

    def conv(i, o, size, stride=1, groups=1, act=None, bias=False):
        layers = [nn.Conv2d(i, o, size, stride, size // 2, groups=groups, bias=bias), nn.BatchNorm2d(o)]
        return nn.Sequential(*layers, *([act] if act else []))

    class Residual(nn.Module):
        def __init__(self, body, shortcut=None, relu=True):
            super().__init__()
            self.body, self.shortcut, self.relu = body, shortcut, relu

        def forward(self, x):
            y = (self.shortcut(x) if self.shortcut else x) + self.body(x)
            return torch.relu(y) if self.relu else y

    if name in ("mlp", "binary"):
        widths = [SHAPES[name][0]] + [options.width] * options.depth
        layers = [m for i, o in zip(widths, widths[1:]) for m in (nn.Linear(i, o), nn.ReLU())]
        return nn.Sequential(*layers, nn.Linear(widths[-1], classes))
    if name in ("cnn", "cnn-big"):
        f, g = (64, 32) if name == "cnn" else (1024, 512)
        norm = (lambda n: [nn.BatchNorm2d(n)]) if name == "cnn" else (lambda n: [])
        drop = [nn.Dropout(0.5)] if name == "cnn" else []
        return nn.Sequential(nn.Conv2d(1, f, 3), nn.ReLU(), *norm(f), nn.MaxPool2d(2), nn.Conv2d(f, g, 3), nn.ReLU(),
                             *norm(g), nn.MaxPool2d(2), nn.Flatten(), *drop, nn.Linear(25 * g, classes))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if name == "resnet20":
        layers, c = [conv(3, 16, 3, act=nn.ReLU())], 16
        for filters in (16, 32, 64):
            for block in range(3):
                stride = 2 if filters > 16 and block == 0 else 1
                body = nn.Sequential(conv(c, filters, 3, stride, act=nn.ReLU()), conv(filters, filters, 3))
                layers.append(Residual(body, conv(c, filters, 1, 2) if stride == 2 else None))
                c = filters
        return nn.Sequential(*layers, *head, nn.Linear(c, classes))
    if name == "mobilenetv2":
        layers, c = [conv(3, 32, 3, 2, act=nn.ReLU6())], 32
        for expansion, filters, repeat, first in MOBILENET:
            for i in range(repeat):
                stride, wide = first if i == 0 else 1, expansion * c
                body = [conv(c, wide, 1, act=nn.ReLU6())] if expansion > 1 else []
                body = nn.Sequential(*body, conv(wide, wide, 3, stride, wide, nn.ReLU6()), conv(wide, filters, 1))
                layers.append(Residual(body, relu=False) if stride == 1 and c == filters else body)
                c = filters
        return nn.Sequential(*layers, conv(c, 1280, 1, act=nn.ReLU6()), *head, nn.Linear(1280, classes))
    layers, c = [conv(3, 64, 7, 2, act=nn.ReLU(), bias=True), nn.MaxPool2d(3, 2, 1)], 64
    for filters, repeat in RESNET50:
        for i in range(repeat):
            stride = 2 if i == 0 and filters > 64 else 1
            body = nn.Sequential(conv(c, filters, 1, stride, act=nn.ReLU(), bias=True),
                                 conv(filters, filters, 3, act=nn.ReLU(), bias=True),
                                 conv(filters, 4 * filters, 1, bias=True))
            layers.append(Residual(body, conv(c, 4 * filters, 1, stride, bias=True) if i == 0 else None))
            c = 4 * filters
    return nn.Sequential(*layers, *head, nn.Linear(c, classes))


def torch_parameters(model):
    return sum(t.numel() for name, t in model.state_dict().items() if not name.endswith("num_batches_tracked"))


def torch_data(options, rows):
    import torch
    x, y = (torch.from_numpy(a) for a in data(options, rows))
    return (x.permute(0, 3, 1, 2) if x.dim() == 4 else x), y  # rows of NHWC are channels_last to torch


def torch_steps(options):
    import torch
    torch.set_num_threads(options.threads)
    model = torch_model(options)
    if len(SHAPES[options.model]) == 3:
        model = model.to(memory_format=torch.channels_last)
    loss_of = torch.nn.BCEWithLogitsLoss() if options.model == "binary" else torch.nn.CrossEntropyLoss()
    decayed = [m.weight for m in model.modules() if isinstance(m, torch.nn.Conv2d)] if options.model == "cnn" else []
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    x, y = torch_data(options, 8 * options.batch)
    batches = list(zip(x.split(options.batch), y.split(options.batch)))

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model(x), y)
        for weight in decayed:
            loss = loss + 1e-3 * (weight * weight).sum()
        loss.backward()
        optimizer.step()

    if options.engine == "torch-compile":
        step = torch.compile(step)
    return repeat(options, lambda i: step(*batches[i % 8])), torch_parameters(model)


# ---- Predictions ----

def predictor(options):
    """The torch model as it predicts: with the softmax that the loss took before."""
    import torch
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = torch_model(options)
    last = torch.nn.Sigmoid() if options.model == "binary" else torch.nn.Softmax(1)
    return torch.nn.Sequential(model, last).eval()


def onnx_file(options):
    """What torch exports, made once. Images go in as NCHW."""
    folder = options.cache or "."
    path = os.path.join(folder, f"{options.model}-{options.batch}.onnx")
    if not os.path.exists(path):
        import torch
        os.makedirs(folder, exist_ok=True)
        model = predictor(options)
        with open(path + ".parameters", "w", encoding="ascii") as file:
            file.write(str(torch_parameters(model)))
        torch.onnx.export(model, (torch_data(options, options.batch)[0].contiguous(),), path + ".new", dynamo=True,
                          input_names=["x"], output_names=["y"], external_data=False, verbose=False)
        os.rename(path + ".new", path)
    with open(path + ".parameters", encoding="ascii") as file:
        return path, int(file.read())


def predictions(options):
    import numpy as np
    if options.engine == "torch":
        import torch
        model, x = predictor(options), torch_data(options, options.batch)[0]
        if x.dim() == 4:
            model = model.to(memory_format=torch.channels_last)
        with torch.inference_mode():
            return repeat(options, lambda _: model(x)), torch_parameters(model)
    path, parameters = onnx_file(options)
    x = data(options, options.batch)[0]
    x = np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else x
    if options.engine == "onnxruntime":
        import onnxruntime
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        return repeat(options, lambda _: session.run(None, {"x": x})), parameters
    import openvino
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32",
                                                           "PERFORMANCE_HINT": "LATENCY",
                                                           "INFERENCE_NUM_THREADS": options.threads})
    request = compiled.create_infer_request()
    return repeat(options, lambda _: request.infer([x], share_inputs=True, share_outputs=True)), parameters


def repeat(options, run):
    for i in range(8):
        run(i)
    times, end = [], now() + options.seconds
    while now() < end or len(times) < 3:
        begin = now()
        run(len(times))
        times.append(now() - begin)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("what", choices=("step", "predict"))
    parser.add_argument("--model", choices=SHAPES, required=True)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--width", type=int, default=64, help="of mlp: the width of its hidden layers")
    parser.add_argument("--depth", type=int, default=1, help="of mlp: how many hidden layers")
    parser.add_argument("--cache", help="a folder for what is compiled and exported once")
    options = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS=str(options.threads), TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="",
                      KERAS_BACKEND="jax" if options.engine == "keras-jax" else "tensorflow", JAX_PLATFORMS="cpu")
    if options.cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(options.cache, "torch")
    if options.what == "predict":
        if options.engine not in ("torch", "onnxruntime", "openvino"):
            parser.error(f"predictions are timed in torch, onnxruntime and openvino, not in {options.engine}")
        times, parameters = predictions(options)
    elif options.engine.startswith("keras"):
        times, parameters = keras_steps(options)
    elif options.engine.startswith("torch"):
        times, parameters = torch_steps(options)
    else:
        parser.error(f"{options.engine} does not train")
    package = ENGINES[options.engine]
    packages = ["keras"] * options.engine.startswith("keras") + [package]
    versions = [f"{p} {importlib.metadata.version(p)}" for p in packages]
    print(json.dumps({"engine": options.engine, "what": options.what, "model": options.model, "parameters": parameters,
                      "batch": options.batch, "threads": options.threads, "ms_median": 1e3 * statistics.median(times),
                      "ms_min": 1e3 * min(times), "peak_mb": peak_mb(), "version": ", ".join(versions)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
