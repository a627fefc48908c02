"""Where a store is: a folder, or a URL that fsspec knows."""

from __future__ import annotations

from pathlib import Path

from regraft.lineage.files import Files, LocalFiles


def opened(location: str | Path) -> Files:
    """The file system that a path or URL means."""
    text = str(location)
    if "://" in text and not text.startswith("file://"):
        from regraft.lineage.remote import RemoteFiles

        return RemoteFiles(text)
    return LocalFiles(Path(text.removeprefix("file://")).expanduser().absolute())
