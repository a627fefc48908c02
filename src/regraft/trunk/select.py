"""The selection grammar: which stages, which modules inside them. An empty match is always an error. Free of torch.

Stages, over the names of an outline (``stem blocks.0 ... blocks.5 neck head``):

    all                    every stage of the trunk (the head only where it is named)
    stem                   one stage by name; ``blocks`` means every ``blocks.*``
    blocks.2, 3            by name or by index; -1 is the last stage of the trunk
    blocks.2:blocks.4, 2:  a range by names or indices, the end left out as in Python
    stem,blocks.0          a list
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatch

from regraft.errors import TrunkError, suggest

ROLES = {
    "attention": r"(^|\.)(attention|attn|self_attn|self_attention)(\.|$)",
    "query": r"(^|\.)(query|q_proj|q_lin|q|qkv|c_attn|in_proj|query_proj)$",
    "key": r"(^|\.)(key|k_proj|k_lin|k|qkv|c_attn|in_proj|key_proj)$",
    "value": r"(^|\.)(value|v_proj|v_lin|v|qkv|c_attn|in_proj|value_proj)$",
    "mlp": r"(^|\.)(mlp|intermediate|ffn|feed_forward|fc1|fc2|lin1|lin2|c_fc|up_proj|down_proj|gate_proj)(\.|$)|^(?!.*attention).*output\.dense$",
    "linear": r".*",
}  # fmt: skip


def select_stages(names: Sequence[str], selection: str | int | Sequence[str]) -> tuple[int, ...]:
    """Indices into ``names`` that ``selection`` means, ascending. ``names`` may end with ``head``."""
    terms = [str(selection)] if isinstance(selection, (str, int)) else [str(term) for term in selection]
    chosen: set[int] = set()
    for term in (part.strip() for text in terms for part in text.split(",")):
        chosen.update(_term(names, term))
    if not chosen:
        raise TrunkError(f"stages {selection!r}", f"nothing matches; the stages are {', '.join(names)}", "name one of these stages")
    return tuple(sorted(chosen))


def select_modules(paths: Sequence[str], where: str | Sequence[str]) -> tuple[str, ...]:
    """Those module ``paths`` that ``where`` means: roles (``attention query key value mlp linear``), last names, or globs."""
    terms = [part.strip() for text in ([where] if isinstance(where, str) else where) for part in text.split(",")]
    chosen: set[str] = set()
    for term in terms:
        found = {path for path in paths if _is_at(path, term)}
        if not found:
            ends = {path.rsplit(".", 1)[-1] for path in paths}
            raise TrunkError(f"modules {term!r}", f"nothing matches among {len(paths)} linear layers", suggest(term, ends | set(ROLES)))
        chosen |= found
    return tuple(path for path in paths if path in chosen)


def _is_at(path: str, term: str) -> bool:
    if term in ROLES:
        return re.search(ROLES[term], path) is not None
    return path == term or path.endswith("." + term) or fnmatch(path, term)


def _trunk_length(names: Sequence[str]) -> int:
    return len(names) - (1 if names and names[-1] == "head" else 0)


def _term(names: Sequence[str], term: str) -> range | list[int]:
    if term == "all":
        return range(_trunk_length(names))
    if ":" in term:
        low, _, high = term.partition(":")
        start = _point(names, low) if low else 0
        stop = _point(names, high) if high else _trunk_length(names)
        return range(start, stop)
    group = [index for index, name in enumerate(names) if name.startswith(term + ".")]
    return group if group and term not in names else [_point(names, term)]


def _point(names: Sequence[str], term: str) -> int:
    if term in names:
        return list(names).index(term)
    if re.fullmatch(r"-?\d+", term):
        length, index = _trunk_length(names), int(term)
        if -length <= index <= length:
            return index % length if index < 0 else index
        raise TrunkError(f"stage {index}", f"the trunk has {length} stages, 0 to {length - 1}", f"one of: {', '.join(names)}")
    raise TrunkError(f"stage {term!r}", f"the stages are {', '.join(names)}", suggest(term, names))
