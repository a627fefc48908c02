"""Which characters a file's bytes stand for: a byte order mark is obeyed, UTF-8 is expected, anything else is named and refused.

A wrong guess here would train a model on gibberish without a sign, so bytes that are not UTF-8 are never decoded on a hunch; the
error names the likely encoding and the command that converts the file.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from regraft.errors import DataError

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
GUESS_BYTES = 1 << 20
EAST_ASIAN = {  # first and second bytes of the characters in daily use
    "euc_kr": (range(0xB0, 0xC9), range(0xA1, 0xFF)),  # before GB 18030, whose daily range holds it
    "gb18030": (range(0xB0, 0xD8), range(0xA1, 0xFF)),
    "big5": (range(0xA4, 0xC7), range(0x40, 0xFF)),
    "shift_jis": (range(0x82, 0x98), range(0x40, 0xFD)),
}
CYRILLIC_SHARE = 0.6  # of letters beyond ASCII; Western languages stay far below


def of_file(path: Path) -> str:
    """``utf-8``, or the encoding that the file's byte order mark names."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((name for mark, name in BYTE_ORDER_MARKS if start.startswith(mark)), "utf-8")


def guess(data: bytes) -> str:
    """The most likely encoding of bytes that are not UTF-8: an East Asian one if the text comes out as characters in daily use, ``cp1251``
    (Cyrillic Windows) if most letters are beyond ASCII, else ``cp1252`` (Western European Windows), else ``latin-1``."""
    if data.count(0) > len(data) // 5:
        return "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    scores = {name: _share_in_daily_use(data, name) for name in EAST_ASIAN}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] > 0.7:
        return best
    beyond_ascii = sum(byte >= 0xC0 for byte in data)
    if beyond_ascii > CYRILLIC_SHARE * (beyond_ascii + sum(chr(byte).isalpha() for byte in data if byte < 0x80)):
        return "cp1251"
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def refuse(path: Path, found: str) -> DataError:
    """The error for a file that is not UTF-8: says which encoding it looks like and how to convert it."""
    with path.open("rb") as file:
        data = file.read(GUESS_BYTES)
    name = guess(data)
    better = path.with_name(f"{path.stem}.utf8{path.suffix}").name
    return DataError(
        f"read {path} as UTF-8",
        f"{found}; it reads well as {name}",
        f"convert it: iconv -f {name.upper()} -t UTF-8 {path.name} > {better}",
    )


def is_mangled(text: str) -> bool:
    """Whether the text was decoded wrongly before it was stored: replacement characters, or UTF-8 that was read as cp1252."""
    if "\ufffd" in text:
        return True
    if not any("\u0080" <= character <= "\u2122" for character in text):
        return False
    try:
        return text.encode("cp1252").decode("utf-8") != text
    except UnicodeError:
        return False


def _share_in_daily_use(data: bytes, name: str) -> float:
    """Among the characters beyond ASCII that the bytes hold under this encoding, the share of letters in daily use; 0 where the bytes do not decode. East
    Asian text scores near 1; Western text does not, because its accented letters swallow the letter after them and come out as rare characters."""
    decoder = codecs.getincrementaldecoder(name)()
    try:
        text = decoder.decode(data)  # not final: the last character may be cut in two by the end of the sample
    except UnicodeDecodeError:
        return 0.0
    beyond_ascii = [character for character in text if character > "\x7f"]
    firsts, seconds = EAST_ASIAN[name]
    codes = (character.encode(name) for character in beyond_ascii if character.isalpha())
    daily = sum(len(code) == 2 and code[0] in firsts and code[1] in seconds for code in codes)
    return daily / max(len(beyond_ascii), 1)
