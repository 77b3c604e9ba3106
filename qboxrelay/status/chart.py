"""Small charts as SVG paths.

In: points, as seconds ago and value. Out: `Chart`, which a template draws. Never: markup; colours and strokes are the stylesheet's.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 120
_MOST_POINTS = 180

DURATIONS = (60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0, 18000.0, 43200.0, 86400.0, 172800.0)
"""Round numbers of seconds."""

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`path` and `area` are SVG path data in a box of WIDTH by HEIGHT; empty without a point. `now` and `most` are for people."""

    name: str
    path: str
    area: str
    now: str
    most: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`top` is the value at the upper edge."""

    title: str
    unit: str
    top: str
    lines: tuple[Line, ...]

    @property
    def summary(self) -> str:
        """The chart in words, for those who do not see it."""
        said = (f"{line.name}: now {line.now}, at most {line.most}" for line in self.lines)
        return f"{self.title} over the last hour. {'; '.join(said)}."


def draw(
    title: str,
    unit: str,
    series: Sequence[tuple[str, Points]],
    *,
    seconds: float,
    show: Callable[[float], str],
    tops: Sequence[float] = (),
) -> Chart:
    """All series on one scale, which begins at 0 and ends at a round number; from half the first of `tops` on, at one of those."""
    within = [(name, [point for point in points if point[0] <= seconds]) for name, points in series]
    highest = max((value for _, points in within for _, value in points if value is not None), default=0.0)
    top = next((one for one in tops if tops[0] / 2 < highest <= one), None) or _round_above(highest)
    lines = tuple(_line(name, points, seconds=seconds, top=top, show=show) for name, points in within)
    return Chart(title=title, unit=unit, top=show(top), lines=lines)


def _line(name: str, points: Points, *, seconds: float, top: float, show: Callable[[float], str]) -> Line:
    step = max(1, math.ceil(len(points) / _MOST_POINTS))
    # From the end, so that the latest point is always drawn.
    drawn = points[::-1][::step][::-1]
    values = [value for _, value in points if value is not None]
    runs = _runs([(WIDTH * (1 - ago / seconds), value) for ago, value in drawn], top)
    return Line(
        name=name,
        path=" ".join(_path(run) for run in runs),
        area=" ".join(f"{_path(run)} L{run[-1][0]:.1f} {HEIGHT} L{run[0][0]:.1f} {HEIGHT} Z" for run in runs),
        now=show(points[-1][1]) if points and points[-1][1] is not None else "none",
        most=show(max(values)) if values else "none",
    )


def _runs(points: list[tuple[float, float | None]], top: float) -> list[list[tuple[float, float]]]:
    """Divided where there is no value."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((x, HEIGHT * (1 - value / top)))
    return [run for run in runs if run]


def _path(run: list[tuple[float, float]]) -> str:
    first = run[0]
    # A single point is a short stroke, or it could not be seen.
    rest = run[1:] or [(first[0] + 2, first[1])]
    return f"M{first[0]:.1f} {first[1]:.1f} L" + " ".join(f"{x:.1f} {y:.1f}" for x, y in rest)


def _round_above(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(size * power for size in (1, 2, 5, 10) if size * power >= value * 0.999)
