"""Plots are SVG that a browser reads, and each value stands where its axis says."""

import re
from xml.etree import ElementTree

import pytest

from tests.benchmarks.plots import INNER_HEIGHT, LEFT, TOP, WIDTH, Axis, Scale, Series, line_plot, short, stacked_bars

SVG = "{http://www.w3.org/2000/svg}"


def test_a_line_goes_through_its_points() -> None:
    plot = line_plot("orders & time", Axis("in flight"), Axis("ms", least=0), [Series("p50 <ms>", [(0, 0), (5, 10), (10, 20)])])
    root = ElementTree.fromstring(plot)  # noqa: S314 - drawn by this test
    [line] = root.iter(f"{SVG}polyline")
    places = [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]

    assert places[0] == (LEFT, TOP + INNER_HEIGHT)
    assert places[1] == pytest.approx([(first + last) / 2 for first, last in zip(places[0], places[2], strict=True)])
    assert {"orders & time", "p50 <ms>"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_a_logarithmic_axis_has_its_powers_at_equal_distances() -> None:
    scale = Scale.of(Axis("orders a minute", log=True), [10, 1_000_000], 500)

    assert [scale.at(tick) for tick in scale.ticks] == pytest.approx([0, 100, 200, 300, 400, 500])
    assert [short(tick) for tick in scale.ticks] == ["10", "100", "1,000", "10 k", "100 k", "1 M"]


def test_what_lies_outside_the_axis_is_drawn_at_its_edge() -> None:
    scale = Scale.of(Axis("share", least=0.0, most=2.0), [0.5, 80.0], 100)

    assert (scale.at(80), scale.at(-1), scale.at(1)) == (100, 0, 50)


def test_a_long_label_has_room() -> None:
    plot = line_plot("limits", Axis("x"), Axis("y"), [Series("operations of the instance's link to its volume", [(0, 0), (1, 1)])])

    assert float(ElementTree.fromstring(plot).get("width", "0")) > WIDTH  # noqa: S314 - drawn by this test


def test_bars_are_as_high_as_their_parts_together() -> None:
    plot = stacked_bars("cost", "load", Axis("USD"), ["a", "b"], {"rent": [1.0, 1.0], "use": [1.0, 3.0]})
    drawn = re.findall(r'<rect x="[\d.]+" y="[\d.]+" width="[\d.]+" height="([\d.]+)"', plot)
    heights = [float(height) for height in drawn[:4]]

    assert heights == pytest.approx([INNER_HEIGHT / 4, INNER_HEIGHT / 4, INNER_HEIGHT / 4, INNER_HEIGHT * 3 / 4], abs=0.1)
