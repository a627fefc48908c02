"""Two processes train one network as one process does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from train_hosts import TEXT, plan, text_network, texts, weights

from regraft.train.fit import fit

SCRIPT = """
import sys; sys.path.insert(0, {here!r})
from pathlib import Path
import torch
from test_train_ranks import trained
network = trained(Path({folder!r}))
torch.save(network.state_dict(), Path({folder!r}) / f"rank{{torch.distributed.get_rank()}}.pt")
torch.distributed.destroy_process_group()
"""


def trained(folder):
    """17 examples in batches of 8: in the last batch one process has nothing to do."""
    from train_hosts import phase

    network = text_network(dropout=0.0)
    phases = [phase("head", [False] * 4 + [True], epochs_fraction=0.5), phase("all", [True] * 5, epochs_fraction=0.5)]
    chosen = plan(network, phases, epochs=4.0, batch_size=8, patience=5)
    fit(network, chosen, TEXT, {"train": texts(17), "valid": texts(9, seed=1)}, folder=folder)
    return network


def test_two_processes_are_one(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = SCRIPT.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    facts = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script], env={**os.environ, **facts, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    for process in processes:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said.decode()[-2000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2))
    alone = weights(trained(tmp_path / "alone"))
    assert all(torch.equal(first[name], second[name]) for name in alone)
    assert all(torch.allclose(first[name], alone[name], atol=1e-5) for name in alone)
