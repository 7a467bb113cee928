"""Doubles that edit the program of the benchmark ``planted``: a guide of limited skill, and one that is no use.

They stand in for a language model where a search itself is tested. What they say is a function of the request alone
(its ``seed`` included), so campaigns with them repeat exactly. What they are asked, and what an answer does, is the
business of the program in ``benchmarks/planted/program``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence

from hyperagent.errors import ModelRequestInvalid
from hyperagent.models import wire
from hyperagent.models.uniform import schema_of
from hyperagent.types import ChatReply, ChatRequest, Json

COMBINATION = (30_517, 8_221, 61_409, 94_030, 17_753)
"""The planted optimum, equal to that of ``benchmarks/planted/generator.py``: what this stand-in knows of its domain."""
SKILL = (0.15, 0.5)
"""Chance of a right edit, by whether the asking program takes care (its meta parameter, 0 or 1)."""
MORE_CARE, LESS_CARE = 0.6, 0.05
"""Chances that a right edit also makes the program careful, or careless."""
DAMAGE = (3, 5)
"""Fewest and most dials that a wrong edit spoils; it also makes the program careless."""
MODELS = ("planted/guide", "planted/useless")


class PlantedClient:
    """Answers as ``planted/guide`` or ``planted/useless``."""

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """Raises ModelRequestInvalid for another model's name, or where a form is asked for without a situation."""
        if request.model not in MODELS:
            raise ModelRequestInvalid(f"no model {request.model}; there are {', '.join(MODELS)}")
        if schema_of(request.parameters) is None:
            return ChatReply({"role": "assistant", "content": "Too few dials are right."}, "stop", 8, 6)
        source = random.Random(wire.request_hash(wire.canonical_request(request)))
        dials, care = _situation(request)
        said = guide(dials, care, source) if request.model == "planted/guide" else useless(dials, source)
        text = json.dumps(said)
        return ChatReply({"role": "assistant", "content": text}, "stop", 32, max(1, len(text) // 4))

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        return 0.0


def guide(dials: Sequence[int], care: int, source: random.Random) -> Mapping[str, Json]:
    """One right dial with the chance that ``care`` gives; else several wrong ones, right ones first, and no care."""
    right = [place for place, digit in enumerate(dials) if digit == COMBINATION[place]]
    wrong = [place for place in range(len(COMBINATION)) if place not in right]
    if wrong and source.random() < SKILL[care]:
        place = source.choice(wrong)
        draw = source.random()
        change = 1 if draw < MORE_CARE else -1 if draw < MORE_CARE + LESS_CARE else 0
        return {"edits": [_edit(place, COMBINATION[place])], "care": min(max(care + change, 0), len(SKILL) - 1)}
    count = source.randint(*DAMAGE)
    spoiled = source.sample(right, min(count, len(right))) or [source.choice(wrong)]
    return {"edits": [_edit(place, _wrong(place, source)) for place in spoiled], "care": 0}


def useless(dials: Sequence[int], source: random.Random) -> Mapping[str, Json]:
    """A dial that was wrong or right becomes wrong, and care is anything: never a step forward."""
    place = source.randrange(len(dials))
    return {"edits": [_edit(place, _wrong(place, source))], "care": source.randrange(len(SKILL))}


def _edit(place: int, digit: int) -> Mapping[str, Json]:
    return {"dial": place, "number": digit}


def _wrong(place: int, source: random.Random) -> int:
    number = source.randrange(100_000 - 1)
    return number if number < COMBINATION[place] else number + 1


def _situation(request: ChatRequest) -> tuple[list[int], int]:
    """Dials and care from the last message, which is JSON; hostile until checked."""
    try:
        told = json.loads(str(request.messages[-1].get("content")))
        dials, care = [int(one) for one in told["dials"]], int(told["care"])
    except (ValueError, LookupError, TypeError) as error:
        raise ModelRequestInvalid(f"planted: the last message is no situation: {error}") from error
    if len(dials) != len(COMBINATION):
        raise ModelRequestInvalid(f"planted: {len(dials)} dials instead of {len(COMBINATION)}")
    return dials, min(max(care, 0), len(SKILL) - 1)
