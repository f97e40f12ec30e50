#!/usr/bin/python3
"""Draws the plots of README.md from what tests/growth.py has measured.

    tests/plots.py FILE.json DIRECTORY

One SVG for each plot, of one or more panels; light or dark as its reader likes it. The same figures
make the same bytes.
"""

import json
import math
import pathlib
import sys

PANEL_WIDTH, HEIGHT = 310, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 62, 46  # around a panel's axes
CHARACTER = 5.6  # the width of one, about, for what must not overlap

STYLE = """
svg { background: #ffffff; color: #24292f; font: 11px system-ui, sans-serif; }
text { fill: currentColor; }
.title { font-size: 12px; font-weight: 600; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.mark { stroke: #8c959f; stroke-dasharray: 3 3; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.s0 { stroke: #0969da; } .s1 { stroke: #bc4c00; } .s2 { stroke: #1a7f37; }
.d0 { fill: #0969da; } .d1 { fill: #bc4c00; } .d2 { fill: #1a7f37; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; color: #e6edf3; }
.grid { stroke: #30363d; } .mark { stroke: #8b949e; }
.s0 { stroke: #58a6ff; } .s1 { stroke: #f0883e; } .s2 { stroke: #3fb950; }
.d0 { fill: #58a6ff; } .d1 { fill: #f0883e; } .d2 { fill: #3fb950; }
}
"""


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


def short(value):
    """A number as an axis has it."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def round_up(value):
    """The next of 1, 2, 5, 10, 20 ..."""
    size = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next(step * size for step in (1, 2, 5, 10) if step * size >= value * 0.999)


class Axis:
    """Maps values to a range of pixels, evenly or by their logarithm."""

    def __init__(self, low, high, start, end, logarithmic):
        self.logarithmic = logarithmic
        self.low, self.high = self._scaled(low), self._scaled(high)
        self.start, self.end = start, end

    def _scaled(self, value):
        return math.log10(value) if self.logarithmic else value

    def at(self, value):
        part = (self._scaled(value) - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def ticks(self):
        if self.logarithmic:
            return [10**n for n in range(math.ceil(self.low), math.floor(self.high + 0.001) + 1)]
        step = round_up((self.high - self.low) / 5)
        return [self.low + n * step for n in range(round((self.high - self.low) / step) + 1)]


def text(x, y, words, anchor="start", style=""):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{style}>{escaped(words)}</text>'


def axes_of(panel, offset):
    points = [point for series in panel["series"] for point in series["points"]]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    logarithmic = panel.get("log_y", False)
    low = 10 ** math.floor(math.log10(min(ys))) if logarithmic else 0
    high = 10 ** math.ceil(math.log10(max(ys))) if logarithmic else round_up(max(ys))
    across = Axis(min(xs), max(xs), offset + LEFT, offset + PANEL_WIDTH - RIGHT, True)
    return across, Axis(low, high, HEIGHT - BOTTOM, TOP, logarithmic)


def draw_grid(panel, across, up):
    for tick in up.ticks():
        y = up.at(tick)
        yield f'<path class="grid" d="M{across.start} {y}H{across.end}"/>'
        yield text(across.start - 6, y + 4, short(tick), "end")
    for tick in across.ticks():
        yield text(across.at(tick), up.start + 16, short(tick), "middle")
    middle = (across.start + across.end) / 2
    yield text(middle, up.start + 34, panel["x"], "middle")
    for mark in panel.get("marks", ()):
        x = across.at(mark["x"])
        yield f'<path class="mark" d="M{x} {up.start}V{up.end}" fill="none"/>'
        yield text(x - 4, up.end + 10, mark["text"], "end")


def draw_panel(panel, offset):
    across, up = axes_of(panel, offset)
    yield text(offset + LEFT, 18, panel["title"], style=' class="title"')
    yield from draw_grid(panel, across, up)
    x = offset + LEFT
    for number, series in enumerate(panel["series"]):
        points = [(across.at(a), up.at(b)) for a, b in series["points"]]
        path = "L".join(f"{a} {b}" for a, b in points)
        yield f'<path class="line s{number}" d="M{path}"/>'
        yield from (f'<circle class="d{number}" cx="{a}" cy="{b}" r="2.5"/>' for a, b in points)
        yield f'<circle class="d{number}" cx="{x + 4}" cy="38" r="4"/>'
        yield text(x + 12, 42, series["name"])
        x += 26 + len(series["name"]) * CHARACTER


def draw(plot):
    width = PANEL_WIDTH * len(plot["panels"])
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
    yield f'width="{width}" height="{HEIGHT}" role="img">'
    yield f"<title>{escaped(plot['title'])}</title><style>{STYLE}</style>"
    for number, panel in enumerate(plot["panels"]):
        yield from draw_panel(panel, number * PANEL_WIDTH)
    yield "</svg>\n"


def draw_all(measured):
    """SVGs by name."""
    return {name: "\n".join(draw(plot)) for name, plot in measured["plots"].items()}


def main():
    measured = json.loads(pathlib.Path(sys.argv[1]).read_text())
    for name, svg in draw_all(measured).items():
        (pathlib.Path(sys.argv[2]) / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
