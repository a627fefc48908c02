from __future__ import annotations

import pytest

from regraft.errors import TrunkError
from regraft.trunk.load import resolve
from regraft.trunk.reference import Reference, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timm:resnet50.a1_in1k", Reference("timm", "resnet50.a1_in1k")),
        ("hf:org/model", Reference("hf", "org/model")),
        ("module:pkg.make", Reference("module", "pkg.make")),
        (
            "file:a/b.safetensors?arch=timm:resnet18&num_classes=12",
            Reference("file", "a/b.safetensors", {"arch": "timm:resnet18", "num_classes": 12}),
        ),
        ("minilm", Reference("", "minilm")),
        ("org/model", Reference("", "org/model")),
        ("./here/a:b", Reference("", "./here/a:b")),
        ("C:\\models\\mine", Reference("", "C:\\models\\mine")),
    ],
)
def test_a_reference_is_source_name_and_settings(text, expected):
    assert parse(text) == expected


def test_text_of_a_reference_reads_back_as_itself():
    named = parse("file:a.pth?arch=timm:resnet18&pad_type=same&bn_eps=0.001")
    assert parse(str(named)) == named


def test_unknown_source_names_the_nearest():
    with pytest.raises(TrunkError, match=r"'tim' is no source of models\ntry:   did you mean 'timm'\?"):
        parse("tim:resnet18")


def test_a_source_without_a_name_is_refused():
    with pytest.raises(TrunkError, match="no name stands behind the source"):
        parse("timm:")


def test_bare_names_go_to_bundled_then_paths_then_libraries_then_the_hub(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    names = ("minilm", str(folder), "resnet18", "alexnet", "vit_b_16", "org/model", "hf:minilm")
    assert [resolve(parse(name)).source for name in names] == ["bundled", "file", "timm", "torchvision", "torchvision", "hf", "hf"]
