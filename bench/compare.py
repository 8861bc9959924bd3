#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times a step of training and a prediction in ingot and in its peers, in turns: the tables of docs/performance.md.

  python3 -m venv DIR && DIR/bin/pip install torch keras tensorflow jax onnxruntime openvino onnxscript
  to="--out docs/plots --docs docs/performance.md"
  bench/compare.py BUILD --python DIR/bin/python --warm           once: fills the caches of what compiles
  bench/compare.py BUILD --python DIR/bin/python $to              steps and predictions against the peers
  bench/compare.py BUILD --python DIR/bin/python $to --growth     cost against batch, width, depth, models; memory
  bench/compare.py BUILD $to --kernels                            each kernel, against OpenBLAS and oneDNN

Every measurement is a process of its own, so that nobody's threads spin while another is timed; sides take turns,
another first in each round. After the first round only peers within `--near` of the best one are measured again
(--near 0: all are). A figure is the median over rounds of a round's median; in brackets the least. A peer that is
missing, fails, or has another number of parameters than ingot's model is shown as absent, with the reason. `--prefix
CMD` puts a command before each measurement, one that keeps the machine quiet, say.

Prints the tables; drawings and all figures go to the folder --out, and what is printed takes its place in the file
--docs, between the lines `<!-- NAME` and `<!-- end NAME`.
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import growth  # noqa: E402
import kernels  # noqa: E402
import plot  # noqa: E402

WORKLOADS = [  # what, model, batch, how many times as fast as the best peer it shall be
    ("step", "mlp", 32, 5), ("step", "mlp", 256, 3), ("step", "binary", 32, 25), ("step", "binary", 256, 10),
    ("step", "cnn", 32, 4), ("step", "cnn", 256, 4), ("step", "cnn-big", 32, 2.5), ("step", "resnet20", 32, 1.8),
    ("step", "resnet20", 256, 1.8), ("step", "mobilenetv2", 32, 2), ("predict", "mobilenetv2", 1, 1.2),
    ("predict", "mobilenetv2", 8, 1.2), ("predict", "resnet50", 1, 1), ("predict", "resnet50", 8, 1),
]
PEERS = {"step": ["torch", "torch-compile", "keras-tf", "keras-jax"], "predict": ["torch", "onnxruntime", "openvino"]}
KEEPS = ("torch-compile", "keras-jax", "onnxruntime")  # and openvino, what onnxruntime does
# glibc's malloc gives large blocks back to the system at once, and every page of the next one is a fault again.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
               "MALLOC_TOP_PAD_": str(512 << 20)}
SECTIONS = {"step": "One step of training: forward, backward, update", "predict": "One prediction"}


class Runner:
    """Starts one measurement after the other, each in a process of its own."""

    def __init__(self, options):
        self.options, self.versions, self.left_out = options, {}, {}
        self.prefix = options.prefix.split()

    def run(self, command, timeout, **variables):
        """What each line says, of JSON. Another line than the last may be a library's chatter."""
        done = subprocess.run(self.prefix + command, capture_output=True, text=True, timeout=timeout, check=False,
                              env={**os.environ, **variables})
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            raise RuntimeError("it printed no result")
        return [json.loads(line) for line in lines]

    def ingot(self, *arguments, seconds=None):
        seconds = [] if seconds == 0 else ["--seconds", str(seconds or self.options.seconds)]
        return self.run([f"{self.options.build}/ingot", "bench", *map(str, arguments), *seconds, "--json"], 600)[-1]

    def peer(self, engine, *arguments, seconds=None):
        """None where it cannot be measured, and notes why."""
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers.py")
        command = [self.options.python, script, engine, *map(str, arguments), "--seconds",
                   str(seconds or self.options.seconds), "--cache", self.options.cache]
        try:
            result = self.run(command, 900, **(KEEP_MEMORY if self.options.keep_memory else {}))[-1]
        except (RuntimeError, OSError, subprocess.TimeoutExpired, ValueError) as error:
            self.leave_out(engine, " ".join(map(str, arguments)).replace("--", ""), str(error)[-200:])
            return None
        self.note_versions(result)
        return result

    def note_versions(self, result):
        self.versions.update(part.split(" ", 1) for part in result["version"].split(", "))

    def leave_out(self, engine, what, why):
        found = self.left_out.setdefault((engine, why), [])
        if what not in found:
            found.append(what)
            print(f"  {engine} is absent, {what}: {why}", file=sys.stderr)

    def absent(self):
        return "".join(f"Absent: {engine} ({'; '.join(found)}): {why}\n\n"
                       for (engine, why), found in self.left_out.items())


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return f"{len(os.sched_getaffinity(0))} cores, {(names or ['unknown'])[0]}; {datetime.date.today()}"


def measure(runner, workload):
    """{engine: [result of each round]}"""
    what, model, batch, _ = workload
    arguments = (what, "--model", model, "--batch", batch)
    sides, results = ["ingot"] + PEERS[what], {}
    for i in range(runner.options.rounds):
        turn = i % len(sides)
        for side in sides[turn:] + sides[:turn]:
            result = runner.ingot(*arguments) if side == "ingot" else runner.peer(side, *arguments)
            if result:
                results.setdefault(side, []).append(result)
        expected = results["ingot"][0]["parameters"]
        for side in list(results):
            if results[side][0]["parameters"] != expected:
                found = results.pop(side)[0]["parameters"]
                runner.leave_out(side, " ".join(map(str, arguments)).replace("--", ""),
                                 f"{found} parameters, ingot's model has {expected}")
        best = min((median(r) for side, r in results.items() if side != "ingot"), default=0)
        limit = runner.options.near * best
        if limit:
            sides = [s for s in sides if s == "ingot" or s in results and median(results[s]) <= limit]
    return results


def median(results):
    return statistics.median(r["ms_median"] for r in results)


def least(results):
    return min(r["ms_min"] for r in results)


def name_of(workload):
    return f"{workload[1]}, batch {workload[2]}"


def row_of(workload, results):
    peers = {side: r for side, r in results.items() if side != "ingot"}
    row = {"what": workload[0], "model": workload[1], "batch": workload[2], "target": workload[3],
           "ms": {side: {"median": median(r), "least": least(r)} for side, r in results.items()},
           "percent_of_peak": statistics.median(r["percent_of_peak"] for r in results["ingot"]), "rounds": results}
    if peers:
        row["best"] = min(peers, key=lambda side: median(peers[side]))
        row["ratio"] = median(peers[row["best"]]) / median(results["ingot"])
        row["ratio_of_least"] = min(map(least, peers.values())) / least(results["ingot"])
        row["met"] = row["ratio"] >= workload[3]
    return row


def ms(times):
    digits = lambda v: f"{v:.4f}" if v < 0.1 else f"{v:.3f}" if v < 10 else f"{v:.1f}"
    return f"{digits(times['median'])} ({digits(times['least'])})" if times else "absent"


def markdown(rows, what):
    rows = [r for r in rows if r["what"] == what]
    if not rows:
        return ""
    sides = ["ingot"] + PEERS[what]
    text = f"{SECTIONS[what]}; ms.\n\n| | {' | '.join(sides)} | ratio | target | met | of peak |\n"
    text += "|---" + "|---:" * (len(sides) + 2) + "|---|---:|\n"
    for r in rows:
        cells = [f"**{ms(r['ms'].get(s))}**" if s == r.get("best") else ms(r["ms"].get(s)) for s in sides]
        ratio = f"{r['ratio']:.2f} ({r['ratio_of_least']:.2f})" if "ratio" in r else "-"
        met = ("yes" if r["met"] else "no") if "met" in r else "-"
        cells = [f"{r['model']}, batch {r['batch']}", *cells, ratio, r["target"], met, f"{r['percent_of_peak']:.0f} %"]
        text += f"| {' | '.join(map(str, cells))} |\n"
    return text + "\n"


def draws(rows):
    return [r for r in rows if "ratio" in r]


def draw(rows, folder):
    bars = []
    for r in draws(rows):
        best = r["ms"][r["best"]]["median"]
        peers = [(side, best / times["median"]) for side, times in r["ms"].items() if side != "ingot"]
        label = f"{r['model']}, batch {r['batch']}" + (", a prediction" if r["what"] == "predict" else ", a step")
        bars.append((label, r["ratio"], r["target"], peers))
    if bars:
        plot.bars("ingot against its peers", bars, os.path.join(folder, "compare.svg"))


def measured(runner):
    """The page's text, and all figures."""
    rows = []
    for workload in chosen(runner.options):
        rows.append(row_of(workload, measure(runner, workload)))
        r = rows[-1]
        print(f"  {name_of(workload)}: " + ", ".join(f"{side} {ms(t)}" for side, t in r["ms"].items()), file=sys.stderr)
    draw(rows, runner.options.out)
    picture = f"![ingot against its peers]({runner.options.links}/compare.svg)\n\n" if draws(rows) else ""
    return "".join(markdown(rows, what) for what in SECTIONS) + picture, rows


def write(runner, name, text, figures):
    """Prints; all figures go to a file, and what is printed into the documentation."""
    options = runner.options
    versions = ", ".join(f"{k} {v}" for k, v in sorted(runner.versions.items()))
    text = (f"`{options.command}`; {machine()}" + (f"; {versions}" if versions else "") + f".\n\n{text}"
            + runner.absent()).strip()
    print(text)
    with open(os.path.join(options.out, name + ".json"), "w", encoding="utf-8") as file:
        json.dump({"command": options.command, "machine": machine(), "versions": runner.versions,
                   "absent": [[engine, found, why] for (engine, why), found in runner.left_out.items()],
                   "figures": figures}, file, indent=1)
    if options.docs:
        with open(options.docs, encoding="utf-8") as file:
            before, after = section(file.read(), name, options.docs)
        with open(options.docs, "w", encoding="utf-8") as file:
            file.write(f"{before}\n{text}\n{after}")


def section(page, name, path):
    """What stands before the section and behind it, with the lines that mark it."""
    begin, end = page.find(f"<!-- {name}"), page.find(f"<!-- end {name}")
    if not 0 <= begin < end:
        raise RuntimeError(f"{path} has no lines '<!-- {name}' and '<!-- end {name}' to write between")
    return page[:page.index("\n", begin) + 1], page[end:]


def warm(runner):
    """Lets every peer that keeps what it compiles or exports do so once, without being timed."""
    for what, model, batch, _ in chosen(runner.options):
        for engine in (e for e in PEERS[what] if e in KEEPS):
            begin = time.monotonic()
            runner.peer(engine, what, "--model", model, "--batch", batch, seconds=0.01)
            print(f"  {engine}, {what} {model}, batch {batch}: {time.monotonic() - begin:.0f} s", file=sys.stderr)


def chosen(options):
    return [w for w in WORKLOADS if options.only in f"{w[0]} {w[1]} {w[2]}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--python", default=sys.executable, help="the Python that has the peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1, help="of each measurement")
    parser.add_argument("--near", type=float, default=1.25,
                        help="peers slower than so many times the best are measured once")
    parser.add_argument("--only", default="",
                        help="workloads whose 'step|predict MODEL BATCH' contains this, or chapters of "
                        "--growth: " + ", ".join(growth.CHAPTERS))
    parser.add_argument("--out", default=".", help="the folder for what is written")
    parser.add_argument("--cache", help="the folder for what peers compile and export; BUILD/peers otherwise")
    parser.add_argument("--docs", help="the page whose section is written anew")
    parser.add_argument("--prefix", default="", help="a command to put before each measurement")
    parser.add_argument("--keep-memory", action="store_true",
                        help="let glibc's malloc keep what peers free, which few users set but which helps PyTorch")
    parser.add_argument("--warm", action="store_true", help="fill the cache, and measure nothing")
    parser.add_argument("--growth", action="store_true", help="what costs grow with, instead of the tables")
    parser.add_argument("--kernels", action="store_true", help="each kernel by itself, instead of the tables")
    options = parser.parse_args()
    options.cache = os.path.abspath(options.cache or os.path.join(options.build, "peers"))
    os.makedirs(options.out, exist_ok=True)
    if not (options.kernels or (growth.chosen(options.only) if options.growth else chosen(options))):
        parser.error(f"nothing that is measured contains '{options.only}'")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")
    # Links of the page to the drawings; and the command without what is this machine's alone.
    options.links = os.path.relpath(options.out, os.path.dirname(options.docs or "") or ".")
    name = "growth" if options.growth else "kernels" if options.kernels else "compare"
    options.command = "bench/compare.py BUILD" + {"growth": " --python PYTHON --growth", "kernels": " --kernels",
                                                  "compare": " --python PYTHON"}[name]
    options.command += f" --rounds {options.rounds} --seconds {options.seconds:g}" * (name != "growth")
    options.command += " --keep-memory" * options.keep_memory
    options.command += f" --only '{options.only}'" if options.only else ""
    runner = Runner(options)
    try:
        if options.docs:
            with open(options.docs, encoding="utf-8") as file:
                section(file.read(), name, options.docs)  # before minutes of work, not behind them
        if options.warm:
            warm(runner)
        else:
            measure_all = {"compare": measured, "growth": growth.measured, "kernels": kernels.measured}[name]
            write(runner, name, *measure_all(runner))
    except (RuntimeError, OSError) as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
