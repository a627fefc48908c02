"""Groups of near duplicates in linear time: a cheap signature proposes pairs, an exact comparison decides.

    texts    equal normalised keys; else MinHash bands over three-character shingles (Broder 1997) propose, Jaccard >= 0.9 decides
    images   equal files; else a 16-bit quarter of the 64-bit difference hash proposes, Hamming <= 3 and nearly equal grey thumbs decide

An example joins the group of the earliest example that it resembles, but only if it also resembles that group's first member
(more loosely): so similarity does not run through a whole class from neighbour to neighbour. Groups never merge and earlier examples never
change group, so rows added at the end leave the groups of all others as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from regraft.data import arrow, keys

SHINGLE = 3
BANDS, ROWS = 6, 5  # two texts with Jaccard 0.9 meet in a band with probability 0.995, with 0.5 in 0.17
NEAR_JACCARD, SIDE_JACCARD, LOOSE_JACCARD = 0.9, 0.8, 0.65
SAME_BITS, LOOSE_BITS = 3, 8
SAME_GREY, LOOSE_GREY = 3.0, 6.0  # grey levels of 255, on average
NEIGHBOURS = 4
CHUNK_TEXTS = 20_000
CACHED_TEXTS = 2_000  # what is worked out for so many stays in a processor's cache
CHUNK_PAIRS = 50_000
Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Groups:
    """``first``: (n,) index of the first member of each example's group. ``key``: (n,) uint64 content hash: equal for examples that are the same.
    ``near``: whether near duplicates were looked for, or only equal keys."""

    first: np.ndarray
    key: np.ndarray
    near: bool


def of_texts(texts: pa.ChunkedArray, *, limit: int, jaccard: float = NEAR_JACCARD) -> Groups:
    """Groups among texts that share at least ``jaccard`` of their shingles; above ``limit`` different keys only equal keys are grouped.

    To decide on sides use ``SIDE_JACCARD``: a margin below what counts as a near duplicate keeps pairs at the border together too.
    """
    pieces: Iterable[pa.Array] = _normalised(texts)
    held = list(pieces) if len(texts) <= limit else []
    key = np.concatenate([np.zeros(0, np.uint64), *map(keys.hashes, held or pieces)])
    unique, member = _in_order(key)
    if len(unique) > limit:
        return Groups(unique[member], key, near=False)
    rows = arrow.array(unique)
    shingles, starts = _shingles(pa.chunked_array(held, pa.string()).take(rows) if held else keys.normalised(texts.take(rows)))
    candidates = _of_like_size(_band_pairs(_signatures(shingles, starts)), np.diff(starts), jaccard)
    pairs = _verified(candidates, lambda a, b: _jaccard(shingles, starts, a, b) >= jaccard)

    def resembles(a: int, b: int) -> bool:
        return bool(_jaccard(shingles, starts, np.array([a]), np.array([b]))[0] >= LOOSE_JACCARD)

    return Groups(unique[_gather(len(unique), pairs, resembles)[member]], key, near=True)


def _normalised(texts: pa.ChunkedArray) -> Iterator[pa.Array]:
    """Piece by piece, as they are hashed: a text as Python's takes several times its letters."""
    for at in range(0, len(texts), CHUNK_TEXTS):
        yield from keys.normalised(texts.slice(at, CHUNK_TEXTS)).chunks


def of_images(key: np.ndarray, dhash: np.ndarray, thumbs: np.ndarray) -> Groups:
    """Groups among images: ``key`` (n,) uint64 of content, ``dhash`` (n,) uint64, ``thumbs`` (n, 16, 16) uint8."""
    unique, member = _in_order(key)
    bits, grey = dhash[unique], thumbs[unique].reshape(len(unique), -1).astype(np.float32)

    def close(a: np.ndarray, b: np.ndarray, num_bits: int, levels: float) -> np.ndarray:
        return (_hamming(bits[a], bits[b]) <= num_bits) & (np.abs(grey[a] - grey[b]).mean(axis=1) <= levels)

    def resembles(a: int, b: int) -> bool:
        return bool(close(np.array([a]), np.array([b]), LOOSE_BITS, LOOSE_GREY)[0])

    pairs = _verified(_hash_pairs(bits), lambda a, b: close(a, b, SAME_BITS, SAME_GREY))
    return Groups(unique[_gather(len(unique), pairs, resembles)[member]], key, near=True)


