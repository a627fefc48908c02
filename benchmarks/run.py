"""``make bench``: every benchmark of this folder, one after the other. Hours on two cores; each can be run alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RUNS = [
    ["cache.py", "minilm"],
    ["cache.py", "vision", "--rows", "0"],
    ["cache.py", "resnet18", "--rows", "0"],
    ["cache.py", "resnet50", "--rows", "0"],
    ["cache.py", "mobilenetv2", "--rows", "0"],
    ["cache.py", "vit_tiny", "--rows", "0"],
    ["cache.py", "wav2vec2", "--rows", "0"],
    ["text_peers.py", "probe"],
    ["text_peers.py", "top1"],
    ["text_peers.py", "top2"],
    ["text_peers.py", "full"],
    ["plain_loop.py", "minilm"],
    ["plain_loop.py", "vision"],
    ["roofline.py"],
    ["compiled.py"],
    ["startup.py"],
    ["million_rows.py"],
    ["race.py"],
    ["image_files.py", "--fresh"],
    ["image_files.py", "--model", "timm:resnet18", "--full", "--fresh"],
    ["few_texts.py"],
    ["accuracy.py", str(HERE / "out" / "accuracy")],
]

for script, *options in RUNS:
    print(f"\n## {script} {' '.join(options)}\n", flush=True)
    subprocess.run([sys.executable, str(HERE / script), *options], cwd=HERE, check=False)
