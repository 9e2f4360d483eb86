"""Scripts and styles of the page: those that installed packages carry, ours, and the policy that allows only them."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

OUR_SCRIPTS = ("tools", "state", "table", "details", "plots", "compare", "confusions", "page")
"""Our own scripts below `templates/`, in the order in which they are joined."""
_EXPORTS = re.compile(r"\bexport\s*\{([^{}]*)\}\s*;?")
_SNIPPET = "globalThis.backboneCharts = { embed: vegaEmbed };"
_CLOSING = re.compile(r"</(?=script)", re.IGNORECASE)


@cache
def data_tables_script() -> str:
    """DataTables as itables carries it, with its default export as `globalThis.backboneTable.DataTable`.

    Raises ValueError where the bundle has no single export list, which is how itables' own pages import it.
    """
    bundle = (_folder_of("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8")
    lists = _EXPORTS.findall(bundle)
    exported = dict(reversed(item.split(" as ")) for item in lists[0].split(",")) if len(lists) == 1 else {}
    if "default" not in exported:
        raise ValueError("the DataTables bundle of itables does not export DataTables as its default")
    kept = f"globalThis.backboneTable = {{ DataTable: {exported['default']} }};"
    return inert(_EXPORTS.sub(lambda _: kept, bundle))


@cache
def vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed as vl-convert carries them.

    Of the version that Altair writes for, or the newest there is where Altair is ahead.
    """
    import altair
    import vl_convert

    known = vl_convert.get_vegalite_versions()
    wanted = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return inert(vl_convert.javascript_bundle(_SNIPPET, vl_version=wanted if wanted in known else known[-1]))


@cache
def our_script() -> str:
    """Our own scripts as one module."""
    folder = files("bench.report.html") / "templates"
    return inert("\n".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in OUR_SCRIPTS))


@cache
def our_style() -> str:
    """Our own style sheet."""
    return (files("bench.report.html") / "templates" / "page.css").read_text(encoding="utf-8")


def _folder_of(package: str) -> Path:
    """Where a package is, without importing it: itables itself needs half a second for what is not needed here."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"the page needs the package {package}: pip install {package}", name=package)
    return Path(found.submodule_search_locations[0])


def inert(script: str) -> str:
    """A script that may stand in a page: nothing in it ends the element. Only strings can hold `</script`."""
    return _CLOSING.sub(r"<\\/", script.replace("\r\n", "\n"))


def templates_of(package: str) -> Environment:
    """The templates of a package's folder `templates`; whatever is put into them is escaped, and must be there."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader(package, "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def content_policy(scripts: tuple[str, ...], styles: tuple[str, ...]) -> str:
    """Content security policy that allows these inline scripts and styles and nothing else (CSP level 3).

    Nothing is loaded from anywhere; pictures are `data:` URLs. Styles that scripts set on single elements are allowed.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_digest, scripts))}",
            f"style-src-elem {' '.join(map(_digest, styles))}",
            "style-src-attr 'unsafe-inline'",
            "img-src data:",
            "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
