# SPDX-License-Identifier: MIT
"""Each kernel by itself, for bench/compare.py --kernels: against the machine's ceilings, OpenBLAS and oneDNN."""
import math
import os
import statistics

import plot

HEAD = ("| kernel, model, shapes | us | GFLOP/s | GB/s | bound by | of ceiling | beside: ingot, us | OpenBLAS, us | "
        "oneDNN, us | ratio |\n|---" + "|---:" * 3 + "|---" + "|---:" * 5 + "|\n")
OTHERS = ("OpenBLAS", "oneDNN")


def figure(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def medians(rounds):
    """Of each number of one kernel; what is none is as in the first round."""
    return {key: value if isinstance(value, str) else statistics.median(r[key] for r in rounds)
            for key, value in rounds[0].items()}


def beside(runner, name):
    """Medians over rounds of the kernel and the same of OpenBLAS and oneDNN, or none if those were not built."""
    program = os.path.join(runner.options.build, "ingot_kernels_vs")
    if not os.path.exists(program):
        why = "build/ingot_kernels_vs was not built, for want of libopenblas-dev or libdnnl-dev (version 2)"
        for other in OTHERS:
            runner.leave_out(other, "all kernels", why)
        return None
    rounds = []
    for _ in range(runner.options.rounds):
        # What OPENBLAS_CORETYPE says is meant for other programs: this one knows what is best for it.
        command = ["env", "-u", "OPENBLAS_CORETYPE", program, name, str(runner.options.seconds), "--json"]
        rounds += [r for r in runner.run(command, 600) if r["kernel"] == name]
    runner.note_versions(rounds[0])
    return medians(rounds)


def row(alone, vs):
    cells = [f"{alone['kernel']}", figure(alone["us_median"]), figure(alone["gflops"]), figure(alone["gbs"]),
             alone["bound_by"], f"{alone['percent_of_ceiling']:.0f} %"]
    cells += [figure(vs[side]) if side in vs else "" for side in ("ingot", *OTHERS, "ratio")]
    return f"| {' | '.join(cells)} |\n"


def measured(runner):
    """The page's text, and all figures."""
    options = runner.options
    filters = ["--filter", options.only] if options.only else []
    command = [f"{options.build}/ingot", "bench", "kernels", "--json", *filters, "--seconds", str(options.seconds)]
    alone = [runner.run(command, 600) for _ in range(options.rounds)]
    kernels = [medians(rounds) for rounds in zip(*alone)]
    products = ("Gemm/", "Conv2D", "Depthwise")
    rows = [(k, (beside(runner, k["kernel"]) if k["kernel"].startswith(products) else None) or {}) for k in kernels]
    compared = sorted(((k["kernel"], vs) for k, vs in rows if vs), key=lambda pair: pair[1]["ratio"])
    text = ""
    if compared:
        ratios = [vs["ratio"] for _, vs in compared]
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        slower = [f"{name} ({ratio:.2f})" for (name, _), ratio in zip(compared, ratios) if ratio < 1]
        text += (f"Of {len(ratios)} products and convolutions {len(ratios) - len(slower)} are at least as fast as the "
                 f"faster one of OpenBLAS and oneDNN; the geometric mean is {mean:.2f} times as fast. "
                 + (f"Slower: {', '.join(slower)}." if slower else "None is slower.") + "\n\n")
        bars = []
        for name, vs in compared:
            best = min(vs[o] for o in OTHERS if o in vs)
            bars.append((name, vs["ratio"], 1, [(o, best / vs[o]) for o in OTHERS if o in vs]))
        plot.bars("Products and convolutions against OpenBLAS and oneDNN", bars,
                  os.path.join(options.out, "kernels.svg"), left=400, over="the faster of OpenBLAS and oneDNN")
        text += f"![Products and convolutions]({options.links}/kernels.svg)\n\n"
    table = HEAD + "".join(row(k, vs) for k, vs in rows)
    return (f"{text}<details><summary>All {len(rows)} kernels</summary>\n\n{table}\n</details>\n\n",
            [{**k, "beside": vs} for k, vs in rows])
