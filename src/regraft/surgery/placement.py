"""Where bottleneck adapters go inside a transformer block, told from the paths of its layers. Free of torch.

Both papers put an adapter behind a projection back to the block's width and before the residual is added.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ATTENTION_OUTPUT = re.compile(
    r"(^|\.)(attention\.(output\.dense|out_lin|out_proj|o_proj|dense)|attn\.(c_proj|proj|out_proj)"
    r"|self_attn\.(o_proj|out_proj|dense)|self_attention)$"
)
MLP_OUTPUT = re.compile(
    r"(^|\.)(mlp\.(c_proj|fc2|down_proj|dense_4h_to_h|3)|ffn\.lin2|feed_forward\.output_dense)$"
    r"|(?<!attention\.)(?<!\w)output\.dense$|^layers\.\d+\.fc2$|\.layers\.\d+\.fc2$"
)
PLACEMENTS = {"houlsby": (ATTENTION_OUTPUT, MLP_OUTPUT), "pfeiffer": (MLP_OUTPUT,)}


def adapter_paths(paths: Sequence[str], placement: str) -> tuple[str, ...]:
    """Those ``paths`` after which an adapter stands; empty where the stage is no transformer block."""
    patterns = PLACEMENTS[placement]
    return tuple(path for path in paths if any(pattern.search(path) for pattern in patterns))
