"""Pages made of made-up studies, and what a browser says while it shows them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page

from bench import build_board, load_records
from bench.analysis.answers import read_answers
from bench.analysis.board import Board
from bench.report.html.page import PAGE, Material, write_html
from bench.store import Store


@dataclass
class Seen:
    """A page in a browser with everything that went wrong on it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Console messages, errors, dialogs and requests to anywhere else."""

    def wait_for_charts(self) -> None:
        """Until the last part of the page is drawn."""
        self.page.wait_for_selector("section.board:not([hidden]) [data-chart=confusion] :is(svg, canvas)")

    def names(self) -> list[str]:
        """Models in the table, top down."""
        found: list[str] = self.page.eval_on_selector_all(
            "section.board:not([hidden]) table.models tbody th.model",
            "nodes => nodes.map(n => n.innerText.split('★')[0].trim())",
        )
        return found

    @property
    def address(self) -> str:
        """What stands behind `#`."""
        return self.page.url.partition("#")[2]


def written(root: Path) -> list[Board]:
    """Write the page of the study below `root`, with made-up thumbnails of its first 100 test images."""
    boards = build_board(load_records(root))
    images = {k: _png(k) for k in range(100)}
    write_html(boards, root, [Material(read_answers(board, Store(root)), images) for board in boards])
    return boards


def opened(browser: Browser, root: Path, address: str = "", *, width: int = 1280, **context: Any) -> Seen:
    """The page below `root` in a fresh browser context; `address` is what stands behind `#`."""
    page = browser.new_context(viewport={"width": width, "height": 900}, **context).new_page()
    seen = Seen(page)
    page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (seen.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    url = (root / PAGE).as_uri()
    page.on("request", lambda request: _judge(request.url, url, seen.complaints))
    page.goto(f"{url}#{address}" if address else url)
    return seen


def _judge(asked: str, url: str, complaints: list[str]) -> None:
    if not asked.startswith((url, "data:", "blob:")):
        complaints.append(f"request: {asked}")


def _png(k: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(k).integers(0, 256, (8, 8), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def violations(page: Page) -> Sequence[str]:
    """What axe finds that is serious or worse, each with the element."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in found if rule["impact"] in ("serious", "critical")
    ]
