"""Pages of `priot report` in Chromium: whole, readable, and asking for nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
from priot import cli
from priot.formats.container import write_file
from priot.paths import tool
from report_support import NEW, SHIPPED, make_run
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

WIDTHS = (400, 1400)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One Chromium for all pages."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(tool("chromium", "setup-all"))
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(str(tool("chromedriver", "setup-all"))))
    yield driver
    driver.quit()


def many_classes(folder: Path) -> Path:
    """A report of 40 classes with long names, of a method that prunes nothing."""
    n = 40
    report = json.loads((folder / "run.json").read_text())
    counts = np.full((n, n), 0)
    counts[np.arange(n), np.arange(n)[::-1]] = 11
    counts[0, n - 1] += 449 - counts.sum()
    report |= {"names": [f"class number {i}" for i in range(n)], "confusion": counts.tolist(),
               "confusion_before": counts.T.tolist(), "predictions": None, "method": "gain",
               "warnings": ["a long warning " * 10], "command": "priot " + "x" * 300}
    for layer in report["layers"]:
        layer["kept"] = None
    (folder / "many.json").write_text(json.dumps(report))
    return folder / "many.json"


def large_counts(folder: Path) -> Path:
    """A report of ten classes with as many digits as a table shows."""
    report = json.loads((folder / "run.json").read_text())
    rows = np.full((10, 10), 2345).tolist()
    report |= {"confusion": rows, "confusion_before": rows, "predictions": None,
               "test_images": 234500}
    (folder / "large.json").write_text(json.dumps(report))
    return folder / "large.json"


def untested(folder: Path) -> Path:
    report = json.loads((folder / "run.json").read_text())
    report |= dict.fromkeys((*NEW[1:], "confusion", "accuracy_before", "accuracy_after"))
    report |= {"test_images": 0, "history": report["history"][:1]}
    (folder / "untested.json").write_text(json.dumps(report))
    return folder / "untested.json"


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = make_run(tmp_path_factory.mktemp("pages"))
    found = {}
    for name, source in (("run", folder / "run.json"), ("many", many_classes(folder)),
                         ("large", large_counts(folder)),
                         ("untested", untested(folder)), ("digits", SHIPPED / "digits.jsonl"),
                         ("mnist", SHIPPED / "mnist.jsonl")):
        found[name] = folder / f"{name}.html"
        assert cli.main(["report", str(source), "-o", str(found[name])]) == 0
    return found


# elements that reach out of the window, and text that reaches out of its plot or its cell
CUT_OFF = """
const width = document.documentElement.clientWidth, found = [];
for (const e of document.querySelectorAll('main *:not(svg *)')) {
  const r = e.getBoundingClientRect(), hidden = getComputedStyle(e).clipPath !== 'none' ||
    e.closest('thead') && getComputedStyle(e.closest('thead')).clipPath !== 'none';
  if (!hidden && r.width && (r.left < -0.5 || r.right > width + 0.5)) found.push(e.outerHTML);
  if (!hidden && e.children.length === 0 && e.scrollWidth > e.clientWidth + 1 && e.clientWidth)
    found.push(e.outerHTML);
}
for (const e of document.querySelectorAll('svg text')) {
  const r = e.getBoundingClientRect(), plot = e.ownerSVGElement.getBoundingClientRect();
  if (r.left < plot.left - 1 || r.right > plot.right + 1 || r.top < plot.top - 1 ||
      r.bottom > plot.bottom + 1) found.push(e.outerHTML);
}
return found.map(text => text.slice(0, 200));
"""
# contrast of every text with what lies behind it, below 4.5 to 1
PALE = """
const channel = c => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
const light = d => 0.2126 * channel(d[0]) + 0.7152 * channel(d[1]) + 0.0722 * channel(d[2]);
const ground = e => { for (; e; e = e.parentElement) {
  const d = rgb(getComputedStyle(e).backgroundColor); if (d[3] === 255) return d; } };
const found = [];
for (const e of document.querySelectorAll('main *')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || e.matches('.zero, svg, svg g')) continue;
  const style = getComputedStyle(e);
  const colour = rgb(e.matches('svg text') ? style.fill : style.color);
  const [low, high] = [light(colour), light(ground(e))].sort((a, b) => a - b);
  if ((high + 0.05) / (low + 0.05) < 4.5) found.push(e.outerHTML.slice(0, 200));
}
return found;
"""
UNNAMED = """
return [...document.querySelectorAll('img:not([alt]), svg:not([role=img][aria-label]), ' +
  'th:not([scope]), html:not([lang])')].map(e => e.outerHTML.slice(0, 200));
"""


def show(browser, path: Path, width: int, colours: str = "light") -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": colours}]})
    browser.get(path.as_uri())


@pytest.mark.parametrize("name", ["run", "many", "large", "untested", "digits", "mnist"])
def test_in_a_browser(name, browser, pages):
    """Whole at both widths, readable by day and night, nothing fetched, nothing to complain of."""
    for width in WIDTHS:
        show(browser, pages[name], width)
        assert browser.execute_script("return document.documentElement.scrollWidth <= "
                                      "document.documentElement.clientWidth"), width
        assert browser.execute_script(CUT_OFF) == [], width
    grounds = set()
    for colours in ("light", "dark"):
        show(browser, pages[name], 1400, colours)
        assert browser.execute_script(PALE) == [], colours
        grounds.add(browser.execute_script(
            "return getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    assert browser.execute_script(UNNAMED) == []
    assert browser.execute_script("return performance.getEntriesByType('resource').filter("
                                  "e => !e.name.startsWith('data:')).length") == 0
    assert browser.get_log("browser") == []


def test_the_browser_sees_what_is_wrong(browser, tmp_path):
    """The checks of test_in_a_browser find each of their faults."""
    write_file(tmp_path / "bad.html", b"""<!doctype html><html><body style="background: #fff">
        <main><p style="width: 2000px">far</p><p style="color: #ccc">pale</p><img src="x.png">
        <p style="width: 20px; overflow: hidden; white-space: nowrap">cut off</p>
        <svg viewBox="0 0 10 10" width="10"><text x="5">out of it</text></svg>
        <table><th>head</table></main></body></html>""")
    show(browser, tmp_path / "bad.html", 400)
    assert not browser.execute_script("return document.documentElement.scrollWidth <= "
                                      "document.documentElement.clientWidth")
    found = "".join(browser.execute_script(CUT_OFF))
    assert "far" in found and "cut off" in found and "out of it" in found
    assert "pale" in "".join(browser.execute_script(PALE))
    found = "".join(browser.execute_script(UNNAMED))
    assert "<img" in found and "<svg" in found and "<th" in found
    assert "x.png" in str(browser.get_log("browser"))
