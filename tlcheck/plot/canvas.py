"""The figure: panels side by side, a footer, and the same bytes for the same panels. The only module that imports matplotlib.

Text from a certificate goes through :func:`plain`: it is never taken for mathematics, and never long.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch, Rectangle
except ImportError as error:
    from tlcheck.errors import InvalidInput

    raise InvalidInput(
        "TLC402", f"pictures need matplotlib, which does not load ({error}): pip install 'tlcheck[plot]'"
    ) from None

from tlcheck.report.text import printable

__all__ = [
    "BAD", "DPI", "Axes", "Handle", "Line2D", "Panel", "Patch", "Rectangle", "cells", "frame", "image", "legend", "plain",
    "rendered", "short", "valued_cells",
]  # fmt: skip

Floats = NDArray[np.float64]
Handle = Line2D | Patch
DPI: Final = 150
PANEL: Final = (6.0, 4.9)
"""Inches."""
LETTERS: Final = 60
"""Of a name in the picture."""
VECTORS: Final = 200
"""More cells than this become one image inside an SVG."""
DECADES: Final = 1.5
"""A range wider than this is shown on a logarithmic scale."""
FLOOR: Final = 1e-6
"""Relative to the largest value: a logarithmic scale begins no lower."""
TWO_COLUMNS: Final = 32
"""Characters of an entry of a legend that has two columns."""
BAD: Final = "#d62728"
WRONG: Final = "#f2a0a0"
GREY: Final = "#d9d9d9"
NOT_A_VERDICT: Final = "Not a verdict: `tlcheck plot` shows the certificate, `tlcheck verify` decides."
SETTINGS: Final[Any] = {
    "svg.hashsalt": "tlcheck", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9.0,
    "axes.titlesize": 9.5, "legend.fontsize": 8.0, "legend.frameon": False, "axes.formatter.useoffset": False,
    "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
}  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """``draw`` puts one picture into axes of its own. ``notes``: how numbers in it were computed, for the footer."""

    draw: Callable[[Axes], None]
    notes: tuple[str, ...] = ()


def plain(text: str, width: int = LETTERS) -> str:
    """Printable, at most ``width`` characters, and no mathematics."""
    text = printable(text)
    text = text if len(text) <= width else f"{text[: width - 3]}..."
    return text.replace("$", r"\$")


def rendered(panels: Sequence[Panel], title: str, footer: str, kind: str) -> bytes:
    """The picture as "svg" or "png"."""
    with _settings():
        columns = min(len(panels), 2)
        rows = -(-len(panels) // columns)
        width = max(columns * PANEL[0], 7.5)
        figure = Figure(figsize=(width, rows * PANEL[1] + 0.7), layout="constrained")
        grid = figure.add_gridspec(rows, columns)
        for k, panel in enumerate(panels):
            last = k == len(panels) - 1 and columns == 2 and k % 2 == 0
            axes = figure.add_subplot(grid[k // columns, :] if last else grid[k // columns, k % columns])
            panel.draw(axes)
        figure.suptitle(title, fontsize=11)
        notes = dict.fromkeys(note for panel in panels for note in panel.notes)
        text = " ".join((*notes, NOT_A_VERDICT, footer))
        lines = textwrap.wrap(text, int(width * 16.5), break_on_hyphens=False)
        figure.supxlabel("\n".join(lines), fontsize=7, color="#444444", ha="left", x=0.01)
        stream = BytesIO()
        metadata = (
            {"Date": None, "Creator": "tlcheck plot"} if kind == "svg" else {"Software": "tlcheck plot"}
        )
        figure.savefig(stream, format=kind, metadata=metadata)
        return stream.getvalue()


@contextmanager
def _settings() -> Iterator[None]:
    """matplotlib's own defaults and ours, whatever the user's are; its warnings are about looks."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS | {"savefig.dpi": DPI, "figure.dpi": DPI})
        yield


