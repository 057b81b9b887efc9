"""Matplotlib figures as SVG inside the page: its own fonts and colours, no style attributes, nothing that a strict policy would refuse.

Colours are those of the page's light theme. In the page each becomes a class (``f-ink``, ``s-hue0``), whose colour the style sheet
gives, so that a figure follows the reader's dark theme. In a file of its own the figure keeps its colours.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from medllm.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Mapping[str, str] = {
    "ink": "#1b2127",
    "soft": "#57616b",
    "line": "#e2e6ea",
    "line2": "#cfd5da",
    "paper": "#ffffff",
    "accent": "#0b5d78",
    "alert": "#94480a",
    "hue0": "#bf3b30",
    "hue1": "#1c66b0",
    "hue2": "#0d7a64",
    "hue3": "#7446b4",
    "hue4": "#8f6200",
    "hue5": "#b02a78",
    "hue6": "#4a7410",
    "hue7": "#0c7086",
    "hue8": "#8a533e",
    "hue9": "#4d5bc4",
    "hue10": "#98214f",
    "hue11": "#52606d",
}
"""The names of the page's colours, as its style sheet has them in the light theme."""

HUES = 12
FONT = 12
"""Size of the figures' text in pixels of the page; one inch is ``DOTS`` of them."""
DOTS = 72

_NAMES = {value: name for name, value in COLOURS.items()}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "medllm",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": FONT,
    "axes.edgecolor": COLOURS["line2"],
    "axes.labelcolor": COLOURS["soft"],
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": FONT,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["line2"],
    "ytick.color": COLOURS["line2"],
    "xtick.labelcolor": COLOURS["soft"],
    "ytick.labelcolor": COLOURS["ink"],
    "xtick.labelsize": FONT - 1,
    "xtick.major.pad": 8,
    "ytick.major.pad": 6,
    "ytick.labelsize": FONT,
    "grid.color": COLOURS["line"],
    "legend.frameon": False,
    "legend.fontsize": FONT - 1,
    "figure.dpi": DOTS,
    "savefig.transparent": True,
}
_FONT = re.compile(r"(?:(?P<weight>bold|[1-9]00)\s+)?(?P<size>[\d.]+)px")
"""The shorthand of older versions; newer ones write size and weight apart."""
_GENERATED = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"


@contextmanager
def drawing() -> Iterator[None]:
    """The settings under which figures are made and written. Raises UsageError where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise UsageError("a report with figures needs matplotlib", hint="pip install 'medllm[eval]'") from None
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the reader's browser brings the font
        yield


def colour(name: str) -> str:
    """The colour of a name, for matplotlib."""
    return COLOURS[name]


def hue(index: int) -> str:
    """The colour of the label with this index; they start again after ``HUES``."""
    return COLOURS[f"hue{index % HUES}"]


def standalone(figure: "Figure") -> str:
    """The figure as an SVG file. To be called inside ``drawing``."""
    out = StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": "medllm"})
    return out.getvalue()


def inline(figure: "Figure", name: str, title: str) -> str:
    """The figure as an ``<svg>`` element for a page. ``name`` keeps its ids apart from others'. To be called inside ``drawing``."""
    root = ElementTree.fromstring(standalone(figure))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_GENERATED}metadata" or child.tag == f"{_GENERATED}style":
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_GENERATED)
        _plain(element, name)
    width, height = (root.get("viewBox") or "0 0 0 0").split()[2:]
    root.attrib = {"viewBox": root.get("viewBox", ""), "width": width, "height": height, "role": "img", "aria-label": title, "class": "fig"}
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    return ElementTree.tostring(root, encoding="unicode")


def _plain(element: ElementTree.Element, name: str) -> None:
    """Styles as presentation attributes and classes, and ids that are the figure's own."""
    style = element.attrib.pop("style", "")
    classes = []
    for declaration in filter(None, (d.strip() for d in style.split(";"))):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key in ("font", "font-size") and (found := _FONT.search(value)):
            element.set("font-size", found["size"])
            if found["weight"]:
                element.set("font-weight", found["weight"])
        elif key == "font-weight":
            element.set(key, value)
        elif key in ("fill", "stroke") and value.lower() in _NAMES:
            classes.append(f"{key[0]}-{_NAMES[value.lower()]}")
        elif not key.startswith(("font", "mix-blend")):
            element.set(key, value)
    if classes:
        element.set("class", " ".join(classes))
    if identifier := element.attrib.pop("id", None):
        element.set("id", f"{name}-{identifier}")
    if reference := element.attrib.pop(_LINK, None):
        element.set("href", f"#{name}-{reference.removeprefix('#')}")
    for key in ("clip-path", "fill", "stroke"):
        if (value := element.get(key, "")).startswith("url(#"):
            element.set(key, f"url(#{name}-{value[5:]}")


def colour_rules() -> str:
    """The style rules for the classes that ``inline`` gives."""
    return "\n".join(f".f-{escape(name)}{{fill:var(--{name})}}.s-{escape(name)}{{stroke:var(--{name})}}" for name in COLOURS) + "\n"
