# SPDX-License-Identifier: MIT
"""What costs grow with, for bench/compare.py --growth: batch, width, depth, number of models; and memory."""
import os

import plot

BATCHES = [2 ** i for i in range(13)]
WIDTHS = [2 ** i for i in range(5, 13)]
DEPTHS = [2 ** i for i in range(7)]
ALIVE = [1, 10, 100, 1000]
MOST = {"resnet20": 512}  # its largest batch: seconds and gigabytes above
SHORT = 0.1  # seconds a point, of the many


def series(runner, engine, what, points, arguments):
    """[(x, result)] of one engine, each point a process of its own."""
    found = []
    for x in points:
        more = [what] + [str(a).format(x) for a in arguments]
        result = runner.ingot(*more, seconds=SHORT) if engine == "ingot" else runner.peer(engine, *more, seconds=SHORT)
        if result:
            found.append((x, result))
    return found


def table(head, columns, value):
    """columns: {name: [(x, result)]}."""
    xs = sorted({x for found in columns.values() for x, _ in found})
    text = f"| {head} | {' | '.join(columns)} |\n|---" + "|---:" * len(columns) + "|\n"
    for x in xs:
        cells = [next((f"{value(x, r):.4g}" for at, r in found if at == x), "") for found in columns.values()]
        text += f"| {x} | {' | '.join(cells)} |\n"
    return text + "\n"


def against_work(found):
    """How much more than its work a step grows at most, from one point to the next and over all."""
    each = [1 / r["gflops"] for _, r in found]
    worst = max((b / a for a, b in zip(each, each[1:])), default=1)
    return f"time a FLOP: {worst:.2f} times at most from one point to the next, {each[-1] / each[0]:.2f} times over all"


def chapter(title, head, label, file, columns, value, options):
    columns = {name: found for name, found in columns.items() if found}
    plot.lines(title, head, label, {n: [(x, value(x, r)) for x, r in found] for n, found in columns.items()},
               os.path.join(options.out, file))
    text = f"**{title}** ({label})\n\n![{title}]({options.links}/{file})\n\n" + table(head, columns, value)
    checked = [f"{n}: {against_work(found)}" for n, found in columns.items()
               if "ingot" in n and "gflops" in found[0][1] and label != "MB"]
    return text + ("; ".join(checked) + ".\n\n" if checked else "")


def of_batch(runner):
    columns = {}
    lines = [("mlp", "ingot"), ("mlp", "torch"), ("cnn", "ingot"), ("cnn", "torch"), ("resnet20", "ingot")]
    for model, engine in lines:
        batches = [b for b in BATCHES if b <= MOST.get(model, b)]
        columns[f"{model}, {engine}"] = series(runner, engine, "step", batches, ["--model", model, "--batch", "{0}"])
    yield ("A step of training against the batch", "rows in a batch", "us a row", "growth-batch.svg", columns,
           lambda x, r: 1e3 * r["ms_median"] / x)


def of_width(runner):
    arguments = ["--model", "mlp", "--batch", "32", "--depth", "2", "--width", "{0}"]
    columns = {e: series(runner, e, "step", WIDTHS, arguments) for e in ("ingot", "torch")}
    yield ("A step of an MLP with two hidden layers, batch 32, against their width", "width", "ms", "growth-width.svg",
           columns, lambda x, r: r["ms_median"])


def of_depth(runner):
    arguments = ["--model", "mlp", "--batch", "256", "--width", "256", "--depth", "{0}"]
    columns = {e: series(runner, e, "step", DEPTHS, arguments) for e in ("ingot", "torch")}
    yield ("A step of an MLP of width 256, batch 256, against its depth", "hidden layers", "ms", "growth-depth.svg",
           columns, lambda x, r: r["ms_median"])
    memory = {f"{e}, a step": found for e, found in columns.items()}
    memory["ingot, a prediction"] = series(runner, "ingot", "predict", DEPTHS, arguments)
    yield ("The most memory of the same, and of its prediction", "hidden layers", "MB", "growth-memory.svg", memory,
           lambda x, r: r["peak_mb"])


def of_models(runner):
    def created(*more):
        return [(n, runner.ingot("create", "--alive", n, "--models", max(200, 2 * n), *more, seconds=0)) for n in ALIVE]
    yield ("Making a model 784-64-10 against how many are alive", "models alive", "ms each", "growth-models.svg",
           {"made and compiled": created(), "and trained a step": created("--fit")}, lambda x, r: r["ms_last"])


def peaks(runner):
    """Of processes that train ResNet-20 at batch 256; little data, for that counts too."""
    arguments = ("step", "--model", "resnet20", "--batch", 256)
    found = {"ingot": runner.ingot(*arguments, seconds=0.01)}
    for engine in ("torch", "torch-compile", "keras-tf", "keras-jax"):
        found[engine] = runner.peer(engine, *arguments, seconds=0.01)
    return {engine: result["peak_mb"] for engine, result in found.items() if result}


CHAPTERS = {"batch": of_batch, "width": of_width, "depth": of_depth, "models": of_models}


def chosen(only):
    return [name for name in [*CHAPTERS, "resnet20"] if only in name]


def measured(runner):
    text, figures = "", {}
    for name in chosen(runner.options.only):
        if name == "resnet20":
            figures[name] = peaks(runner)
            text += "The most memory of a process that trains ResNet-20 at batch 256, MB: "
            text += ", ".join(f"{engine} {mb:.0f}" for engine, mb in figures[name].items()) + ".\n\n"
        else:
            for part in CHAPTERS[name](runner):
                text += chapter(*part, runner.options)
                figures[part[0]] = part[4]
    return text, figures
