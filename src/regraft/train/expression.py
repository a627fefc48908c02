"""Arithmetic in ``t``, the progress of a run from 0 to 1, as a person types it: ``1 - t``, ``linear(1, 0.2)``, ``0 if t < 0.5 else cosine(0, 1)``.

It is parsed, never executed: numbers, ``t``, ``pi``, + - * / **, comparisons, one value or another by a condition, and the functions below.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

from regraft.errors import PlanError, suggest

BINARY: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Pow: operator.pow,
}  # fmt: skip
UNARY: dict[type, Callable[[float], float]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
COMPARE: dict[type, Callable[[float, float], bool]] = {ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge}
FUNCTIONS: dict[str, Callable[..., float]] = {
    "exp": math.exp, "log": math.log, "sqrt": math.sqrt, "sin": math.sin, "cos": math.cos, "abs": abs, "min": min, "max": max,
}  # fmt: skip
SCHEDULES: dict[str, Callable[[float, float, float], float]] = {
    "linear": lambda t, start, end: start + (end - start) * t,
    "cosine": lambda t, start, end: end + (start - end) * (1 + math.cos(math.pi * t)) / 2,
}
"""From ``start`` at t = 0 to ``end`` at t = 1: ``linear(start, end)``, ``cosine(start, end)``."""
LONGEST = 200
STEPS_TRIED = 100


@dataclass(frozen=True, slots=True)
class Expression:
    """``text`` as typed; called with t it gives the value."""

    text: str
    tree: ast.expr

    @classmethod
    def of(cls, value: object, asked: str) -> Expression:
        """Of a number or a text. Raises ``PlanError``, naming ``asked``, for anything that is no such arithmetic, or that is not finite or below 0 somewhere
        on the way from 0 to 1."""
        text = str(value).strip()
        if len(text) > LONGEST:
            raise PlanError(asked, f"an expression of {len(text)} letters", f"at most {LONGEST}")
        try:
            made = cls(text, ast.parse(text, mode="eval").body)
        except SyntaxError:
            raise PlanError(asked, "that is no arithmetic", "a number, or an expression in t such as 1 - t or cosine(1, 0)") from None
        for step in range(STEPS_TRIED + 1):
            made._check(step / STEPS_TRIED, asked)
        return made

    def __call__(self, t: float) -> float:
        return float(_value(self.tree, t))

    def _check(self, t: float, asked: str) -> None:
        try:
            value = self(t)
        except (ArithmeticError, TypeError, ValueError) as error:
            if isinstance(error, PlanError):
                raise
            raise PlanError(asked, f"at t = {t:g}: {error}", "an expression that has a value from t = 0 to t = 1") from None
        if not math.isfinite(value) or value < 0:
            raise PlanError(asked, f"{value:g} at t = {t:g}", "a weight is finite and not negative from t = 0 to t = 1")


def _value(node: ast.expr, t: float) -> float:
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return float(value)
        case ast.Name(id="t"):
            return t
        case ast.Name(id="pi"):
            return math.pi
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return BINARY[type(op)](_value(left, t), _value(right, t))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return UNARY[type(op)](_value(operand, t))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, t) else other, t)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARE:
            return float(COMPARE[type(op)](_value(left, t), _value(right, t)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return _called(name, [_value(one, t) for one in args], t)
    raise PlanError(
        f"the expression {ast.unparse(node)!r}",
        "only arithmetic in t is understood",
        "numbers, t, pi, + - * / **, " + ", ".join([*SCHEDULES, *FUNCTIONS]),
    )


def _called(name: str, values: list[float], t: float) -> float:
    if name in SCHEDULES:
        return SCHEDULES[name](t, *values)
    if name in FUNCTIONS:
        return FUNCTIONS[name](*values)
    raise PlanError(f"{name}(...) in an expression", "no such function", suggest(name, [*SCHEDULES, *FUNCTIONS]))
