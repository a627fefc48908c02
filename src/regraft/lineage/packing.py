"""A tensor in fewer bytes, exact to the bit: what is kept is how far each number lies from the one that an ancestor has in its place.

key         the bit pattern of a float as a whole number that grows with the float; two neighbouring floats are one step apart
steps       key of the child less key of the ancestor, folded so that small moves of either sign are small numbers
groups      numbers whose ancestor has the same exponent are as far apart as their neighbours, and move by about as many steps
split       of each group so many low bits, which are noise and are kept as they are; what is above them is small, and is deflated (Rice 1979)

Without an ancestor the steps are those from zero: a sign, an exponent and a mantissa, and the exponents alone are deflated. Where most rows of a table are those
of the ancestor, as of word vectors of which a data set names a few, the others alone are packed.

    packed = number of groups (2 bytes), low bits of each group (1 byte each), then for each byte of the upper parts its length (8 bytes) and the
             deflated bytes, then the low bits, group after group: whole bytes first, then planes of single bits
    some   = 0xffff (2 bytes), number of rows (8 bytes), a bit for each, then the numbers of the rows that moved: 1 (1 byte) and packed, or 0 and as they are
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from regraft.lineage.files import Bytes
from regraft.lineage.tensors import TensorData, dtype_code

FLOATS = {"F32": ("<u4", 23), "F16": ("<u2", 10), "BF16": ("<u2", 7)}
"""Dtype -> its bit patterns, and how many of their bits are the mantissa."""
SMALLEST = 4096
"""Fewer numbers than this are kept as they are."""
SAVES, SAVES_ALONE = 0.2, 0.15
"""What packing must save at least, to be worth the time of reading: as a difference, and without an ancestor."""
SOME, FEW = b"\xff\xff", 0.5
"""How a difference of some rows begins, and which share of the rows that is at most."""
TRIED, TRIALS = 1 << 14, 4
"""Bytes of a long plane on which the ways to deflate it are tried, from so many places."""
SMALL = 6
"""The upper part of a typical number is left so many bits."""
LEVEL = 6
Whole = NDArray[np.unsignedinteger]


def pack(tensor: TensorData, ancestor: Bytes | None) -> bytes | None:
    """``tensor`` as its difference to ``ancestor``, the bytes of a tensor of its dtype and shape; ``None`` where that saves too little."""
    code, size = dtype_code(tensor.dtype), memoryview(tensor.data).nbytes
    if code not in FLOATS or (ancestor is not None and size != memoryview(ancestor).nbytes):
        return None
    kind, mantissa = FLOATS[code]
    bits = np.frombuffer(tensor.data, kind)
    if len(bits) < SMALLEST:
        return None
    old = np.zeros_like(bits) if ancestor is None else np.frombuffer(ancestor, kind)
    rows = None if ancestor is None or len(tensor.shape) < 2 else _moved(bits, old, tensor.shape[0])
    packed = _packed(bits, old, mantissa, alone=ancestor is None) if rows is None else _some(tensor, bits, old, rows)
    return packed if len(packed) <= (1 - (SAVES_ALONE if ancestor is None else SAVES)) * size else None


def _moved(bits: Whole, old: Whole, rows: int) -> NDArray[np.bool_] | None:
    """Which of ``rows`` rows moved; ``None`` where they are not few."""
    moved = (bits.reshape(rows, -1) != old.reshape(rows, -1)).any(axis=1)
    return moved if moved.mean() <= FEW else None


def _some(tensor: TensorData, bits: Whole, old: Whole, rows: NDArray[np.bool_]) -> bytes:
    new = bits.reshape(len(rows), -1)[rows]
    data = new.tobytes()
    packed = pack(TensorData(tensor.dtype, (new.size,), data), old.reshape(len(rows), -1)[rows].tobytes())
    told = b"\0" + data if packed is None else b"\1" + packed
    return b"".join([SOME, len(rows).to_bytes(8, "little"), np.packbits(rows).tobytes(), told])


def _packed(bits: Whole, old: Whole, mantissa: int, *, alone: bool) -> bytes:
    order, ends = _groups(old, mantissa)
    moved = _folded(_key(bits) - _key(old))[order]
    groups = np.split(moved, ends[:-1])
    low = [mantissa + 1] if alone else [_low_bits(group) for group in groups]
    shift = np.repeat(np.array(low, bits.dtype), np.diff(ends, prepend=0))
    upper = [_deflated(plane.tobytes()) for plane in _bytes_of(moved >> shift)]
    parts = [len(low).to_bytes(2, "little"), bytes(low), *(part for plane in upper for part in (len(plane).to_bytes(8, "little"), plane))]
    parts += [part for group, count in zip(groups, low, strict=True) for part in _lower(group, count)]
    return b"".join(parts)


def unpack(packed: Bytes, ancestor: Bytes | None, dtype: str, count: int) -> bytes:
    """The bytes of the tensor, ``count`` numbers. Raises ``ValueError`` where ``packed`` is not what ``pack`` made with this ``ancestor``."""
    if dtype not in FLOATS:
        raise ValueError(f"no {dtype} is packed")
    kind, mantissa = FLOATS[dtype]
    view, old = memoryview(packed), np.zeros(count, kind) if ancestor is None else np.frombuffer(ancestor, kind)
    if view[:2] == SOME:
        return _with_some(view, old, dtype)
    order, ends = _groups(old, mantissa)
    groups = int.from_bytes(view[:2], "little")
    low, place = list(view[2 : 2 + groups]), 2 + groups
    if groups != len(ends):
        raise ValueError(f"{groups} groups, where the ancestor has {len(ends)}")
    planes = []
    for _ in range(old.dtype.itemsize):
        length = int.from_bytes(view[place : place + 8], "little")
        planes.append(_inflated(view[place + 8 : place + 8 + length]))
        place += 8 + length
    moved = np.ascontiguousarray(np.stack([np.frombuffer(plane, np.uint8) for plane in planes], axis=1)).view(old.dtype).ravel()
    for group, bits in zip(np.split(moved, ends[:-1]), low, strict=True):
        place = _filled(group, bits, view, place)
    steps = np.empty_like(moved)
    steps[order] = moved
    return _bits(_key(old) + _unfolded(steps)).tobytes()


def _with_some(view: memoryview, old: Whole, dtype: str) -> bytes:
    """``old`` with the rows that moved."""
    count, begin = int.from_bytes(view[2:10], "little"), 10
    end = begin + (count + 7) // 8
    if not count or len(old) % count or len(view) <= end:
        raise ValueError(f"{count} rows in {len(view)} bytes, where the ancestor has {len(old)} numbers")
    rows = np.unpackbits(np.frombuffer(view[begin:end], np.uint8), count=count).view(np.bool_)
    new = old.reshape(count, -1).copy()
    part, own = view[end + 1 :], new[rows]
    data = unpack(part, own.tobytes(), dtype, own.size) if view[end] else part
    new[rows] = np.frombuffer(data, own.dtype).reshape(own.shape)
    return new.tobytes()


def _groups(old: Whole, mantissa: int) -> tuple[NDArray[np.intp], list[int]]:
    """The order in which numbers of one exponent stand together, and where each group ends."""
    exponents = ((old >> old.dtype.type(mantissa)) & old.dtype.type(0xFF)).astype(np.uint8)
    counts = np.bincount(exponents, minlength=256)
    return np.argsort(exponents, kind="stable"), [int(end) for end in np.cumsum(counts[counts > 0])]


def _key(bits: Whole) -> Whole:
    top = bits.dtype.type(1 << (8 * bits.itemsize - 1))
    return np.where(bits & top, ~bits, bits | top)


def _bits(key: Whole) -> Whole:
    top = key.dtype.type(1 << (8 * key.itemsize - 1))
    return np.where(key & top, key & ~top, ~key)


def _folded(steps: Whole) -> Whole:
    """0, -1, 1, -2, 2, ... -> 0, 1, 2, 3, 4, ..."""
    signed = steps.view(f"<i{steps.itemsize}")
    return ((signed << 1) ^ (signed >> (8 * steps.itemsize - 1))).view(steps.dtype)


def _unfolded(folded: Whole) -> Whole:
    one = folded.dtype.type(1)
    return (folded >> one) ^ (~(folded & one) + one)


def _low_bits(group: Whole) -> int:
    return max(0, int(group.mean()).bit_length() - SMALL)


def _bytes_of(numbers: Whole) -> Iterator[NDArray[np.uint8]]:
    """The lowest bytes of all numbers, then the next ones, and so on."""
    rows = np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, numbers.itemsize)
    return (np.ascontiguousarray(rows[:, place]) for place in range(numbers.itemsize))


def _lower(group: Whole, count: int) -> Iterator[bytes]:
    """The lowest ``count`` bits of each number."""
    rows = np.ascontiguousarray(group).view(np.uint8).reshape(-1, group.itemsize)
    for place in range(count // 8):
        yield rows[:, place].tobytes()
    for bit in range(count % 8):
        yield np.packbits((rows[:, count // 8] >> bit) & 1).tobytes()


def _filled(group: Whole, count: int, view: memoryview, place: int) -> int:
    """``group``, the upper parts, becomes the numbers; returns where in ``view`` the next group begins."""
    group <<= group.dtype.type(count)
    rows = group.view(np.uint8).reshape(-1, group.itemsize)
    for byte in range(count // 8):
        rows[:, byte] = np.frombuffer(view[place : place + len(group)], np.uint8)
        place += len(group)
    for bit in range(count % 8):
        end = place + (len(group) + 7) // 8
        rows[:, count // 8] |= np.unpackbits(np.frombuffer(view[place:end], np.uint8), count=len(group)) << bit
        place = end
    return place


def _deflated(plane: bytes) -> bytes:
    """With or without looking for repetitions, of which noise has none that pay: a long plane by what is better for parts of it."""
    ways: tuple[int, ...] = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY)
    step = len(plane) // TRIALS
    if step > TRIED:
        parts = b"".join(plane[place * step : place * step + TRIED] for place in range(TRIALS))
        ways = (min(ways, key=lambda way: len(_by(way, parts))),)
    return min((_by(way, plane) for way in ways), key=len)


def _by(way: int, plane: bytes) -> bytes:
    deflating = zlib.compressobj(LEVEL, strategy=way)
    return deflating.compress(plane) + deflating.flush()


def _inflated(part: memoryview) -> bytes:
    try:
        return zlib.decompress(part)
    except zlib.error as error:
        raise ValueError(str(error)) from error