def scale(values: Floats) -> tuple[Normalize, float]:
    """For colours, logarithmic where positive values spread over decades; and what lower values are shown as."""
    good = values[np.isfinite(values)]
    if not good.size:
        return Normalize(0.0, 1.0), -np.inf
    low, high = float(good.min()), float(good.max())
    positive = good[good > 0]
    if low >= 0 and positive.size and float(positive.min()) * 10**DECADES < high:
        floor = max(float(positive.min()), FLOOR * high)
        return LogNorm(floor, high), floor
    return Normalize(low, high if high > low else low + max(abs(low), 1e-300)), -np.inf


def cells(axes: Axes, low: Floats, high: Floats, colours: Any, **style: Any) -> PolyCollection:
    """Rectangles (cells, 2), with colours for each."""
    corners = np.stack(
        [low, np.stack([high[:, 0], low[:, 1]], 1), high, np.stack([low[:, 0], high[:, 1]], 1)], 1
    )
    many = len(low) > VECTORS
    drawn: dict[str, Any] = {"linewidths": 0.15 if many else 0.5, "edgecolors": (1, 1, 1, 0.5), "zorder": 1}
    found = PolyCollection(list(corners), facecolors=colours, **(drawn | style))
    found.set_rasterized(many)
    axes.add_collection(found)
    return found


def valued_cells(
    axes: Axes, low: Floats, high: Floats, values: Floats, label: str, bad: str, cmap: str = "viridis"
) -> list[Handle]:
    """Rectangles coloured by value, with a colour bar; those that are no number, or below 0, in red, with a legend ``bad``."""
    wrong = ~(values >= 0)
    norm, floor = scale(values[~wrong])
    colour_map = matplotlib.colormaps[cmap]
    faces = colour_map(norm(np.maximum(np.where(wrong, np.inf, values), floor)))
    faces[wrong] = matplotlib.colors.to_rgba(WRONG)
    cells(axes, low, high, faces)
    good = values[~wrong]
    if good.size and (good == good[0]).all():
        one = Patch(facecolor=faces[~wrong][0], label=f"{label}: {short(float(good[0]))}")
        return [one, *_wrong(wrong, bad)]
    if good.size:
        bar(axes, matplotlib.cm.ScalarMappable(norm, colour_map), label, below=bool((good < floor).any()))
    return _wrong(wrong, bad)


def _wrong(wrong: NDArray[np.bool_], label: str) -> list[Handle]:
    return [Patch(color=WRONG, label=f"{label} ({int(wrong.sum())})")] if wrong.any() else []


def bar(axes: Axes, mappable: Any, label: str, *, below: bool = False) -> None:
    figure = axes.get_figure()
    if figure is not None:
        shown = figure.colorbar(mappable, ax=axes, extend="min" if below else "neither", pad=0.02)
        shown.set_label(label)


def image(axes: Axes, low: Floats, high: Floats, values: Floats, label: str) -> AxesImage:
    """Values (rows of y, columns of x) over the rectangle, with a colour bar; grey where there is none."""
    cmap = matplotlib.colormaps["magma"].with_extremes(bad=GREY)
    norm, floor = scale(values)
    drawn = axes.imshow(
        np.where(np.isfinite(values), np.maximum(values, floor), np.nan),
        origin="lower", extent=(low[0], high[0], low[1], high[1]), aspect="auto", cmap=cmap, norm=norm,
        interpolation="nearest",
    )  # fmt: skip
    bar(axes, drawn, label, below=bool((values < floor).any()))
    return drawn


def frame(axes: Axes, names: tuple[str, str], title: str, low: Floats, high: Floats) -> None:
    """Names, title and limits of two coordinates."""
    axes.set(xlabel=plain(names[0]), ylabel=plain(names[1]))
    axes.set_title(title)
    axes.locator_params(nbins=6)
    (left, bottom), (right, top) = low.tolist(), high.tolist()
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def legend(axes: Axes, handles: Sequence[Handle] = ()) -> None:
    """Below the axes, where it hides nothing; in one column where two would be too wide."""
    found: Sequence[Any] = handles or axes.get_legend_handles_labels()[0]
    if found:
        widest = max(len(str(handle.get_label())) for handle in found)
        axes.legend(
            handles=found, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncol=1 if widest > TWO_COLUMNS else 2,
            borderaxespad=0.0, handlelength=1.8, columnspacing=1.2,
        )  # fmt: skip


def short(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}g}" if isfinite(value) else str(value)
