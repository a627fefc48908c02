from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from regraft.errors import DamagedError, TrunkError
from regraft.lineage.tensors import TensorData
from regraft.trunk.network import Network
from regraft.trunk.tensors import bits, digests, load_state, stage_digest, state, tensor_digest
from regraft.trunk.trunk import Trunk

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool]


def network() -> Network:
    torch.manual_seed(0)
    host = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 6))
    return Network(Trunk.of(host, stages=[("stem", ["0", "1"]), ("blocks.0", ["2"])]), nn.Linear(6, 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 4)])
def test_bytes_are_those_of_safetensors_and_digests_those_of_the_store(dtype, shape, tmp_path):
    tensor = (torch.rand(shape) * 4).to(dtype)
    taken = bits(tensor)
    save_file({"x": tensor}, tmp_path / "x.safetensors")
    assert (tmp_path / "x.safetensors").read_bytes().endswith(bytes(taken.data))
    assert tensor_digest(tensor) == TensorData(*taken).digest


def test_digest_is_of_content_not_of_layout():
    tensor = torch.randn(2, 3, 4, 4)
    assert tensor_digest(tensor) == tensor_digest(tensor.contiguous(memory_format=torch.channels_last))
    assert tensor_digest(tensor) != tensor_digest(tensor.reshape(3, 2, 4, 4))
    assert tensor_digest(torch.zeros(2)) != tensor_digest(torch.zeros(2, dtype=torch.bfloat16))


def test_a_dtype_without_agreed_bytes_is_refused():
    with pytest.raises(TrunkError, match=r"store a tensor of torch\.complex64"):
        bits(torch.zeros(2, dtype=torch.complex64))


def test_state_reads_back_exactly(tmp_path):
    source, target = network(), network()
    for parameter in target.parameters():
        parameter.data += 1
    save_file({f"key.{name}": value for name, value in source.state_dict().items()}, tmp_path / "w.safetensors")
    load_state(target, {name: (tmp_path / "w.safetensors", f"key.{name}") for name in source.state_dict()})
    assert digests(target) == digests(source)
    assert list(state(source, "p.")) == [f"p.{name}" for name in source.state_dict()]


def test_names_must_cover_exactly(tmp_path):
    made = network()
    files = {name: (tmp_path / "none.safetensors", name) for name in made.state_dict()}
    files["head.more"] = files.pop("head.weight")
    with pytest.raises(DamagedError, match=r"1 missing: head\.weight; 1 unknown: head\.more"):
        load_state(made, files)


def test_another_shape_or_a_missing_file_is_damage(tmp_path):
    made, path = network(), tmp_path / "w.safetensors"
    files = {name: (path, name) for name in made.state_dict()}
    with pytest.raises(DamagedError, match=r"read weights w\.safetensors"):
        load_state(made, files)
    save_file({**made.state_dict(), "head.bias": torch.zeros(3)}, path)
    with pytest.raises(DamagedError, match=r"load 'head\.bias' from w\.safetensors(.|\n)*\(3,\), the model has torch\.float32 \(2,\)"):
        load_state(made, files)


def test_stage_digest_sees_parameters_and_buffers_of_that_stage_alone():
    made = network()
    before = [stage_digest(made, row) for row in range(3)]
    made.host[1].running_mean += 1
    assert [stage_digest(made, row) == old for row, old in enumerate(before)] == [False, True, True]
    made.head.bias.data += 1
    assert stage_digest(made, 2) != before[2]
    assert len(set(before)) == 3
