"""Batched generation with transformers: the only module of this room that imports torch, and only in its functions.

Requests of a batch keep their own temperature, seed, limits and grammar. Sampling draws one number per request and
token from the request's own generator on the host, so that a seed means the same on every device and in every batch
(up to the device's rounding of the logits).
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperagent.errors import ModelRequestInvalid, ModelUnavailable
from hyperagent.models.serving.batching import Generation, OutOfRoom, Result
from hyperagent.types import ChatReply, Json

SOURCE_FILE = "source.json"
_SCHEMA_LIMIT = 65_536
"""Most bytes of a JSON schema: compiling a larger one would hold up the whole batch."""
_STOPS = 8
_STOP_LENGTH = 100


def converted(weights: Path, sha256: str, name: str) -> Path:
    """The safetensors directory of a GGUF file, made once beside it; its name and ``source.json`` hold the hash.

    Stored in bfloat16: the weights of a 4-bit file need fewer bits than it has, and GPUs compute in it.

    Raises:
        ModelUnavailable: The file cannot be converted.
    """
    target = weights.parent / f"{name}-{sha256[:12]}.safetensors"
    if (target / SOURCE_FILE).is_file():
        return target
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            weights.parent,
            gguf_file=weights.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
            local_files_only=True,
        )
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        source = {"file": weights.name, "sha256": sha256, "dtype": "bfloat16"}
        (partial / SOURCE_FILE).write_text(json.dumps(source), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)  # a directory without source.json was cut off
        partial.rename(target)
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise ModelUnavailable(
            f"{weights} cannot be converted: {type(error).__name__}: {str(error)[:300]}",
            hint="use --engine llama.cpp, which serves the file as it is",
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


@dataclass
class _Row:
    """One request while it is computed; ``place`` is its number in the batch."""

    place: int
    prompt: list[int]
    limit: int
    temperature: float
    top_p: float
    chance: random.Random
    stops: tuple[str, ...]
    matcher: Any = None
    made: list[int] = field(default_factory=list)
    finish: str = ""
    text: str = ""


class TorchEngine:
    """A model in memory. Not for several threads at once: a :class:`~.batching.Batcher` asks it.

    Args:
        directory: What :func:`converted` made.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        context: Most tokens of a request, prompt and reply.
    """

    def __init__(self, directory: Path, *, device: str, dtype: str, context: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch = torch
        self.device = device
        self.context = context
        self.tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype), local_files_only=True)
        self.model = model.to(device).eval()
        self._ends = self._end_tokens()
        self._grammars: Any = None

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights as they are in memory; tied ones once."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.model.parameters())

    def generate(self, requests: Sequence[Generation]) -> Sequence[Result]:
        """One result per request; see :data:`~.batching.Generate`."""
        results: dict[int, Result] = {}
        rows: list[_Row] = []
        for place, request in enumerate(requests):
            try:
                rows.append(self._row(place, request))
            except ModelRequestInvalid as error:
                results[place] = error
        self._compute(rows)
        for row in rows:
            message = {"role": "assistant", "content": row.text}
            results[row.place] = ChatReply(message, row.finish, len(row.prompt), len(row.made))
        return [results[place] for place in range(len(requests))]

    def continuations(self, requests: Sequence[Generation]) -> list[list[int]]:
        """The token ids of the replies, for comparisons that text would blur.

        Raises:
            ModelRequestInvalid: One of the requests is refused.
        """
        rows = [self._row(place, request) for place, request in enumerate(requests)]
        self._compute(rows)
        return [row.made for row in rows]

    def tokens_of(self, request: Generation) -> list[int]:
        """The prompt as the model reads it.

        Raises:
            ModelRequestInvalid: The model's chat template refuses these messages.
        """
        from jinja2 import TemplateError

        if request.raw:
            return list(self.tokenizer(str(request.messages[0]["content"]))["input_ids"])
        messages = [dict(message) for message in request.messages]
        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except (TemplateError, TypeError, ValueError) as error:
            raise ModelRequestInvalid(f"the chat template refuses these messages: {str(error)[:200]}") from None
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    # -- one request -----------------------------------------------------------------------------

    def _row(self, place: int, request: Generation) -> _Row:
        asked = request.parameters
        prompt = self.tokens_of(request)
        if not 0 < len(prompt) < self.context:
            raise ModelRequestInvalid(f"the prompt has {len(prompt)} tokens; 1 to {self.context - 1} fit")
        return _Row(
            place,
            prompt,
            limit=min(int(asked.get("max_tokens") or self.context), self.context - len(prompt)),
            temperature=float(_given(asked, "temperature", 1.0)),
            top_p=float(_given(asked, "top_p", 1.0)),
            chance=random.Random(asked.get("seed")),
            stops=_stops(asked.get("stop")),
            matcher=self._matcher(asked.get("response_format")),
        )

    def _matcher(self, form: Json) -> Any:
        schema = _schema(form)
        if schema is None:
            return None
        import llguidance
        import llguidance.hf

        if self._grammars is None:
            size = self.model.get_output_embeddings().weight.shape[0]
            self._grammars = llguidance.hf.from_tokenizer(self.tokenizer, n_vocab=size, eos_token=sorted(self._ends))
        # Without free white space: a small model would fill its whole limit with it.
        tight = {"whitespace_flexible": False}
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=tight)
        except ValueError as error:
            raise ModelRequestInvalid(f"`response_format`: {str(error)[:300]}") from None
        matcher = llguidance.LLMatcher(self._grammars, grammar, log_level=0)
        if matcher.is_error():
            raise ModelRequestInvalid(f"`response_format`: {matcher.get_error()[:300]}")
        return matcher

    def _end_tokens(self) -> frozenset[int]:
        """Every token that ends a reply, by the model's configuration and by its tokenizer."""
        told = [self.tokenizer.eos_token_id, self.model.config.eos_token_id, self.model.generation_config.eos_token_id]
        return frozenset(
            token for one in told for token in (one if isinstance(one, list) else [one]) if token is not None
        )

    def _compute(self, rows: Sequence[_Row]) -> None:
        try:
            with self._torch.inference_mode():
                self._decode(list(rows))
        except self._torch.OutOfMemoryError as error:
            raise OutOfRoom(str(error)[:200]) from None

    # -- the loop --------------------------------------------------------------------------------

    def _decode(self, rows: list[_Row]) -> None:
        from transformers import DynamicCache

        if not rows:
            return
        torch, longest = self._torch, max(len(row.prompt) for row in rows)
        pad = next(iter(self._ends), 0)
        padded = [[pad] * (longest - len(row.prompt)) + row.prompt for row in rows]
        ids = torch.tensor(padded, device=self.device)
        mask = torch.tensor([[0] * (longest - len(r.prompt)) + [1] * len(r.prompt) for r in rows], device=self.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache(config=self.model.config)
        while True:
            logits = (
                self.model(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                .logits[:, -1]
                .float()
            )
            tokens = self._choose(logits, rows)
            for row, token in zip(rows, tokens, strict=True):
                self._take(row, token)
            going = [index for index, row in enumerate(rows) if not row.finish]
            if not going:
                return
            if len(going) < len(rows):  # finished requests cost nothing more
                chosen = torch.tensor(going, device=self.device)
                cache.batch_select_indices(chosen)
                mask, positions = mask[chosen], positions[chosen]
                rows, tokens = [rows[index] for index in going], [tokens[index] for index in going]
            ids = torch.tensor(tokens, device=self.device).unsqueeze(1)
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            positions = positions[:, -1:] + 1

    def _choose(self, logits: Any, rows: Sequence[_Row]) -> list[int]:
        """The next token of every row; ``logits`` is (rows, vocabulary) in float32."""
        self._forbid(logits, rows)
        best = logits.argmax(-1)
        drawn = [index for index, row in enumerate(rows) if row.temperature > 0]
        if not drawn:
            return list(best.tolist())
        torch = self._torch
        chosen = torch.tensor(drawn, device=self.device)
        heat = torch.tensor([rows[index].temperature for index in drawn], device=self.device).unsqueeze(1)
        shares = torch.softmax(logits[chosen] / heat, dim=-1)
        self._narrow(shares, [rows[index].top_p for index in drawn])
        sums = shares.cumsum(-1)
        draws = torch.tensor([[rows[index].chance.random()] for index in drawn], device=self.device)
        picked = torch.searchsorted(sums, draws * sums[:, -1:], right=True).clamp(max=sums.shape[1] - 1)
        best[chosen] = picked.squeeze(1)
        return list(best.tolist())

    def _narrow(self, shares: Any, nucleus: Sequence[float]) -> None:
        """Zero all but the smallest set of tokens whose shares reach top_p (Holtzman et al. 2020), in place.

        Tokens keep their places, so that a draw means the same whatever the other rows of the batch ask for.
        """
        torch = self._torch
        narrow = [index for index, share in enumerate(nucleus) if share < 1]
        if not narrow:
            return
        chosen = torch.tensor(narrow, device=self.device)
        bounds = torch.tensor([[nucleus[index]] for index in narrow], device=self.device)
        ranked, order = shares[chosen].sort(dim=-1, descending=True)
        cut = ranked.cumsum(-1) - ranked >= bounds
        cut[:, 0] = False  # top_p = 0 is the best token alone
        shares[chosen] = torch.zeros_like(ranked).scatter(1, order, ranked.masked_fill(cut, 0.0))

    def _forbid(self, logits: Any, rows: Sequence[_Row]) -> None:
        """Minus infinity for every token that a row's grammar does not allow next."""
        torch = self._torch
        bound = [index for index, row in enumerate(rows) if row.matcher is not None]
        if not bound:
            return
        masks = [
            torch.frombuffer(bytearray(rows[index].matcher.compute_bitmask()), dtype=torch.uint8) for index in bound
        ]
        packed = torch.stack(masks).to(self.device)
        bits = (packed.unsqueeze(-1) >> torch.arange(8, dtype=torch.uint8, device=self.device)) & 1
        allowed = bits.flatten(1)[:, : logits.shape[1]].bool()
        chosen = torch.tensor(bound, device=self.device)
        logits[chosen] = logits[chosen].masked_fill(~allowed, float("-inf"))

    def _take(self, row: _Row, token: int) -> None:
        """Add a token to its row and see whether that ends it."""
        if token in self._ends:
            row.finish = "stop"
        else:
            row.made.append(token)
            if row.matcher is not None:
                row.matcher.consume_token(token)
                if row.matcher.is_stopped():
                    row.finish = "stop"
            if not row.finish and row.stops and self._stopped(row):
                row.finish = "stop"
            if not row.finish and len(row.made) >= row.limit:
                row.finish = "length"
        if row.finish:
            row.text = _cut(self.tokenizer.decode(row.made, skip_special_tokens=True), row.stops)

    def _stopped(self, row: _Row) -> bool:
        # A token is at least one byte, a character at most four of them.
        tail = row.made[-(4 * max(map(len, row.stops)) + 4) :]
        text = self.tokenizer.decode(tail, skip_special_tokens=True)
        return any(stop in text for stop in row.stops)


def _given(parameters: Mapping[str, Json], name: str, default: float) -> Json:
    value = parameters.get(name)
    return default if value is None else value


def _stops(stop: Json) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > _STOPS or not all(isinstance(one, str) and 0 < len(one) <= _STOP_LENGTH for one in stops):
        raise ModelRequestInvalid(f"`stop` must be up to {_STOPS} texts of 1 to {_STOP_LENGTH} characters")
    return stops


def _cut(text: str, stops: Sequence[str]) -> str:
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text


def _schema(form: Json) -> Json | None:
    """The JSON schema of a ``response_format``; None where any text will do."""
    if form is None or (isinstance(form, dict) and form.get("type") == "text"):
        return None
    if not isinstance(form, dict) or form.get("type") not in ("json_object", "json_schema"):
        raise ModelRequestInvalid("`response_format` must be of the type text, json_object or json_schema")
    if form["type"] == "json_object":
        return {"type": "object"}
    described = form.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    if not isinstance(schema, dict):
        raise ModelRequestInvalid("`response_format.json_schema.schema` must be an object")
    if len(json.dumps(schema)) > _SCHEMA_LIMIT:
        raise ModelRequestInvalid(f"the JSON schema has more than {_SCHEMA_LIMIT} bytes")
    return schema


def hush() -> None:
    """No progress bars: what this process says goes to a log file."""
    from transformers.utils import logging

    logging.disable_progress_bar()