def of_equal(key: np.ndarray) -> Groups:
    """Groups of equal keys only."""
    unique, member = _in_order(key)
    return Groups(unique[member], key, near=False)


def _in_order(key: np.ndarray) -> Pairs:
    """Rows where each key is first seen, in order, and for every row the position of its key in that list."""
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    return first[order], position[inverse]


def _gather(count: int, pairs: Pairs, resembles: Callable[[int, int], bool]) -> np.ndarray:
    """For each of ``count`` examples the first of its group; ``pairs``: (earlier, later) that are near duplicates."""
    first = np.arange(count)
    order = np.lexsort(pairs)  # by the later one, then by the earlier
    for earlier, later in zip(pairs[0][order].tolist(), pairs[1][order].tolist(), strict=True):
        if first[later] == later:
            group = int(first[earlier])
            if group == earlier or resembles(group, later):
                first[later] = group
    return first


def _verified(pairs: Pairs, same: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Pairs:
    kept = [np.zeros(0, bool)]
    kept += [same(pairs[0][at : at + CHUNK_PAIRS], pairs[1][at : at + CHUNK_PAIRS]) for at in range(0, len(pairs[0]), CHUNK_PAIRS)]
    keep = np.concatenate(kept)
    return pairs[0][keep], pairs[1][keep]


def _shingles(texts: pa.ChunkedArray) -> Pairs:
    """The sets of shingles of all texts, one after the other, sorted within each: (total,) uint32 hashes, and (n + 1,) where each set starts."""
    sets, counts = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
    for at in range(0, len(texts), CACHED_TEXTS):
        chunk = [f" {text} " for text in texts.slice(at, CACHED_TEXTS).to_pylist()]
        lengths = np.fromiter(map(len, chunk), np.int64, len(chunk))
        codes = np.frombuffer("".join(chunk).encode("utf-32-le"), "<u4").astype(np.uint32)
        windows = np.maximum(lengths - SHINGLE + 1, 0)
        owner = np.repeat(np.arange(len(chunk)), windows)
        at_code = np.arange(windows.sum()) + np.repeat(np.cumsum(lengths) - lengths - (np.cumsum(windows) - windows), windows)
        hashed = _mix((codes[at_code] * np.uint32(0x01000193) + codes[at_code + 1]) * np.uint32(0x01000193) + codes[at_code + 2])
        distinct = _sorted_set(owner.astype(np.uint64) << np.uint64(32) | hashed)
        sets.append(distinct.astype(np.uint32))
        counts.append(np.bincount((distinct >> np.uint64(32)).astype(np.int64), minlength=len(chunk)))
    return np.concatenate(sets), np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)


def _mix(value: np.ndarray) -> np.ndarray:
    """Spread 32-bit values evenly (the finaliser of MurmurHash3), in place."""
    high = np.empty_like(value)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value ^= np.right_shift(value, np.uint32(shift), out=high)
        value *= np.uint32(factor)
    value ^= np.right_shift(value, np.uint32(16), out=high)
    return value


