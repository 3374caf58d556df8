"""From a matplotlib figure to SVG that belongs to the page: its colours, its fonts, nothing of its own.

Colours become CSS variables (so that dark and print have their own), text stays text and takes the
page's font, and everything that would clash between two figures on one page, or differ between two
drawings of the same one, is taken out.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from tritcoder.errors import MissingExtraError

INK, RULE, PAPER, GREY = "#1a1a1a", "#d0cfcb", "#fdfcfa", "#76746e"
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY, YELLOW = "#e69f00", "#56b4e9", "#f0e442"
"""The colours of Okabe and Ito (2008), told apart by the colour-blind; black is INK."""

_VARIABLES = {
    INK: "ink", RULE: "rule", PAPER: "paper", GREY: "grey", BLUE: "blue", VERMILION: "vermilion",
    GREEN: "green", PURPLE: "purple", ORANGE: "orange", SKY: "sky", YELLOW: "yellow",
}  # fmt: skip

WIDTH_IN = 5.0
"""Inches; at 72 points each, 10-point text is still read on a telephone."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tritcoder",
    "text.parse_math": False,
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 10.0,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 1.1,
    "lines.linewidth": 1.8,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A finished figure, and all that the page says of it."""

    key: str
    """Its name in links: `held-out`."""
    title: str
    caption: str
    alt: str
    """What it shows, in words and numbers, for who cannot see it."""
    svg: str
    sources: tuple[str, ...]
    """The files of the run directory that it is drawn from."""


@contextmanager
def canvas(height_in: float) -> Iterator[Any]:
    """Empty axes of a figure in the report's style; the style ends with the block.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure as Sheet
    except ImportError as error:
        raise MissingExtraError(
            "the report's figures need matplotlib, which is not installed",
            "pip install 'tritcoder[report]'",
        ) from error
    # The reader's own matplotlibrc must not change the page; which window system it names is no concern.
    defaults = {key: value for key, value in mpl.rcParamsDefault.items() if "backend" not in key}
    style: Any = defaults | _STYLE
    with warnings.catch_warnings(), mpl.rc_context(style):
        warnings.simplefilter("ignore")  # a glyph that the measuring font lacks is drawn by the reader's
        yield Sheet(figsize=(WIDTH_IN, height_in), layout="constrained").subplots()


def to_svg(axes: Any, key: str, alt: str) -> str:
    """The figure of some axes as an `<svg>` element to be put into a page; the same every time."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    axes.figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314 the text is matplotlib's own
    _drop(root, {"metadata", "style"})
    names = _referenced_names(root)
    for element in root.iter():
        _belong(element, key, names)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": alt}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _drop(element: ElementTree.Element, names: set[str]) -> None:
    for child in list(element):
        if _local(child.tag) in names:
            element.remove(child)
        else:
            _drop(child, names)


def _referenced_names(root: ElementTree.Element) -> set[str]:
    values = (value for element in root.iter() for value in element.attrib.values())
    return {name for value in values for name in re.findall(r"(?:url\(|^)#([\w.-]+)\)?", value)}


def _belong(element: ElementTree.Element, key: str, names: set[str]) -> None:
    """Give an element the page's colours and font, and a name that no other figure has."""
    element.tag = _local(element.tag)
    attributes = {_local(name): value for name, value in element.attrib.items()}
    if attributes.get("id") not in names:
        attributes.pop("id", None)
    else:
        attributes["id"] = f"{key}-{attributes['id']}"
    if attributes.get("href", "").startswith("#"):
        attributes["href"] = f"#{key}-{attributes['href'][1:]}"
    style = [attributes.pop("style")] if "style" in attributes else []
    # A CSS variable works in a style only, not in an attribute of its own.
    style += [f"{name}: {attributes.pop(name)}" for name in ("fill", "stroke") if name in attributes]
    if "clip-path" in attributes:
        attributes["clip-path"] = attributes["clip-path"].replace("url(#", f"url(#{key}-")
    element.attrib.clear()
    element.attrib.update(attributes)
    if style:
        element.attrib["style"] = _page_style("; ".join(style), key)


def _page_style(style: str, key: str) -> str:
    kept = [part.strip() for part in style.split(";") if not part.strip().startswith("font-family")]
    joined = "; ".join(part for part in kept if part).replace("url(#", f"url(#{key}-")
    return re.sub(r"#[0-9a-f]{6}\b", lambda match: _colour(match[0]), joined)


def _colour(code: str) -> str:
    name = _VARIABLES.get(code)
    return f"var(--{name})" if name else code
