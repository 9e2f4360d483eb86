"""`claims.html` in a real browser: it keeps to itself, can be used by everyone, and filters what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.report.claims.write import write_claims
from tests.browser.pages import violations
from tests.report.claims.samples import HOSTILE, make_lab


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a lab with every verdict."""
    folder = tmp_path_factory.mktemp("claims")
    write_claims(make_lab(), folder)
    return folder / "claims.html"


def _open(browser: Browser, file: Path, fragment: str = "", **options: object) -> tuple[Page, list[str]]:
    """The page, and whatever it asks for or complains of."""
    page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else seen.append(request.url))
    page.goto(f"{file.as_uri()}{fragment}")
    return page, seen


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """The page, open; whatever a test does on it, there is nothing to complain of."""
    found, seen = _open(browser, file)
    yield found
    assert seen == []
    found.context.close()


def _shown(page: Page) -> list[str]:
    return [row.get_attribute("data-claim") or "" for row in page.locator("tr[data-claim]:visible").all()]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_page(
    browser: Browser, file: Path, scheme: str, width: int
) -> None:
    page, seen = _open(browser, file, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.get_by_role("button", name="Open all").click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen == []
    page.context.close()


def test_filters_show_what_fits_in_the_table_and_below(page: Page) -> None:
    assert _shown(page) == ["C01", "C04", "C08", "C14", "C20"]
    page.locator("select[name=verdict]").select_option("refuted")
    assert _shown(page) == ["C14"]
    expect(page.locator("section.claim:visible")).to_have_count(1)
    expect(page.get_by_role("status")).to_have_text("1 of 5 claims")
    page.locator("select[name=verdict]").select_option("")
    page.locator("select[name=kind]").select_option("confirmatory")
    assert _shown(page) == ["C04"]
    page.locator("select[name=kind]").select_option("S")
    assert _shown(page) == ["C01"]
    page.locator("select[name=kind]").select_option("")
    page.get_by_label("Search").fill("statement of c08")
    assert _shown(page) == ["C08"]


def test_a_claim_is_reached_by_keyboard_and_by_address(browser: Browser, file: Path, page: Page) -> None:
    page.get_by_role("link", name="C04").focus()
    page.keyboard.press("Enter")
    assert page.url.endswith("#C04")
    linked, seen = _open(browser, file, "#C14", viewport={"width": 1280, "height": 500})
    expect(linked.locator("#C14")).to_be_in_viewport()
    assert seen == []
    linked.context.close()


def test_hostile_names_are_text(page: Page) -> None:
    expect(page.locator("tr[data-claim=C20] td").first).to_have_text(HOSTILE)
    assert page.locator("script").count() == 1


def test_figures_have_their_numbers_as_text(page: Page) -> None:
    assert "+3.0 points" in (page.locator("#C04 img").get_attribute("alt") or "")


def test_without_scripts_everything_is_there_and_no_dead_control(browser: Browser, file: Path) -> None:
    page, seen = _open(browser, file, java_script_enabled=False)
    assert _shown(page) == ["C01", "C04", "C08", "C14", "C20"]
    expect(page.locator("section.claim:visible")).to_have_count(5)
    expect(page.locator("form:visible")).to_have_count(0)
    expect(page.locator("button:visible")).to_have_count(0)
    assert seen == []
    page.context.close()


def test_the_theme_can_be_chosen(page: Page) -> None:
    button = page.locator("button.theme")
    button.click()
    expect(button).to_have_text("Theme: light")
    button.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
