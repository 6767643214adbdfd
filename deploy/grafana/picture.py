"""Draws panels as one SVG, readable on light and dark pages. Knows nothing of Prometheus."""

import math
from dataclasses import dataclass, field
from html import escape

WIDTH, MARGIN, GAP, COLUMNS = 1180, 24, 20, 2
HEADER_H, PANEL_H, PLOT_TOP, PLOT_H, AXIS_W = 74, 276, 52, 142, 58
PANEL_W = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS
PLOT_W = PANEL_W - AXIS_W - 16
LEGEND_MAX = 8
LETTER_W = 6.8  # of the legend, on average
HEAT_LEVELS = 6

# name: (on light, on dark)
COLORS = {
    "green": ("#2b8a3e", "#6fd08c"),
    "blue": ("#1f6fc4", "#6cb2ff"),
    "orange": ("#d9730d", "#ffab5e"),
    "red": ("#c92a2a", "#ff8080"),
    "purple": ("#7a3fb8", "#c59bff"),
    "yellow": ("#b58900", "#f2d24b"),
    "teal": ("#0b7f86", "#57d0d6"),
    "grey": ("#6b7280", "#a3abb8"),
    "pink": ("#c2327f", "#ff8fc4"),
    "brown": ("#8a5a2b", "#d6a878"),
    "light-green": ("#82c91e", "#b8e86b"),
    "light-blue": ("#74b3ec", "#a9d4ff"),
    "light-purple": ("#b393dd", "#dfcaff"),
    "dark-red": ("#7d1a1a", "#e05252"),
}
PALETTE = ["teal", "purple", "orange", "blue", "pink", "brown", "yellow", "green", "red", "grey"]
STYLE = """text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
.h1{font-size:22px;font-weight:650}.h2{font-size:15px;font-weight:600}.sub,.tick,.key{font-size:12px}
.mark{font-size:10.5px}.grid,.when,.limit,.line{fill:none}.when{stroke-dasharray:2 3;opacity:.6}
.limit{stroke-dasharray:6 4}.line{stroke-width:1.7;stroke-linejoin:round}.area{opacity:.82}
.end{text-anchor:end}.mid{text-anchor:middle}"""
PAGE = {  # what: (on light, on dark)
    "text": ("fill:#1b2430", "fill:#e6e9ee"),
    ".sub,.tick,.key,.mark": ("fill:#5b6675", "fill:#a3abb8"),
    ".page": ("fill:#f6f7f9", "fill:#0f1419"),
    ".card": ("fill:#fff;stroke:#dfe3e8", "fill:#171d25;stroke:#2a323d"),
    ".grid": ("stroke:#dfe3e8", "stroke:#2a323d"),
    ".when": ("stroke:#5b6675", "stroke:#a3abb8"),
    ".limit": ("stroke:#c92a2a", "stroke:#ff8080"),
    ".heat": ("fill:#1257a6", "fill:#6cb2ff"),
}


@dataclass
class Panel:
    kind: str  # heatmap, line or bars
    title: str
    unit: str
    lines: dict  # legend: numbers or None, one per moment
    stacked: bool = False
    stepped: bool = False
    log: bool = False
    colors: dict = field(default_factory=dict)
    threshold: float = None


