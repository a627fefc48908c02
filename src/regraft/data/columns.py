"""Which column is the input, which the target, which the split: by name first, by content second, and never by a coin toss.

    name      the words people use for such columns, in order of how plainly they say it
    content   the text column is long and hardly repeats; the label column has few values that repeat often

Two columns that fit equally well are an error that lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from regraft.data import forms
from regraft.data.names import AUDIO_ENDINGS, IMAGE_ENDINGS, SPLIT_OF
from regraft.errors import DataError, suggest
from regraft.spec import Form, InputKind

TEXT_NAMES = (
    "text", "sentence", "content", "review", "question", "query", "utterance", "message", "comment", "tweet", "document", "body", "prompt",
    "description", "review_body", "review_text", "raw_text", "input", "title", "subject", "文本", "内容", "正文", "句子", "评论", "评价", "问题", "标题",
)  # fmt: skip
PATH_NAMES = (
    "image", "image_path", "path", "file", "file_name", "filename", "filepath", "file_path", "img", "img_path", "picture", "photo", "图片", "图像", "路径", "文件",
    "audio", "audio_path", "wav", "clip", "sound", "recording", "音频",
)  # fmt: skip
TARGET_NAMES = (
    "label", "target", "class", "category", "intent", "sentiment", "labels", "class_name", "label_text", "label_name", "topic", "emotion", "polarity",
    "type", "tag", "y", "output", "标签", "类别", "分类", "情感", "意图",
)  # fmt: skip
SPLIT_NAMES = ("split", "subset", "partition", "set", "fold", "划分")
LONG_TEXT = 12  # characters on average: a label is seldom longer, a text seldom shorter
MANY_COLUMNS = 12
SHOWN_KIND: dict[InputKind, str] = {"image": "images", "audio": "sounds"}
IMAGES, SOUNDS = tuple(IMAGE_ENDINGS), tuple(AUDIO_ENDINGS)
Rows = Mapping[str, Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sample of a column shows: how many values there are, how many differ, their mean length in characters, and the shares that are
    numbers, more than one word (or not in Latin letters), paths of images, paths of sounds."""

    name: str
    num_values: int
    num_distinct: int
    mean_length: float
    number_share: float
    words_share: float
    image_share: float
    audio_share: float

    @classmethod
    def of(cls, name: str, values: Sequence[str | None]) -> Facts:
        present = Counter(stripped for value in values if value and (stripped := value.strip()))
        total = present.total()

        def share(fits: Callable[[str], bool]) -> float:
            return sum(count for value, count in present.items() if fits(value)) / max(total, 1)

        lowered = {value: value.lower() for value in present}
        return cls(
            name,
            total,
            len(present),
            sum(len(value) * count for value, count in present.items()) / max(total, 1),
            share(lambda value: " " not in value and _is_number(value)),
            share(lambda value: " " in value or not value.isascii()),
            share(lambda value: lowered[value].endswith(IMAGES)),
            share(lambda value: lowered[value].endswith(SOUNDS)),
        )

    @property
    def is_path(self) -> bool:
        return self.num_values > 0 and max(self.image_share, self.audio_share) > 0.5

    @property
    def kind(self) -> InputKind:
        """Of the examples that stand in it."""
        return "text" if not self.is_path else "image" if self.image_share > 0.5 else "audio"

    @property
    def is_text(self) -> bool:
        return self.num_distinct > 0.5 * self.num_values and self.words_share > 0.5 > self.number_share and self.mean_length > LONG_TEXT

    @property
    def is_label(self) -> bool:
        return 2 <= self.num_distinct <= max(2, self.num_values // 3) and self.mean_length < 40


@dataclass(frozen=True, slots=True)
class Columns:
    """The choice: names of the columns (``inputs``: two of them for a pair; ``split`` may be None), the form of the examples, and sentences that
    say why."""

    inputs: tuple[str, ...]
    target: str
    split: str | None
    form: Form
    said: tuple[str, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns behind ``target``: several, where several tasks are learned at once."""
        return tuple(self.target.split(",")) if self.form.target == "several" else (self.target,)


def choose(rows: Rows, where: str, *, input: str | None = None, target: str | None = None, form: Form | None = None) -> Columns:
    """``rows``: a sample of the table, column by column. ``input`` (two, for a pair: ``first,second``) and ``target`` name columns and overrule;
    ``form`` is what the task asks for. Raises :class:`DataError` for an unknown name, and where the choice is open."""
    given = _named_inputs(rows, input)
    for option, name in (*(("--input", name) for name in given), ("--target", target)):
        if name is not None and name not in rows:
            raise DataError(f"{option} {name} in {where}", f"no such column; the columns are {', '.join(rows)}", suggest(name, rows))
    facts = [Facts.of(name, values) for name, values in rows.items()]
    split = split_of(rows, taken=(*given, target))
    free = [column for column in facts if column.name != split]
    said = [f"Column {split!r} says which split a row belongs to."] if split else []
    if placed := _placed(rows, free, given, target=target, where=where, form=form):
        (source, chosen), found, told = placed
        return Columns((source,), chosen, split, found, (told, *said))
    pair = _pair(rows, given, where, wanted=form is not None and form.parts == "pair") if form is None or form.parts == "pair" else None
    if pair:
        said.insert(0, f"Inputs are pairs of texts, from the columns {pair[0]!r} and {pair[1]!r}.")
        chosen = target_of([column for column in free if column.name not in pair], where, target, said)
        return Columns(pair, chosen, split, form or _said(Form("text", "pair", forms.target_in(rows[chosen])), chosen, said), tuple(said))
    if len(given) > 1:
        raise DataError(
            f"--input {input} with {where}",
            "two columns, for a task on single inputs",
            "a task on pairs, such as --task text-pair-classification",
        )
    kind = form.kind if form else None
    reasons: list[str] = []
    one = _input(free, where, given[0] if given else None, target, kind, reasons)
    chosen = target_of([column for column in free if column.name != one.name], where, target, reasons)
    seen: InputKind = "text" if kind == "text" else one.kind
    if form is not None and form.kind != seen:
        raise DataError(f"a task on {form.kind} inputs with {where}", f"the inputs in column {one.name!r} look like {seen}",
                        "leave --task out, or name the right column with --input")  # fmt: skip
    said = [*reasons, *said]
    return Columns((one.name,), chosen, split, form or _said(Form(seen, "one", forms.target_in(rows[chosen])), chosen, said), tuple(said))


def _placed(
    rows: Rows, free: list[Facts], given: tuple[str, ...], *, target: str | None, where: str, form: Form | None
) -> tuple[tuple[str, str], Form, str] | None:
    """Targets for every place of an input, masks of images or tags of words: the two columns, their form, and what is said of them."""
    wanted = form is not None
    masked = _masks(free, given, target, where, wanted=wanted) if form is None or form.target == "mask" else None
    if masked:
        return masked, Form("image", target="mask"), f"Images are in column {masked[0]!r}, the paths of their masks in {masked[1]!r}."
    spoken = _spoken(free, given, target, where, wanted=wanted) if form is None or form.target == "transcript" else None
    if spoken:
        return spoken, Form("audio", target="transcript"), f"Sounds are in column {spoken[0]!r}, what is said in them in {spoken[1]!r}."
    may_be_words = form.parts == "words" if form else not given and target is None
    words = _words(rows, given, target, where, wanted=wanted) if may_be_words else None
    if words:
        return words, Form("text", "words", "tags"), f"Words are in column {words[0]!r}, their tags in {words[1]!r}."
    return None


def _said(form: Form, target: str, said: list[str]) -> Form:
    """``form``, with the sentence that says why it is no classification, where it is none."""
    classification = "text-pair-classification" if form.parts == "pair" else f"{form.kind}-classification"
    if form.target == "number":
        said.append(
            f"Column {target!r} holds numbers of many values, so they are predicted as numbers; --task {classification} takes them for classes."
        )
    if form.target == "set":
        said.append(f"Column {target!r} holds several labels a row; --task {classification} takes every combination for a class.")
    return form


def named_targets(rows: Rows, given: str | None) -> tuple[str, ...]:
    """The columns that --target names: none, one (also where its name has a comma in it), or several."""
    if given is None or given in rows:
        return () if given is None else (given,)
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _named_inputs(rows: Rows, given: str | None) -> tuple[str, ...]:
    """The columns that --input names: one, also where its name has a comma in it, or two."""
    if given is None:
        return ()
    names = tuple(name.strip() for name in given.split(","))
    return names if len(names) == 2 and given not in rows else (given,)


def _words(rows: Rows, given: tuple[str, ...], target: str | None, where: str, *, wanted: bool) -> tuple[str, str] | None:
    """Columns of words and tags: those named, else those found; where the task wants them they have to be there."""
    found = forms.words_in(rows)
    words, tags = (given[0] if given else found and found[0]), target or (found and found[1])
    if words and tags:
        return words, tags
    if wanted:
        raise DataError(f"find words and tags in {where}", f"no two columns hold lists of one length; the columns are {', '.join(rows)}",
                        "name them: --input tokens --target tags; or give a CoNLL file")  # fmt: skip
    return None


def _masks(facts: list[Facts], given: tuple[str, ...], target: str | None, where: str, *, wanted: bool) -> tuple[str, str] | None:
    """Columns of images and of masks: paths both, as named, else the one whose name says so and the other one."""
    paths = [column for column in facts if column.kind == "image"]
    masks = target if target in [column.name for column in paths] else None
    if masks is None and target is None:
        named = _by_name([column for column in paths if column.name not in given], forms.MASKS)
        masks = named.name if named else None
    free = [column for column in paths if column.name != masks]
    image = given[0] if given else next((column.name for column in [_by_name(free, PATH_NAMES), *free[:1]] if column), None)
    if masks and image and image != masks:
        return image, masks
    if wanted:
        names = ", ".join(column.name for column in facts)
        raise DataError(f"find images and masks in {where}", f"no two columns of image paths, one of them named as masks are; the columns are {names}",
                        "name them: --input image --target mask")  # fmt: skip
    return None


def _spoken(facts: list[Facts], given: tuple[str, ...], target: str | None, where: str, *, wanted: bool) -> tuple[str, str] | None:
    """Columns of sounds and of transcripts: as named, else the one whose name says so, where no other is named as classes are."""
    sounds = [column for column in facts if column.kind == "audio" and (not given or column.name == given[0])]
    others = [column for column in facts if not column.is_path]
    texts = _by_name(others, forms.TRANSCRIPTS) if target is None else next((column for column in others if column.name == target), None)
    is_plain = texts is not None and _rank(texts.name, forms.TRANSCRIPTS) is not None and (target or _by_name(others, TARGET_NAMES) is None)
    sound = _by_name(sounds, PATH_NAMES) or (sounds[0] if len(sounds) == 1 else None)
    if sound and texts and (wanted or is_plain):
        return sound.name, texts.name
    if wanted:
        names = ", ".join(column.name for column in facts)
        raise DataError(f"find sounds and transcripts in {where}", f"no column of paths of sounds and one that is named as transcripts are; the columns are {names}",
                        "name them: --input path --target transcript")  # fmt: skip
    return None


def _pair(rows: Rows, given: tuple[str, ...], where: str, *, wanted: bool) -> tuple[str, ...] | None:
    """Two columns of texts: those named, else those whose names belong together."""
    if len(given) == 2:
        return given
    found = None if given else forms.pair_in(list(rows))
    if found is None and wanted:
        raise DataError(f"find a pair of texts in {where}", f"no two column names that belong together among {', '.join(rows)}",
                        "name them: --input first,second")  # fmt: skip
    return found


def _input(facts: list[Facts], where: str, given: str | None, target: str | None, kind: str | None, said: list[str]) -> Facts:
    if given is not None:
        return next(column for column in facts if column.name == given)
    free = [column for column in facts if column.name != target]
    paths = [] if kind == "text" else [column for column in free if column.is_path and kind in (None, column.kind)]
    texts = [] if kind in ("image", "audio") else [column for column in free if not column.is_path]
    found = _by_name(paths, PATH_NAMES) or (paths[0] if len(paths) == 1 else None)
    if found:
        said.append(f"Input is column {found.name!r}: its values are paths of {SHOWN_KIND[found.kind]}.")
        return found
    named = [column for column in texts if _rank(column.name, TEXT_NAMES) is not None]
    wordy = [column for column in texts if column.is_text]
    if len(wordy) > 1 and not any(column.name.lower() in TEXT_NAMES[:5] for column in named):
        raise _open(where, "--input", "several columns hold text", wordy, facts)
    if named:
        best = min(named, key=lambda column: _rank(column.name, TEXT_NAMES) or 0)
        said.append(f"Input is the text in column {best.name!r}, by its name{_also(best, wordy, '--input')}.")
        return best
    if len(wordy) == 1:
        said.append(f"Input is the text in column {wordy[0].name!r}: its values are long and hardly repeat.")
        return wordy[0]
    raise _open(where, "--input", "no column looks like text or like paths of images or sounds", free, facts)


def target_of(facts: list[Facts], where: str, given: str | None, said: list[str]) -> str:
    """The column of targets among ``facts``, unless it is ``given``; why it is that one is added to ``said``. Raises :class:`DataError` where that is open."""
    if given is not None:
        return given
    named = _by_name(facts, TARGET_NAMES)
    labels = [column for column in facts if column.is_label]
    if named:
        said.append(f"Target is column {named.name!r}, by its name{_also(named, labels, '--target')}.")
        return named.name
    numbers = [column for column in facts if column.number_share > 0.9 and column.num_distinct > 1]
    if not labels and len(numbers) == 1:
        said.append(f"Target is column {numbers[0].name!r}: the only one of numbers.")
        return numbers[0].name
    if len(labels) == 1:
        said.append(
            f"Target is column {labels[0].name!r}: it has few values ({labels[0].num_distinct} among the first {labels[0].num_values:,})."
        )
        return labels[0].name
    what = "several columns could be the label" if labels else "no column looks like a label"
    raise _open(where, "--target", what, labels or facts, facts)


def split_of(rows: Rows, taken: Sequence[str | None]) -> str | None:
    for name, values in rows.items():
        if name in taken or name.strip().lower() not in SPLIT_NAMES:
            continue
        present = {value.strip().lower() for value in values if value and value.strip()}
        if present and present <= set(SPLIT_OF):
            return name
    return None


def is_named_as_text(name: str) -> bool:
    return _rank(name, TEXT_NAMES) is not None


def is_named_as_target(name: str) -> bool:
    return _rank(name, TARGET_NAMES) is not None


def _by_name(facts: list[Facts], names: Sequence[str]) -> Facts | None:
    ranked = [(rank, column) for column in facts if (rank := _rank(column.name, names)) is not None]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _rank(name: str, names: Sequence[str]) -> int | None:
    plain = name.strip().lower().replace(" ", "_").replace("-", "_")
    return names.index(plain) if plain in names else None


def _also(chosen: Facts, others: list[Facts], option: str) -> str:
    names = [column.name for column in others if column.name != chosen.name]
    return f"; possible too: {', '.join(f'{option} {name}' for name in names)}" if names else ""


def _open(where: str, option: str, what: str, candidates: list[Facts], facts: list[Facts]) -> DataError:
    listed = "; ".join(
        f"{column.name} ({column.num_distinct} different values, {column.mean_length:.0f} characters)" for column in facts[:MANY_COLUMNS]
    )
    listed += f"; and {len(facts) - MANY_COLUMNS} more" if len(facts) > MANY_COLUMNS else ""
    names = " or ".join(f"{option} {column.name}" for column in candidates[:4]) or f"{option} COLUMN"
    return DataError(f"find the columns of {where}", f"{what}: {listed}", f"say which: {names} (a table without a header line needs one)")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
