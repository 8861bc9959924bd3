# SPDX-License-Identifier: MIT
"""Draws the figures of bench/compare.py as SVG, from numbers to text without a library: bars() and lines()."""
import math
from html import escape

COLOURS = ["#1b6ca8", "#d1662b", "#3c8d40", "#8a4f9e", "#c9a227", "#c23b55", "#4d4d4d"]
GREY = "#666"


def _svg(width, height, body):
    # The background is drawn, so that a reader in the dark sees the dark letters.
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="sans-serif" font-size="12"><rect width="{width}" height="{height}" fill="white"/>\n'
            + "\n".join(body) + "\n</svg>\n")


def _text(x, y, text, anchor="start", **more):
    more = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in more.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(str(text))}</text>'


def _line(x1, y1, x2, y2, colour="#ddd", **more):
    more = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in more.items())
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>'


def _number(value):
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


class _Log:
    """A logarithmic axis from one pixel to another, over all of `values`."""

    def __init__(self, values, begin, end):
        self.low, self.high = math.log10(min(values)), math.log10(max(values))
        margin = max(0.02, 0.04 * (self.high - self.low))
        self.low, self.high, self.begin, self.end = self.low - margin, self.high + margin, begin, end

    def __call__(self, value):
        return self.begin + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.begin)

    def ticks(self):
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        steps = (1,) if self.high - self.low > 3 else (1, 2, 5)
        marks = [s * 10.0 ** p for p in powers for s in steps]
        return [m for m in marks if self.low <= math.log10(m) <= self.high]


def bars(title, rows, path, left=250, over="the best peer"):
    """rows: (label, ratio, target or 1, [(peer, ratio)]): how many times as fast as `over`, on a logarithmic axis."""
    width, step, top = left + 650, 26, 74
    height = top + step * len(rows) + 40
    values = [v for _, ratio, target, peers in rows for v in (ratio, target, 1, *(p for _, p in peers))]
    axis = _Log(values, left, width - 60)
    body = [_text(20, 26, title, font_size=16, font_weight="bold")]
    names = sorted({name for row in rows for name, _ in row[3]})
    x = 20
    targets = [("target", "target")] * any(row[2] != 1 for row in rows)
    for name, mark in [("ingot", None)] + targets + [(n, "peer") for n in names]:
        colour = COLOURS[0] if not mark else "black" if mark == "target" else COLOURS[1 + names.index(name)]
        if mark == "peer":
            body.append(f'<circle cx="{x + 6}" cy="46" r="4" fill="{colour}"/>')
        else:
            begin, wide = (x + 5, 2) if mark else (x, 12)
            body.append(f'<rect x="{begin}" y="40" width="{wide}" height="12" fill="{colour}"/>')
        body.append(_text(x + 17, 51, name))
        x += 36 + 7.2 * len(name)
    for tick in axis.ticks():
        body.append(_line(axis(tick), top - 8, axis(tick), height - 34, "#999" if tick == 1 else "#ddd"))
        body.append(_text(axis(tick), height - 18, _number(tick), "middle", fill=GREY))
    body.append(_text((left + width - 60) / 2, height - 3, f"times as fast as {over}", "middle", fill=GREY))
    for i, (label, ratio, target, peers) in enumerate(rows):
        y = top + i * step
        body.append(_text(left - 10, y + 11, label, "end"))
        begin, end = sorted((axis(1), axis(ratio)))
        wide = max(1, end - begin)
        body.append(f'<rect x="{begin:.1f}" y="{y}" width="{wide:.1f}" height="14" fill="{COLOURS[0]}"/>')
        body.append(_text(max(end, axis(target)) + 6, y + 11, f"{ratio:.2f}"))
        if targets:
            body.append(_line(axis(target), y - 4, axis(target), y + 18, "black", stroke_width=2))
        for name, value in peers:
            colour = COLOURS[1 + names.index(name)]
            body.append(f'<circle cx="{axis(value):.1f}" cy="{y + 7}" r="4" fill="{colour}" stroke="white"/>')
    with open(path, "w", encoding="utf-8") as file:
        file.write(_svg(width, height, body))


def lines(title, x_label, y_label, series, path):
    """series: {name: [(x, y)]}, on two logarithmic axes."""
    left, width, top, height = 80, 760, 50, 420
    right, bottom = width - 170, height - 50
    points = [p for s in series.values() for p in s]
    x_axis, y_axis = _Log([x for x, _ in points], left, right), _Log([y for _, y in points], bottom, top)
    body = [_text(20, 26, title, font_size=16, font_weight="bold")]
    for tick in x_axis.ticks():
        at = x_axis(tick)
        body += [_line(at, top, at, bottom), _text(at, bottom + 18, _number(tick), "middle", fill=GREY)]
    for tick in y_axis.ticks():
        at = y_axis(tick)
        body += [_line(left, at, right, at), _text(left - 8, at + 4, _number(tick), "end", fill=GREY)]
    body.append(_text((left + right) / 2, height - 10, x_label, "middle", fill=GREY))
    body.append(_text(20, top - 8, y_label, fill=GREY))
    labels = []
    for i, (name, values) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        path_of = " ".join(f"{x_axis(x):.1f},{y_axis(y):.1f}" for x, y in values)
        body.append(f'<polyline points="{path_of}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{x_axis(x):.1f}" cy="{y_axis(y):.1f}" r="3" fill="{colour}"/>' for x, y in values]
        labels.append([y_axis(values[-1][1]), name, colour])
    labels.sort()
    for i, label in enumerate(labels):  # names stand at the ends of their lines, and never on each other
        label[0] = max(label[0], labels[i - 1][0] + 15) if i else label[0]
        body.append(_text(right + 10, label[0] + 4, label[1], fill=label[2]))
    with open(path, "w", encoding="utf-8") as file:
        file.write(_svg(width, height, body))
