#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times loading and saving of one MLP with Adam's state, ingot against Keras, PyTorch, safetensors and h5py.

  bench/compare_load.py BUILD [--params 50k|19m|177m ...] [--rounds 5] [--cold] [--dir DIR] [--json FILE]

Needs a Python with keras, tensorflow, torch, safetensors and h5py. What is missing is left out, and named with its reason:
then ingot makes the files that Keras and torch would have made. Ends with 1 if nothing at all was measured.
Every measurement is a process of its own, so that nothing is warm but the page cache, which holds the whole of the file
(it is read through before the clock runs), or with --cold nothing of it; sides take turns in each round.
Each side imports its library, and loads a tiny file of its format first: what a process does once, whatever it loads, is
not the file's; for ingot it has a column. Then time runs to when the model is ready, and to the end of the first training
step of a batch of 32, which is the fair one: what is mapped costs nothing before it is touched. Medians and minima, in ms.
"""
import argparse
import ctypes
import json
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time

TINY = [784, 16, 10]
WIDTHS = {"50k": [784, 64, 10], "19m": [784, 2880, 2880, 2880, 10], "177m": [784, 9216, 9216, 9216, 10]}
# What it takes to the end of a step: the optimizer's state restored, or the weights alone.
PEERS = {
    "torch": "m.pt", "torch-mmap": "m.pt", "safetensors-torch": "m.safetensors", "safetensors-numpy": "m.safetensors",
    "keras-h5": "keras.h5", "keras-v3": "keras.keras", "keras-weights": "keras.weights.h5", "h5py": "keras.h5",
}
WITH_STATE = ["torch", "torch-mmap", "keras-v3", "keras-weights"]  # keras-h5 cannot go on training (see docs)
LEFT_OUT = {}  # side: why
now = time.perf_counter


def start(path):
    """Now, with memory that is at hand. A virtual machine may leave memory that nobody uses to its host, and then waits
    seconds for each gigabyte it takes again: so each side takes and gives back, before the clock runs, four times the size
    of its file (where so much is free). `ingot bench load` does the same."""
    with open("/proc/meminfo", encoding="ascii") as info:
        free = next(int(line.split()[1]) for line in info if line.startswith("MemFree:"))
    size = min(free * 900, 4 * os.path.getsize(path))
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        page = ctypes.c_char.from_buffer(memory)
        ctypes.memset(ctypes.addressof(page), 1, size)
        del page
    return now()


def batch():
    import numpy as np
    return np.random.default_rng(0).standard_normal((32, 784), dtype=np.float32), np.zeros(32, np.int64)


def keras_model(widths):
    import keras
    model = keras.Sequential([keras.layers.Input((widths[0],))] +
                             [keras.layers.Dense(w, activation="softmax" if w == 10 else "relu") for w in widths[1:]])
    model.compile(keras.optimizers.Adam(), loss="sparse_categorical_crossentropy")
    return model


def torch_model(widths):
    import torch.nn as nn
    layers = []
    for i, o in zip(widths, widths[1:]):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def torch_step(model, optimizer):
    import torch
    x, y = batch()
    torch.nn.CrossEntropyLoss()(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
    optimizer.step()


def make_ingot(build, folder, params, absent):
    """Those of the files that nobody else could make: of the same MLP, trained for a step with Adam."""
    mine = {"m.ingot": ".ingot", "keras.keras": ".keras", "keras.h5": ".h5", "m.safetensors": ".safetensors"}
    mine = {name: extension for name, extension in mine.items() if name in absent}
    subprocess.run([f"{build}/ingot", "bench", "load", "--params", params, "--formats", ",".join(mine.values()),
                    "--dir", folder, "--repeat", "1", "--json"], check=True, capture_output=True)
    for name, extension in mine.items():
        os.rename(f"{folder}/mlp-{params}{extension}", f"{folder}/{name}")
    return list(mine)


def make_keras(folder, widths):
    model = keras_model(widths)
    x, y = batch()
    model.train_on_batch(x, y)
    times = {}
    for name in ("keras.keras", "keras.weights.h5", "keras.h5"):  # saving .h5 takes the optimizer out of compile_config
        begin = now()
        (model.save_weights if "weights" in name else model.save)(f"{folder}/{name}")
        times[name] = 1e3 * (now() - begin)
    return times


def make_torch(folder, widths):
    import torch
    from safetensors.torch import save_file
    model = torch_model(widths)
    optimizer = torch.optim.Adam(model.parameters())
    torch_step(model, optimizer)
    times = {}
    begin = now()
    torch.save({"model": model.state_dict(), "opt": optimizer.state_dict()}, f"{folder}/m.pt")
    times["m.pt"] = 1e3 * (now() - begin)
    begin = now()
    save_file(model.state_dict(), f"{folder}/m.safetensors")
    times["m.safetensors"] = 1e3 * (now() - begin)
    return times


def keras_from(what, path, widths):
    import keras
    if what != "keras-weights":
        return keras.models.load_model(path)
    model = keras_model(widths)
    model.load_weights(path)
    return model


def load_keras(what, path, widths):
    x, y = batch()
    with tempfile.TemporaryDirectory() as folder:
        make_keras(folder, TINY)
        keras_from(what, f"{folder}/{PEERS[what]}", TINY)
    begin = start(path)
    model = keras_from(what, path, widths)
    loaded = now()
    if what == "keras-h5":
        return loaded - begin, None
    model.train_on_batch(x, y)
    return loaded - begin, now() - begin


def torch_from(what, path, widths):
    import torch
    from safetensors.torch import load_file
    with torch.device("meta"):
        model = torch_model(widths)
    state = None
    if what == "safetensors-torch":
        weights = load_file(path)
    else:
        state = torch.load(path, mmap=what == "torch-mmap")
        weights = state["model"]
    model.load_state_dict(weights, assign=True)
    for p in model.parameters():
        p.requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters())
    if state:
        optimizer.load_state_dict(state["opt"])
    return model, optimizer


def load_torch(what, path, widths):
    with tempfile.TemporaryDirectory() as folder:
        make_torch(folder, TINY)
        torch_step(*torch_from(what, f"{folder}/{PEERS[what]}", TINY))
    begin = start(path)
    model, optimizer = torch_from(what, path, widths)
    loaded = now()
    torch_step(model, optimizer)
    return loaded - begin, now() - begin


def arrays_from(what, path):
    if what == "safetensors-numpy":
        from safetensors.numpy import load_file
        return load_file(path)
    import h5py
    arrays = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: arrays.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    return arrays


def load_arrays(what, path):
    import numpy as np
    with tempfile.TemporaryDirectory() as folder:
        tiny = f"{folder}/tiny"
        if what == "h5py":
            import h5py
            with h5py.File(tiny, "w") as file:
                file["group/values"] = np.zeros(16)
        else:
            from safetensors.numpy import save_file
            save_file({"values": np.zeros(16)}, tiny)
        arrays_from(what, tiny)
    begin = start(path)
    arrays_from(what, path)
    return now() - begin, None


def child(args):
    """One measurement in this process; prints a line of JSON."""
    what, folder, params = args
    widths = WIDTHS[params]
    if what == "make-keras":
        result = make_keras(folder, widths)
    elif what == "make-torch":
        result = make_torch(folder, widths)
    else:
        path = f"{folder}/{PEERS[what]}"
        if what.startswith("keras"):
            load, step = load_keras(what, path, widths)
        elif "torch" in what:
            load, step = load_torch(what, path, widths)
        else:
            load, step = load_arrays(what, path)
        result = {"load_ms": 1e3 * load, "first_step_ms": step and 1e3 * step}
    print("RESULT " + json.dumps(result))


def settle(path, cold):
    """The whole file in the page cache, or nothing of it."""
    with open(path, "rb", buffering=0) as file:
        if cold:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        else:
            piece = bytearray(1 << 24)
            while file.readinto(piece):
                pass


def run_child(*args):
    env = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", KERAS_BACKEND="tensorflow")
    done = subprocess.run([sys.executable, __file__, "--child", *args], capture_output=True, text=True, env=env)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line[7:])
    reason = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode} and said nothing"])[-1]
    LEFT_OUT.setdefault(args[0], reason)
    return None


def run_ingot(build, file, mode, *more):
    """From a fresh process: when the model is loaded, and the end of its first step."""
    done = subprocess.run([f"{build}/ingot", "bench", "load", "--file", file, "--mode", mode, *more],
                          capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout)
    LEFT_OUT.setdefault(f"ingot, {os.path.basename(file)}, {mode}", done.stderr.strip())
    return None


def dd_ms(folder, size):
    path = f"{folder}/dd.bin"
    begin = now()
    subprocess.run(["dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={max(1, size >> 20)}", "conv=fsync"],
                   capture_output=True, check=True)
    took = 1e3 * (now() - begin)
    os.remove(path)
    return took


def text_of(values):
    values = [v for v in values if v is not None]
    return f"{statistics.median(values):.2f} ({min(values):.2f})" if values else "-"


def compare(build, params, rounds, cold, folder):
    print(f"\n## {params} parameters, {'-'.join(map(str, WIDTHS[params]))}, {'cold' if cold else 'warm'}\n")
    saves = {}
    for maker in ("make-keras", "make-torch"):
        saves.update(run_child(maker, folder, params) or {})
    ingot_files = ["m.ingot", "keras.keras", "keras.h5"]
    if "keras.keras" in saves:
        subprocess.run([f"{build}/ingot", "convert", f"{folder}/keras.keras", f"{folder}/m.ingot"], check=True,
                       capture_output=True)
    absent = [f for f in ingot_files if "keras.keras" not in saves] + [f for f in ["m.safetensors"] if f not in saves]
    if absent:
        print(f"(made by ingot: {', '.join(make_ingot(build, folder, params, absent))})\n")
    # Of Keras's own readers and torch's, those whose library is there; what reads plain arrays reads ingot's as well.
    names = [n for n in PEERS if PEERS[n] in saves or n in ("h5py", "safetensors-numpy")]
    for name in PEERS:
        if name not in names:
            maker = "make-keras" if name.startswith("keras") else "make-torch"
            LEFT_OUT.setdefault(name, LEFT_OUT.get(maker, f"{PEERS[name]} was not made"))
    sides = [(f"ingot, {file}, {mode}", file, lambda f=file, m=mode: run_ingot(build, f"{folder}/{f}", m))
             for file in ingot_files for mode in ("map", "read")]
    sides += [(name, PEERS[name], lambda n=name: run_child(n, folder, params)) for name in names]
    results = {name: [] for name, _, _ in sides}
    saved, dd = [], []
    for i in range(rounds):
        turn = i * len(sides) // rounds
        for name, file, run in sides[turn:] + sides[:turn]:
            settle(f"{folder}/{file}", cold)
            result = run()
            if result:
                results[name].append(result)
        result = run_ingot(build, f"{folder}/m.ingot", "map", "--save", f"{folder}/copy.ingot")
        if not result:
            continue
        saved.append(result["save_ms"])
        dd.append(dd_ms(folder, os.path.getsize(f"{folder}/copy.ingot")))
    print("| | a process's first load, of a tiny file, ms | load, ms | to the end of the first step, ms |")
    print("|---|---:|---:|---:|")
    for name, values in results.items():
        if not values:
            continue
        note = "" if "ingot" in name or name in WITH_STATE or not values else (
            " (weights alone)" if values[0]["first_step_ms"] else "")
        print(f"| {name}{note} | {text_of([v.get('first_load_ms') for v in values])} | "
              f"{text_of([v['load_ms'] for v in values])} | "
              f"{text_of([v['first_step_ms'] for v in values])} |")
    print(f"\nSaving, ms: ingot {text_of(saved)}, dd of as many bytes {text_of(dd)}" +
          ("; once each: " + ", ".join(f"{name} {ms:.0f}" for name, ms in saves.items()) if saves else ""))

    def best(names, key):
        values = [statistics.median([v[key] for v in results[n]]) for n in names if results.get(n)]
        return min(values) if values else None

    step, peer = best(["ingot, m.ingot, map"], "first_step_ms"), best(WITH_STATE, "first_step_ms")
    if step and peer:
        print(f"\nTo the end of the first step, ingot is {peer / step:.1f} times as fast as the best peer that restores "
              "the optimizer.")
    read, mapped, h5py = (best([n], "load_ms") for n in ("ingot, keras.h5, read", "ingot, keras.h5, map", "h5py"))
    if read and mapped and h5py:
        print(f"The same .h5 file: h5py's plain reads take {h5py / read:.1f} times as long as ingot's reading, "
              f"{h5py / mapped:.0f} times as long as its mapping.")
    return {"params": params, "cold": cold, "results": results, "left_out": LEFT_OUT, "save_ms": saved, "dd_ms": dd,
            "peer_save_ms": saves}


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--child":
        return child(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--params", nargs="+", choices=WIDTHS, default=list(WIDTHS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="the files dropped from the page cache each time")
    parser.add_argument("--dir", help="where the files go (17 GB for the largest); a temporary folder otherwise")
    parser.add_argument("--json", help="all figures, as JSON")
    options = parser.parse_args()
    if not os.access(f"{options.build}/ingot", os.X_OK):
        parser.error(f"there is no {options.build}/ingot; build it first")
    everything = []
    for params in options.params:
        with tempfile.TemporaryDirectory(dir=options.dir) as folder:
            everything.append(compare(options.build, params, options.rounds, options.cold, folder))
    for name, reason in LEFT_OUT.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(everything, file)
    if not any(values for one in everything for values in one["results"].values()):
        print("nothing was measured", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
