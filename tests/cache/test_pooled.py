"""Pooled features of splits that were put together."""

from __future__ import annotations

import numpy as np

from regraft.cache import Cache
from regraft.cache.pooled import pooled_features
from regraft.data.encode import concat
from regraft.testing.examples import images
from regraft.testing.toy import toy_network


def test_of_two_splits_together_what_is_known_of_one_is_not_computed_again(tmp_path):
    network, train, valid = toy_network(), images(20), images(8, seed=1)
    cache, passed = Cache(tmp_path, 1 << 26), []
    known = pooled_features(network, train, cache=cache)
    both = pooled_features(network, concat(train, valid), cache=cache, work=lambda done, total: passed.append(total))
    assert set(passed) == {8}
    np.testing.assert_array_equal(both[:20], known)
    np.testing.assert_allclose(both[20:], pooled_features(network, valid), atol=1e-6)
