from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from regraft import report
from report.sample import document, png


class Reader(HTMLParser):
    """Keeps what tags there are and which ones were not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page() -> str:
    return report.html(document())


def test_the_page_has_every_section_and_closes_every_tag(page):
    reader = read(page)
    text = " ".join(reader.text)
    for title in ("The plan", "Why this plan", "Data", "Along the way", "Training", "Metrics", "Class by class", "What is taken for what", "How sure, how right",
                  "Worst errors", "Cost", "Where it comes from", "How to make it again"):  # fmt: skip
        assert title in text
    assert "regraft tune tickets.csv --model bundled:minilm --seed 0 --name tickets" in text
    assert (
        "Right on 91.2% of 1,240 examples that it had never seen (between 89.6% and 92.8% with 95% confidence); weakest on “login”" in text
    )
    assert {"Loss", "Valid accuracy", "Learning rate"} <= set(reader.text)


def test_the_page_asks_nothing_of_the_network_and_runs_no_script(page):
    reader = read(page)
    assert "script" not in reader.tags and "link" not in reader.tags and "iframe" not in reader.tags
    assert all(value.startswith(("#", "data:image/")) for name, value in reader.attributes if name in ("src", "href"))
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert "http" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.S)
    assert "url(" not in page and "@import" not in page


HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\" ' & \x00 \ud800"


def poisoned(value):
    """The document with every text in it hostile, keys too where they are free."""
    if isinstance(value, dict):
        return {key: poisoned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [poisoned(part) for part in value]
    return HOSTILE if isinstance(value, str) and not value.startswith("data:") else value


def test_labels_and_texts_that_hold_html_stay_texts():
    hostile = poisoned(document())
    hostile["data"]["splits"] = {HOSTILE: 3}
    hostile["metrics"][HOSTILE] = {HOSTILE: {"value": 0.5, "low": HOSTILE, "high": None, "n": "x"}}
    hostile["environment"] = {HOSTILE: HOSTILE}
    reader = read(report.html(hostile))
    assert "script" not in reader.tags and "img" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    report.html(hostile).encode("utf-8")
    report.card(hostile).encode("utf-8")


@pytest.mark.parametrize("key", sorted(document()))
def test_every_key_may_be_missing_or_null_or_something_else(key):
    whole = document()
    read(report.html({k: v for k, v in whole.items() if k != key}))
    for odd in (None, [], {}, "text", 3, [None, 3], {"a": None}, float("nan")):
        read(report.html({**whole, key: odd}))
        assert report.card({**whole, key: odd}).startswith("---")


def test_an_empty_document_is_still_a_page():
    reader = read(report.html({}))
    assert "Nothing has been measured yet." in reader.text
    assert report.card({}).startswith("---\nlibrary_name: regraft")


def test_images_are_embedded_while_they_fit_under_a_megabyte_and_the_rest_is_counted():
    small = report.html(document(pictures=True))
    assert read(small).tags.count("img") == 12 and "were left out to keep" not in small
    big = document(pictures=True)
    filler = "data:image/png;base64," + "A" * 150_000
    big["errors"] = [{**row, "image": filler} for row in big["errors"]]
    page = report.html(big)
    assert 700_000 < len(page.encode()) < 1_000_000
    shown = read(page).tags.count("img")
    assert 0 < shown < 12
    assert f"{12 - shown} images or sounds were left out to keep this page under 1 MB." in page


def test_a_huge_document_stays_under_a_megabyte():
    huge = document(pictures=True, k=700)
    huge["per_class"] = [{**row, "class": row["class"] + "x" * 300} for row in huge["per_class"]]
    huge["history"] = huge["history"] * 100
    huge["errors"] = [{"input": "长" * 5000, "label": "a" * 500, "predicted": "b" * 500, "probability": 0.9}] * 500
    huge["warnings"] = ["w" * 5000] * 500
    huge["data"]["rejected"] = [{"where": "w" * 500, "reason": "r" * 5000}] * 5000
    huge["data"]["problems"] = huge["data"]["problems"] * 1000
    huge["plan"]["phases"] = huge["plan"]["phases"] * 4
    page = report.html(huge)
    assert len(page.encode()) < 1_000_000
    read(page)


def test_only_pictures_are_embedded():
    errors = [{"input": "a", "label": "b", "predicted": "c", "image": uri} for uri in
              ("data:image/svg+xml;base64,AAAA", "https://example.org/a.png", "javascript:alert(1)", "data:text/html;base64,AAAA")]  # fmt: skip
    page = report.html({"errors": errors})
    assert "img" not in read(page).tags and page.count("not shown") == 4
    assert read(report.html({"errors": [{"input": "a", "image": png(1, 2, 3)}]})).tags.count("img") == 1


def test_the_page_is_the_same_for_the_same_document(page):
    assert report.html(document()) == page


def test_the_style_knows_the_dark_and_the_printer(page):
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def test_forecast_and_actual_stand_side_by_side(page):
    row = re.search(r"<tr><th scope=\"row\">time</th>(.*?)</tr>", page)
    assert row and re.findall(r"<td[^>]*>(.*?)</td>", row[1]) == ["2 min 08 s", "2 min 21 s", "× 1.1"]


def test_what_the_parts_need_is_what_evaluate_gives():
    document_ = {"metrics": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10}}, "per_class": [{"class": "a", "f1": None, "support": 3}],
                 "confusion": {"classes": ["a", "b"], "matrix": [[3, 2], [0, 5]]},
                 "calibration": [{"low": 0.0, "high": 0.5, "count": 0, "confidence": None, "accuracy": None},
                                 {"low": 0.5, "high": 1.0, "count": 10, "confidence": 0.8, "accuracy": 0.5}]}  # fmt: skip
    text = " ".join(read(report.html(document_)).text)
    assert "Right on 50.0% of 10 examples" in text and "30.0 points too sure" in text and "a called b: 2 (40.0%)" in text
