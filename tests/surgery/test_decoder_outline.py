"""What a forecast knows of a decoder is what the decoder is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regraft.surgery.decoder import PyramidHead
from regraft.surgery.decoder_outline import LOGIT_COPIES, decoder_outline
from regraft.surgery.heads import LinearHead
from regraft.testing.hosts import trunk_of
from regraft.trunk.measure import measure
from regraft.trunk.outline import Outline
from regraft.trunk.pyramid import levels

NUM_CLASSES = 3


@pytest.fixture(scope="module")
def trunk():
    return trunk_of("timm resnet10t")


def test_a_decoder_is_counted_layer_by_layer(trunk):
    head = PyramidHead([level.channels for level in levels(trunk)], trunk.width, NUM_CLASSES)
    found = decoder_outline(head, trunk)
    height, width = trunk.input.size
    places = [round(height / level.stride) * round(width / level.stride) for level in levels(trunk)]
    by_hand = sum(n * (level.channels * 64 + 64 * 64 * 9) for n, level in zip(places, levels(trunk), strict=True))
    assert found.macs == by_hand + 64 * trunk.width + 64 * NUM_CLASSES * places[0]
    assert found.parameters == sum(p.numel() for p in head.parameters())
    assert found.activation_bytes > 4 * NUM_CLASSES * height * width * LOGIT_COPIES + 4 * 64 * sum(places)


def test_a_linear_head_needs_no_outline_of_its_own(trunk):
    assert decoder_outline(LinearHead(trunk.width, NUM_CLASSES), trunk) is None


def test_an_outline_with_a_decoder_is_read_back(trunk):
    head = PyramidHead([level.channels for level in levels(trunk)], trunk.width, NUM_CLASSES)
    outline = replace(measure(trunk), decoder=decoder_outline(head, trunk))
    assert Outline.from_json(outline.json()) == outline
