"""Plots as SVG, for the docs: lines over a linear or logarithmic axis, and bars stacked from parts. Equal data gives equal text."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 196, 48, 58
INNER_WIDTH, INNER_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
# Okabe and Ito's palette, which colour-blind readers can tell apart; a second round of it is dashed.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666", "#000000")
# Of a legend's label, a character takes so many pixels; where the longest needs more room, the plot is wider.
CHARACTER = 7.2
STYLE = "text{font:13px sans-serif;fill:#222}.small{font-size:12px}.title{font-size:15px;font-weight:bold}"


@dataclass(frozen=True)
class Axis:
    """What is drawn along an axis; `log` needs values above zero. Without ends it reaches from the least value to the most."""

    label: str
    log: bool = False
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Series:
    """A line through points (x, y), named in the legend."""

    label: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Scale:
    """Where a value of an axis lies on the plot, and which values are marked."""

    least: float
    most: float
    log: bool
    pixels: int

    @classmethod
    def of(cls, axis: Axis, values: Sequence[float], pixels: int) -> "Scale":
        """The scale that shows all values."""
        least = axis.least if axis.least is not None else min(values)
        most = axis.most if axis.most is not None else max(values)
        if axis.log:
            return cls(10 ** math.floor(math.log10(least)), 10 ** math.ceil(math.log10(most)), log=True, pixels=pixels)
        step = _step(most - least or 1)
        return cls(math.floor(least / step) * step, math.ceil(most / step) * step or step, log=False, pixels=pixels)

    def at(self, value: float) -> float:
        """Pixels from the axis's beginning; what lies outside is drawn at the edge."""
        inside = min(max(value, self.least), self.most)
        if self.log:
            share = math.log10(inside / self.least) / (math.log10(self.most / self.least) or 1)
        else:
            share = (inside - self.least) / (self.most - self.least)
        return share * self.pixels

    @property
    def ticks(self) -> list[float]:
        """The values to be marked."""
        if self.log:
            first, last = round(math.log10(self.least)), round(math.log10(self.most))
            return [10.0**power for power in range(first, last + 1)]
        step = _step(self.most - self.least)
        return [self.least + step * number for number in range(round((self.most - self.least) / step) + 1)]


def line_plot(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """Lines with a mark at each point and a legend beside them."""
    across = Scale.of(x, [point[0] for each in series for point in each.points], INNER_WIDTH)
    up = Scale.of(y, [point[1] for each in series for point in each.points], INNER_HEIGHT)
    body = [*_frame(title, x.label, y.label), *_rulings(up), *_ticks_below(across)]
    for number, each in enumerate(series):
        colour, dashes = COLOURS[number % len(COLOURS)], ' stroke-dasharray="6 4"' if number >= len(COLOURS) else ""
        places = [(LEFT + across.at(a), TOP + INNER_HEIGHT - up.at(b)) for a, b in each.points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        body += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in places]
        body += _legend(number, each.label, colour)
    return _document(body, [each.label for each in series])


def stacked_bars(title: str, x: str, y: Axis, names: Sequence[str], parts: Mapping[str, Sequence[float]]) -> str:
    """A bar for each name, of parts from the bottom up; each part has a value for each name. The axis begins at zero."""
    totals = [sum(values[number] for values in parts.values()) for number in range(len(names))]
    up = Scale.of(Axis(y.label, least=0.0, most=y.most), totals, INNER_HEIGHT)
    body = [*_frame(title, x, y.label), *_rulings(up)]
    slot = INNER_WIDTH / len(names)
    for number, name in enumerate(names):
        body.append(_text(LEFT + slot * (number + 0.5), TOP + INNER_HEIGHT + 18, name, "middle"))
        below = 0.0
        for place, values in enumerate(parts.values()):
            bottom, top = up.at(below), up.at(below + values[number])
            left, upper = LEFT + slot * (number + 0.15), TOP + INNER_HEIGHT - top
            colour = COLOURS[place % len(COLOURS)]
            body.append(f'<rect x="{left:.1f}" y="{upper:.1f}" width="{slot * 0.7:.1f}" height="{top - bottom:.1f}" fill="{colour}"/>')
            below += values[number]
    for place, label in enumerate(reversed(list(parts))):
        body += _legend(place, label, COLOURS[(len(parts) - 1 - place) % len(COLOURS)])
    return _document(body, list(parts))


def short(value: float) -> str:
    """A number as it stands beside a tick: 0.2, 150, 20 k, 3 M."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return f"{value / (1e3 if suffix == ' k' else size):g}{suffix}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _step(span: float) -> float:
    rough = span / 5
    size: float = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)


def _frame(title: str, x: str, y: str) -> Iterator[str]:
    yield _text(LEFT, 26, title, "start", "title")
    yield _text(LEFT + INNER_WIDTH / 2, HEIGHT - 14, x, "middle")
    middle = TOP + INNER_HEIGHT / 2
    yield f'<text x="18" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 18 {middle:.0f})">{escape(y)}</text>'


def _rulings(up: Scale) -> Iterator[str]:
    for tick in up.ticks:
        height = TOP + INNER_HEIGHT - up.at(tick)
        yield f'<path d="M{LEFT} {height:.1f}h{INNER_WIDTH}" stroke="#ddd"/>'
        yield _text(LEFT - 8, height + 4, short(tick), "end")


def _ticks_below(across: Scale) -> Iterator[str]:
    for tick in across.ticks:
        place = LEFT + across.at(tick)
        yield f'<path d="M{place:.1f} {TOP}v{INNER_HEIGHT}" stroke="#eee"/>'
        yield _text(place, TOP + INNER_HEIGHT + 18, short(tick), "middle")


def _legend(number: int, label: str, colour: str) -> Iterator[str]:
    height = TOP + 8 + 20 * number
    yield f'<rect x="{WIDTH - RIGHT + 16}" y="{height - 5}" width="14" height="10" fill="{colour}"/>'
    yield _text(WIDTH - RIGHT + 36, height + 4, label, "start")


def _text(x: float, y: float, text: str, anchor: str, kind: str = "small") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _document(body: Sequence[str], labels: Sequence[str]) -> str:
    width = max(WIDTH, WIDTH - RIGHT + 44 + round(CHARACTER * max(map(len, labels))))
    size = f'width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{HEIGHT}" fill="#fff"/>',
            *body,
            "</svg>\n",
        ]
    )
