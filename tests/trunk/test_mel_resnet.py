"""The network for sound: what it hears of a clip does not depend on what the clip is padded with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from regraft.trunk.mel import LogMel, filters
from regraft.trunk.mel_resnet import mel_resnet
from regraft.trunk.trunk import Trunk


@pytest.fixture
def host():
    torch.manual_seed(0)
    made = mel_resnet(stem=8, widths=(8, 8, 12, 16)).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return made


@pytest.mark.parametrize("count", [1, 160, 161, 3_001, 6_400, 8_320])
def test_padding_changes_no_frame(host, count):
    clip = 0.1 * torch.randn(1, count)
    alone = host(clip)
    padded, mask = torch.zeros(2, 9_600), torch.zeros(2, 9_600, dtype=torch.long)
    padded[0, :count], padded[1] = clip, torch.randn(9_600)
    mask[0, :count], mask[1] = 1, 1
    together, heard = host(padded, mask)[0], host.heard(mask)[0]
    assert alone.shape == (1, -(-count // 640), 32)
    assert int(heard.sum()) == alone.shape[1]
    assert torch.allclose(together[heard], alone[0], atol=1e-5)
    assert not together[~heard].any()


def test_loudness_does_not_matter_and_silence_is_nothing():
    mel = LogMel(sample_rate=16_000, bands=32, hop=160, window=400, low=60.0, high=7_600.0)
    clip = torch.randn(1, 4_000)
    assert torch.allclose(mel(clip), mel(0.01 * clip), atol=1e-4)
    assert not mel(torch.zeros(1, 4_000)).any()
    assert float(mel(clip).max()) == pytest.approx(2.0)


def test_a_tone_is_heard_in_the_band_that_holds_it():
    bank = filters(32, 512, 16_000, 60.0, 7_600.0)
    mel = LogMel(sample_rate=16_000, bands=32, hop=160, window=400, low=60.0, high=7_600.0)
    for hertz in (300, 1_000, 4_000):
        tone = torch.sin(2 * np.pi * hertz * torch.arange(8_000) / 16_000)[None]
        band = int(mel(tone)[0, 0].mean(1).argmax())
        assert abs(band - int(bank[:, round(hertz * 512 / 16_000)].argmax())) <= 1


def test_the_trunk_pools_only_what_was_heard(host):
    trunk = Trunk.of(host)
    assert trunk.stage_names == ("stem", "blocks.0", "blocks.1", "blocks.2", "blocks.3")
    assert (trunk.input.kind, trunk.input.sample_rate, trunk.width, trunk.pooling) == ("audio", 16_000, 32, "mean")
