"""Pretrain the bundled decoder: a small Llama goes on with plays and with conversations, with a plain PyTorch loop.

``tokens`` trains a byte-level BPE tokenizer on the texts and lays them out as one row of tokens. ``train`` learns to say the next one, in windows
from random places. The schedule is one of processor time; a run that is killed or reaches ``--stop`` goes on from its last finished part.

    python pretraining/decoder.py tokens OUT --plays input.txt --pairs dpo_en_demo.json --talks glaive_toolcall_en_demo.json
    python pretraining/decoder.py train OUT --minutes 20
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from regraft.data import load
from regraft.data.turns import turns_of

END, PAD = "<|endoftext|>", "<|pad|>"
VOCABULARY, LENGTH, BATCH = 3_072, 512, 8
LEARNING_RATE, WARMUP, WEIGHT_DECAY = 2e-3, 0.03, 0.1
PART_S = 60.0
"""Seconds of processor time between checkpoints."""


def texts(path: Path, split: str) -> list[str]:
    """The conversations or passages of a split that Regraft carves, as plain text; of a preference pair both answers, each behind its prompt."""
    found = []
    for cell in load(path).splits[split].inputs:
        turns = turns_of(cell)
        before = [said for role, said in turns if role not in ("chosen", "rejected", "tools")]
        answers = [said for role, said in turns if role in ("chosen", "rejected")]
        found += ["\n\n".join([*before, answer]) for answer in answers] or ["\n\n".join(before)]
    return found


def write_tokens(out: Path, sources: dict[str, Path]) -> None:
    learned = {name: texts(path, "train") for name, path in sources.items()}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END, PAD], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([text for part in learned.values() for text in part], trainer)
    out.mkdir(parents=True, exist_ok=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, model_max_length=LENGTH, clean_up_tokenization_spaces=False
    )
    fast.save_pretrained(out)
    described = json.loads((out / "tokenizer_config.json").read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    (out / "tokenizer_config.json").write_text(json.dumps(described, indent=2) + "\n")  # by the name that older versions know too
    end = tokenizer.token_to_id(END)
    order = np.random.default_rng(0)

    def laid(parts: list[list[str]]) -> np.ndarray:
        every = [text for part in parts for text in part]
        rows = [[*tokenizer.encode(every[place]).ids, end] for place in order.permutation(len(every))]
        return np.concatenate([np.array(row, np.uint16) for row in rows])

    np.save(out / "train.npy", laid([*learned.values()]))
    for name, path in sources.items():
        np.save(out / f"held.{name}.npy", laid([texts(path, "test")]))
        print(name, sum(map(len, learned[name])), "characters")


def windows(row: np.ndarray, rng: np.random.Generator, count: int) -> Tensor:
    """(count, LENGTH + 1) tokens from random places of ``row``."""
    starts = rng.integers(0, len(row) - LENGTH - 1, count)
    return torch.from_numpy(np.stack([row[start : start + LENGTH + 1] for start in starts]).astype(np.int64))


def loss_of(model: LlamaForCausalLM, tokens: Tensor) -> Tensor:
    logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


@torch.no_grad()
def held_out(model: LlamaForCausalLM, out: Path) -> dict[str, float]:
    """Loss per token on what was held out, over 16 windows of each source."""
    model.eval()
    found = {}
    for file in sorted(out.glob("held.*.npy")):
        row = np.load(file)
        found[file.suffixes[0][1:]] = round(float(loss_of(model, windows(row, np.random.default_rng(0), 16))), 4)
    model.train()
    return found


def fresh() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=4,
        max_position_embeddings=LENGTH, tie_word_embeddings=True, bos_token_id=None, eos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def train(out: Path, minutes: float, stop: float) -> None:
    model = fresh()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95), fused=True)
    row, state = np.load(out / "train.npy"), {"step": 0, "seconds": 0.0}
    if (out / "last.pt").is_file():
        held = torch.load(out / "last.pt", weights_only=True)
        model.load_state_dict(held["model"])
        optimizer.load_state_dict(held["optimizer"])
        state = held["state"]
    began, losses, parted = time.process_time() - state["seconds"], [], state["seconds"]
    while (seconds := time.process_time() - began) < min(minutes, stop) * 60:
        done = seconds / (60 * minutes)
        rate = LEARNING_RATE * min(1.0, done / WARMUP) * (0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(model, windows(row, np.random.default_rng([0, state["step"]]), BATCH))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        state = {"step": state["step"] + 1, "seconds": time.process_time() - began}
        if state["seconds"] - parted > PART_S:
            note(out, model, optimizer, state, losses)
            losses, parted = [], state["seconds"]
    note(out, model, optimizer, state, losses)
    if state["seconds"] >= minutes * 60 - 1:
        finish(out, model)


def note(out: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, state: dict[str, float], losses: list[float]) -> None:
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state}, out / "part.pt")
    (out / "part.pt").replace(out / "last.pt")
    line = {"step": state["step"], "tokens": state["step"] * BATCH * LENGTH, "seconds": round(state["seconds"]),
            "loss": round(float(np.mean(losses)), 4) if losses else None, "held_out": held_out(model, out)}  # fmt: skip
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def finish(out: Path, model: LlamaForCausalLM) -> None:
    """config.json and the weights in half precision; the output layer is the embedding and is not written twice."""
    model.config.save_pretrained(out)
    tensors = {name: value.half().contiguous() for name, value in model.state_dict().items() if name != "lm_head.weight"}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=("tokens", "train"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--plays", type=Path)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--talks", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0, help="of processor time, of the whole schedule")
    parser.add_argument(
        "--stop", type=float, default=math.inf, help="minutes after which this call ends, the schedule going on in the next"
    )
    asked = parser.parse_args()
    if asked.job == "tokens":
        write_tokens(asked.out, {name: path for name in ("plays", "pairs", "talks") if (path := getattr(asked, name))})
    else:
        train(asked.out, asked.minutes, asked.stop)
