"""The name of cached entries: a digest of everything that their values depend on. When anything changes, so does the name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from regraft.digest import of_bytes, of_digests, of_json
from regraft.trunk.network import Network
from regraft.trunk.pyramid import levels
from regraft.trunk.tensors import stage_digest

SCHEMA = 1


class Fingerprinted(Protocol):
    """``data.encode.Encoded``, as far as a key reads it: the digest of the encoded rows and of how they were encoded."""

    @property
    def fingerprint(self) -> str: ...


def key(
    network: Network,
    index: int,
    encoded: Fingerprinted,
    *,
    preprocessing: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    view: tuple[int, int] = (0, 0),
    compute: str = "float32",
    pooled: bool = False,
) -> str:
    """The key of what enters stage ``index`` for every row of ``encoded``.

    ``preprocessing``: what happens between the encoded rows and the model (JSON). ``dtype``: as stored. ``view``: (number of the augmented
    view, seed). ``compute``: the type in which the prefix ran (autocast). Versions of the libraries count too, since they may change a bit.
    """
    facts = {
        "schema": SCHEMA,
        "prefix": prefix_digest(network, index),
        "input": network.trunk.input.json(),
        "data": encoded.fingerprint,
        "preprocessing": dict(preprocessing or {}),
        "index": index,
        "dtype": dtype or "live",
        "view": list(view),
        "compute": compute,
        "pooled": [pooled, network.trunk.pooling] if pooled else False,
        "torch": torch.__version__,
    }
    if network.reads_maps:
        facts["maps"] = [level.path for level in levels(network.trunk)]
    return of_json(facts)


_STEADY: dict[int, dict[int, list[str]]] = {}
"""id of a network that does not change for now -> index of a stage -> its digests so far."""


@contextmanager
def steady(network: Network) -> Iterator[None]:
    """While this lasts nobody changes the trunk of ``network``: what depends on its bytes is computed once."""
    outer = _STEADY.get(id(network))
    _STEADY[id(network)] = {} if outer is None else outer
    try:
        yield
    finally:
        if outer is None:
            _STEADY.pop(id(network))


def prefix_digest(network: Network, index: int) -> str:
    """Of the stages below ``index``: every parameter and buffer, and the architecture around them (the host's source, configuration and
    modules: two models with the same weights may still compute different things)."""
    host = network.trunk.host
    config = getattr(host, "config", None)
    digests = [of_json({"source": network.trunk.source, "host": f"{type(host).__module__}.{type(host).__qualname__}"})]
    if config is not None and hasattr(config, "to_json_string"):  # transformers
        digests.append(of_bytes(config.to_json_string().encode()))
    known = _STEADY.get(id(network), {})
    for at in range(index):
        if at not in known:
            known[at] = [of_bytes("\n".join(repr(module) for module in network.stage_modules(at)).encode()), stage_digest(network, at)]
        digests += known[at]
    return of_digests(digests)
