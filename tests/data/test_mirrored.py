"""Mirrored images: the same rows, left for right, and never taken for the upright ones."""

from __future__ import annotations

import torch

from regraft.data.mirrored import Mirrored
from regraft.testing.examples import images


def test_a_mirrored_batch_is_the_batch_left_for_right():
    upright = images(6)
    mirrored = Mirrored(upright)
    rows = [4, 1]
    torch.testing.assert_close(mirrored.batch(rows)["image"], upright.batch(rows)["image"].flip(-1))
    assert torch.equal(mirrored.target_batch(rows), upright.target_batch(rows))
    assert len(mirrored) == 6 and mirrored.digests.keys.tolist() == upright.digests.keys.tolist()


def test_what_is_kept_of_one_is_never_read_for_the_other():
    upright = images(6)
    assert Mirrored(upright).fingerprint != upright.fingerprint
    assert Mirrored(upright.subset([0, 1])).fingerprint != Mirrored(upright).fingerprint