def _signatures(shingles: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(n, BANDS) uint64: each the hash of the ROWS smallest shingles under as many random orders."""
    bands = np.zeros((len(starts) - 1, BANDS), np.uint64)
    for at in range(0, len(bands), CACHED_TEXTS):
        some = starts[at : at + CACHED_TEXTS + 1]
        _sign(bands[at : at + CACHED_TEXTS], shingles[some[0] : some[-1]], some[:-1] - some[0])
    return bands


def _sign(bands: np.ndarray, shingles: np.ndarray, starts: np.ndarray) -> None:
    """Write the signatures of some texts into ``bands``."""
    orders = np.random.default_rng(20_230_517).integers(1, 2**32, BANDS * ROWS, dtype=np.uint32)
    for index, salt in enumerate(orders):
        smallest = np.minimum.reduceat(_mix(shingles ^ salt), starts)
        band = index // ROWS
        bands[:, band] = (bands[:, band] ^ smallest) * np.uint64(0x9E3779B97F4A7C15)
        bands[:, band] ^= bands[:, band] >> np.uint64(29)


def _band_pairs(bands: np.ndarray) -> Pairs:
    """(earlier, later) for examples that share a band: each with the one before it in that bucket and with the bucket's first, so that a bucket of any
    size costs two pairs per member."""
    earlier, later = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        joined = band[order][1:] == band[order][:-1]
        head = np.maximum.accumulate(np.where(np.concatenate([[True], ~joined]), np.arange(len(order)), 0))[1:][joined]
        at = np.flatnonzero(joined)
        earlier += [order[at], order[head]]
        later += [order[at + 1], order[at + 1]]
    return _distinct(np.concatenate(earlier), np.concatenate(later))


def _of_like_size(pairs: Pairs, sizes: np.ndarray, jaccard: float) -> Pairs:
    """Without the pairs whose sizes alone rule the Jaccard index out: it is at most the smaller size over the larger."""
    a, b = sizes[pairs[0]], sizes[pairs[1]]
    keep = np.minimum(a, b) >= jaccard * np.maximum(a, b)
    return pairs[0][keep], pairs[1][keep]


def _hash_pairs(bits: np.ndarray) -> Pairs:
    """(earlier, later) for images that share a quarter of their hash, each with its nearest neighbours in sorted order and equal hashes' first: hashes
    within three bits share at least one quarter."""
    earlier, later = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for quarter in range(4):
        turn = np.uint64(16 * quarter)
        turned = (bits << turn) | (bits >> (np.uint64(64) - turn)) if quarter else bits  # this quarter leads
        order = np.argsort(turned, kind="stable")
        lead = turned[order] >> np.uint64(48)
        for step in range(1, NEIGHBOURS + 1):
            at = np.flatnonzero(lead[step:] == lead[:-step])
            earlier.append(np.minimum(order[at], order[at + step]))
            later.append(np.maximum(order[at], order[at + step]))
    return _distinct(np.concatenate(earlier), np.concatenate(later))


def _sorted_set(values: np.ndarray) -> np.ndarray:
    """The distinct values in order, sorted in place: several times faster than ``np.unique``, which hashes first."""
    values.sort()
    return values[np.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values


def _distinct(earlier: np.ndarray, later: np.ndarray) -> Pairs:
    both = _sorted_set(earlier.astype(np.uint64) << np.uint64(32) | later.astype(np.uint64))
    return (both >> np.uint64(32)).astype(np.int64), (both & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _jaccard(shingles: np.ndarray, starts: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|A and B| / |A or B| of the shingle sets of examples ``a[i]`` and ``b[i]``, all pairs at once."""
    sizes = np.diff(starts)
    tagged = np.concatenate([_tagged(shingles, starts, sizes, rows) for rows in (a, b)])
    tagged.sort()
    shared = tagged[1:][tagged[1:] == tagged[:-1]] >> np.uint64(32)
    both = np.bincount(shared.astype(np.int64), minlength=len(a))
    return both / (sizes[a] + sizes[b] - both)


def _tagged(shingles: np.ndarray, starts: np.ndarray, sizes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The shingles of ``rows``, each with the position of its row above it."""
    counts = sizes[rows]
    at = np.arange(counts.sum()) + np.repeat(starts[rows] - (np.cumsum(counts) - counts), counts)
    return np.repeat(np.arange(len(rows), dtype=np.uint64), counts) << np.uint64(32) | shingles[at]


def _hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.unpackbits((a ^ b).view(np.uint8).reshape(len(a), 8), axis=1).sum(axis=1)
