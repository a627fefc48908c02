"""By which way to learn what is new, and why. A person's word wins.

statistics   the trunk stays; the head is sums, which take on and give back anything exactly      seconds
replay       the trunk stays; a linear head with more rows, on new and kept examples, distilled    a minute
deep         the top of the trunk moves too, under the same protections                            as a fine-tuning
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from regraft.errors import RequestError, suggest
from regraft.grow.memory import Memory
from regraft.grow.news import News
from regraft.grow.parent import statistics_of
from regraft.grow.rehearsal import Rehearsal, rehearsal
from regraft.trunk.outline import Outline

Way = Literal["statistics", "replay", "deep"]
MANY = 50
"""New examples of a class from which on moving the trunk for them can pay."""
ENOUGH_STEPS = 100
"""Between two solved heads. Growing clinc150 by 30 classes four times on one pass each, of 89 to 215 steps, ends at 0.951, with up to five times as many steps at
0.952 (one seed, inside the noise)."""
OBJECTIVE = "distill(teacher=parent, weight=0.5)"
ADJUSTED = f"{OBJECTIVE}+logit_adjusted"
WHOLE = (
    "protected by {kept:,} kept examples, as many of each known class as there are of new ones: all are learned again, few times, "
    "and the head is solved on all of them before the trunk moves and after"
)
UNEVEN = (
    "logit_adjusted: there are more examples of each new class than of the old ones, which would be forgotten for that (Menon et al. 2020)"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """``strategy`` and ``objective`` as a person types them; ``rehearsal``: of what was kept, what is learned again. ``share``: of the epochs that are usual for so
    many examples, how many are enough at the most, as the parent has learned the most of them."""

    way: Way
    strategy: str
    objective: str
    reasons: tuple[str, ...]
    rehearsal: Rehearsal = field(default_factory=Rehearsal)
    share: float = 1.0


def checked(way: str | None) -> Way | None:
    if way is not None and way not in get_args(Way):
        raise RequestError(f"--way {way}", "no such way to grow", suggest(way, get_args(Way)))
    return way  # type: ignore[return-value]


def choose(
    memory: Memory, news: News, outline: Outline, *, asked: str | None = None, replays: bool = True, watched: bool = False
) -> Choice:
    """The way asked for, else the one that fits what the parent is and what it kept. ``replays``: is what was kept learned again? ``watched``: must some of
    it watch, whatever the way decides?"""
    wanted = checked(asked)
    spec = statistics_of(memory.record)
    if wanted == "statistics" or (wanted is None and spec is not None):
        text = spec_text(memory)
        why = "as asked" if wanted else "the head is made of statistics: what is new is added to its sums, exactly"
        return Choice("statistics", text, "", (f"way statistics: {why}",))
    few = max(news.counts.values(), default=0) < MANY
    way: Way = wanted or ("replay" if few or not trunk_moved(memory) else "deep")
    said = f"way {way}: " + ("as asked" if wanted else _why(way, few))
    everything = rehearsal(memory.replay if replays else ())
    if way == "replay":
        return Choice(way, "top(n=0)", OBJECTIVE, (said, _kept(everything)), everything)
    strategy = f"top(n={max(1, len(outline.stages) // 3)})"
    counts, new = [news.counts[name] for name in news.new_classes], sum(news.counts.values())
    # a head that is solved first does not fit the statistics that batch norm learns then
    if counts and _keeps_as_many(everything, memory, counts) and not outline.has_batch_norm:
        everything = everything if watched else rehearsal(memory.replay, watched=False)
        told = WHOLE.format(kept=len(everything))
        return Choice(way, f"{strategy}+lp_ft+solve_head", "", (said, told), everything, share=new / (new + len(everything)))
    again = rehearsal(memory.replay if replays else (), new=new)
    if not again.is_unequal(counts):
        return Choice(way, strategy, OBJECTIVE, (said, _kept(again)), again)
    return Choice(way, strategy, ADJUSTED, (said, _kept(again), UNEVEN), again)


def spec_text(memory: Memory) -> str:
    """The strategy that makes a head like the parent's."""
    spec = statistics_of(memory.record)
    return "statistics" if spec is None else f"statistics(width={spec.width}, how={spec.how})"


def trunk_moved(memory: Memory) -> bool:
    """Did the trunk learn in the parent, or in one of its ancestors?"""
    return any(
        cell["trainable"] for one in memory.family for phase in one.manifest["plan"].get("phases", []) for cell in phase["cells"][:-1]
    )


def _keeps_as_many(kept: Rehearsal, memory: Memory, counts: Sequence[int]) -> bool:
    """Of every known class about as many as there are of each new one?"""
    return kept.counts.keys() >= set(memory.classes) and not kept.is_unequal(counts)


def _why(way: str, few: bool) -> str:
    if way == "deep":
        return "the trunk was tuned for what is known, and there are examples enough to tune it for what is new"
    return f"fewer than {MANY} new examples of each class: the head alone" if few else "the trunk was never tuned: the head alone learns"


def _kept(again: Rehearsal) -> str:
    if not len(again):
        return "protected by distillation from the parent alone: no kept example is learned again"
    return f"protected by {len(again):,} kept examples, learned again, and by distillation from the parent"