def number_text(value):
    """Three digits at most, with k or M."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def unit_text(value, unit):
    if unit == "s":
        if value == 0:
            return "0"
        if value < 0.001:
            return f"{value * 1e6:.3g} µs"
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    return number_text(value) + ("/s" if unit in ("reqps", "cps") else "")


def nice_ticks(top):
    step = 10 ** math.floor(math.log10(top / 4)) if top > 0 else 1
    step *= next((m for m in (1, 2, 2.5, 5, 10) if top / (step * m) <= 4.2), 10)
    return [i * step for i in range(int(top / step + 1e-9) + 1)]


class _Scale:
    """Numbers to heights inside the plot, linear from 0 or logarithmic."""

    def __init__(self, panel, tops):
        positive = [n for n in tops if n is not None and n > 0]
        if panel.threshold:
            positive.append(panel.threshold)
        self.log = panel.log
        if self.log:
            self.low = math.floor(math.log10(min(positive, default=1)))
            self.high = max(math.ceil(math.log10(max(positive, default=10))), self.low + 1)
            self.ticks = [10.0**i for i in range(self.low, self.high + 1)]
        else:
            self.top = max(positive, default=1) * 1.06
            self.ticks = nice_ticks(self.top)

    def y(self, number):
        if self.log:
            at = (math.log10(max(number, 10.0**self.low)) - self.low) / (self.high - self.low)
        else:
            at = number / self.top
        return PLOT_H * (1 - min(max(at, 0.0), 1.0))


def _fixed(number):
    return f"{number:.1f}".rstrip("0").rstrip(".")


def _path(points):
    return "M" + "L".join(f"{_fixed(x)} {_fixed(y)}" for x, y in points)


def _runs(numbers):
    """Stretches of indexes that have a number."""
    run = []
    for index, number in enumerate(numbers):
        if number is not None:
            run.append(index)
        elif run:
            yield run
            run = []
    if run:
        yield run


class _Drawing:
    def __init__(self, panel, moments, marks):
        self.panel = panel
        self.moments = moments
        self.marks = marks
        self.span = moments[-1]
        self.parts = []

    def x(self, moment):
        return PLOT_W * moment / self.span

    def add(self, text):
        self.parts.append(text)

    def whole(self, left, top):
        self.add(f'<g transform="translate({left:g} {top:g})">')
        self.add(f'<rect class="card" width="{PANEL_W:g}" height="{PANEL_H}" rx="8"/>')
        self.add(f'<text class="h2" x="14" y="25">{escape(self.panel.title)}</text>')
        self.add(f'<g transform="translate({AXIS_W} {PLOT_TOP})">')
        drawn = self.heatmap() if self.panel.kind == "heatmap" else self.chart()
        self.time_axis()
        self.add("</g>")
        self.legend(drawn)
        self.add("</g>")
        return "\n".join(self.parts)

    def time_axis(self):
        for moment in range(0, int(self.span) + 1, 30):
            x = _fixed(self.x(moment))
            self.add(f'<text class="tick mid" x="{x}" y="{PLOT_H + 17}">{moment} s</text>')
        for moment, text in self.marks:
            x = _fixed(self.x(moment))
            self.add(f'<path class="when" d="M{x} -3V{PLOT_H}"/>')
            self.add(f'<text class="mark" x="{x}" y="-7">{escape(text)}</text>')

    def grid(self, ticks):
        for y, text in ticks:
            self.add(f'<path class="grid" d="M0 {_fixed(y)}H{PLOT_W:g}"/>')
            self.add(f'<text class="tick end" x="-7" y="{_fixed(y + 4)}">{text}</text>')

    def chart(self):
        """Returns [(legend, colour, largest number)] of what it drew."""
        shown = {
            name: numbers
            for name, numbers in self.panel.lines.items()
            if max((n for n in numbers if n is not None), default=0) > 0
        }
        tops = [n for numbers in shown.values() for n in numbers]
        if self.panel.stacked:
            tops = [sum(n or 0 for n in column) for column in zip(*shown.values(), strict=True)]
        scale = _Scale(self.panel, tops)
        self.grid([(scale.y(tick), unit_text(tick, self.panel.unit)) for tick in scale.ticks])
        palette = [c for c in PALETTE if c not in self.panel.colors.values()] + PALETTE
        drawn, base = [], [0.0] * len(self.moments)
        for name, numbers in shown.items():
            color = self.panel.colors.get(name) or palette.pop(0)
            if self.panel.kind == "bars":
                self.bars(color, numbers, base, scale)
            elif self.panel.stacked:
                self.area(color, numbers, base, scale)
            else:
                self.line(color, numbers, scale)
            drawn.append((name, color, max(n for n in numbers if n is not None)))
        if self.panel.threshold:
            y = _fixed(scale.y(self.panel.threshold))
            self.add(f'<path class="limit" d="M0 {y}H{PLOT_W:g}"/>')
        return drawn

    def points(self, indexes, numbers, scale):
        found = []
        for index in indexes:
            x, y = self.x(self.moments[index]), scale.y(numbers[index])
            if self.panel.stepped and found:
                found.append((x, found[-1][1]))
            found.append((x, y))
        return found

    def line(self, color, numbers, scale):
        if scale.log:  # nothing is not a small number
            numbers = [n if n else None for n in numbers]
        d = "".join(_path(self.points(run, numbers, scale)) for run in _runs(numbers))
        self.add(f'<path class="line s-{color}" d="{d}"/>')

    def area(self, color, numbers, base, scale):
        indexes = range(len(numbers))
        lower = self.points(indexes, base, scale)
        for index in indexes:
            base[index] += numbers[index] or 0
        upper = self.points(indexes, base, scale)
        self.add(f'<path class="area f-{color}" d="{_path(upper + lower[::-1])}Z"/>')

    def bars(self, color, numbers, base, scale):
        width = PLOT_W / len(self.moments) * 0.8
        d = ""
        for index, number in enumerate(numbers):
            if number:
                low, high = scale.y(base[index]), scale.y(base[index] + number)
                x = self.x(self.moments[index]) - width / 2
                d += f"M{_fixed(x)} {_fixed(high)}h{_fixed(width)}V{_fixed(low)}h-{_fixed(width)}z"
                base[index] += number
        self.add(f'<path class="area f-{color}" d="{d}"/>')

    def heatmap(self):
        """One column a moment, one row a bucket; the darker, the more requests of that moment's."""
        edges = sorted(self.panel.lines, key=lambda le: float(le.replace("+Inf", "inf")))
        columns = list(zip(*(self.panel.lines[le] for le in edges), strict=True))
        cells_by_column = [self.cells(column) for column in columns]
        used = [i for i in range(len(edges)) if any(cells[i] > 0 for cells in cells_by_column)]
        rows = used[-1] + 2 if used else 1  # one empty row above
        rows = min(max(rows, edges.index("0.15") + 1 if "0.15" in edges else 1), len(edges))
        height, width = PLOT_H / rows, PLOT_W / len(self.moments)
        levels = [""] * HEAT_LEVELS
        for index, cells in enumerate(cells_by_column):
            total = sum(cells)
            for row, count in enumerate(cells[:rows]):
                if count > 0 and total > 0:
                    level = min(int((count / total) ** 0.4 * HEAT_LEVELS), HEAT_LEVELS - 1)
                    x, y = self.x(self.moments[index]) - width, PLOT_H - (row + 1) * height
                    levels[level] += f"M{_fixed(x)} {_fixed(y + 0.4)}h{_fixed(width - 0.6)}"
                    levels[level] += f"v{_fixed(height - 0.8)}h-{_fixed(width - 0.6)}z"
        ticks = []
        for row in range(rows):
            if edges[row] in ("0.001", "0.005", "0.025", "0.1", "0.5", "2.5", "10"):
                ticks.append((PLOT_H - (row + 1) * height, unit_text(float(edges[row]), "s")))
        self.grid([(PLOT_H, "0"), *ticks])
        for level, d in enumerate(levels):
            self.add(f'<path class="heat" opacity="{(level + 1) / HEAT_LEVELS:.2f}" d="{d}"/>')
        if "0.1" in edges[:rows]:
            y = _fixed(PLOT_H - (edges.index("0.1") + 1) * height)
            self.add(f'<path class="limit" d="M0 {y}H{PLOT_W:g}"/>')
        return []

    @staticmethod
    def cells(column):
        counts = [number or 0.0 for number in column]
        return [max(0.0, high - low) for low, high in zip([0.0, *counts], counts, strict=False)]

    def legend(self, drawn):
        top = PLOT_TOP + PLOT_H + 38
        if self.panel.kind == "heatmap":
            self.add(
                f'<text class="key" x="14" y="{top}">share of the requests of a moment:</text>'
            )
            for level in range(HEAT_LEVELS):
                opacity = (level + 1) / HEAT_LEVELS
                at = f'x="{234 + level * 22}" y="{top - 10}" width="20" height="12"'
                self.add(f'<rect class="heat" opacity="{opacity:.2f}" {at}/>')
            x = 242 + HEAT_LEVELS * 22
            self.add(f'<text class="key" x="{x}" y="{top}">few … most; dashed: 100 ms</text>')
            return
        if not drawn:
            self.add(f'<text class="key" x="14" y="{top}">none</text>')
        if len(drawn) > LEGEND_MAX:
            drawn = sorted(drawn, key=lambda one: -one[2])[:LEGEND_MAX]
        labels = [f"{name} · {unit_text(most, self.panel.unit)}" for name, _, most in drawn]
        longest = max(map(len, labels), default=1) * LETTER_W + 28
        columns = min(max(int((PANEL_W - 28) / longest), 1), 4)
        width = (PANEL_W - 28) / columns
        for index, (_, color, _) in enumerate(drawn):
            x, y = 14 + index % columns * width, top + index // columns * 17
            label = escape(labels[index])
            self.add(
                f'<rect class="f-{color}" x="{x:g}" y="{y - 9}" width="10" height="10" rx="2"/>'
            )
            self.add(f'<text class="key" x="{x + 15:g}" y="{y}">{label}</text>')


def _rules(dark):
    """Plain rules: viewers that know neither variables nor media queries show the light ones."""
    rules = [f"{what}{{{pair[dark]}}}" for what, pair in PAGE.items()]
    for name, pair in COLORS.items():
        rules.append(f".f-{name}{{fill:{pair[dark]}}}.s-{name}{{stroke:{pair[dark]}}}")
    return "".join(rules)


def draw(title, caption, panels, moments, marks):
    rows = math.ceil(len(panels) / COLUMNS)
    height = HEADER_H + rows * (PANEL_H + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><desc>{escape(caption)}</desc>",
        f"<style>{STYLE}",
        _rules(False),
        f"@media(prefers-color-scheme:dark){{{_rules(True)}}}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="10"/>',
        f'<text class="h1" x="{MARGIN}" y="36">{escape(title)}</text>',
        f'<text class="sub" x="{MARGIN}" y="57">{escape(caption)}</text>',
    ]
    for index, panel in enumerate(panels):
        left = MARGIN + index % COLUMNS * (PANEL_W + GAP)
        top = HEADER_H + index // COLUMNS * (PANEL_H + GAP)
        parts.append(_Drawing(panel, moments, marks).whole(left, top))
    return "\n".join([*parts, "</svg>\n"])
