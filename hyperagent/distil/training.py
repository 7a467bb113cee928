"""LoRA fine-tuning of a local model, and the file from which llama.cpp takes the result.

Low-rank adaptation: a frozen weight W becomes W + (alpha / rank)·B·A (Hu et al. 2021, arXiv 2106.09685). Only the upper
layers are adapted, so the frozen lower ones are run once per example, not once per step: most of the cost on a CPU.
The one user of torch, transformers, peft and gguf; they are loaded when a :class:`Trainer` is made.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperagent.distil.pairs import Pair
from hyperagent.errors import ModelUnavailable, PrerequisiteError

MOST_TOKENS = 2048
"""Longer examples are left out: a loop of many repairs teaches little and costs most."""
ACCUMULATED = 4
"""Examples per step of the optimiser."""
GRADIENT_NORM = 1.0
TARGETS = {"v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate", "up_proj": "ffn_up",
           "down_proj": "ffn_down"}  # fmt: skip
"""Adapted weights -> their names in GGUF. Queries and keys are left out: for some architectures GGUF stores their rows
in another order (rotary positions in pairs), and an adapter that is silently permuted would be worse than none."""

Report = Callable[[int, int], None]
"""Told (examples done, examples in all)."""


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters. ``layers``: how many of the upper layers are adapted; all where there are fewer."""

    epochs: int = 3
    rank: int = 8
    learning_rate: float = 3e-4
    layers: int = 8
    seed: int = 1

    @property
    def alpha(self) -> float:
        return 2.0 * self.rank


class Trainer:
    """A base model that adapters are trained on, one after the other, each from the same start.

    Training is deterministic for equal weights, pairs, settings, libraries and number of threads.

    Args:
        weights: A GGUF file; it is dequantised to float32.

    Raises:
        PrerequisiteError: The packages for training are not installed.
        ModelUnavailable: The weights cannot be read, or have another architecture than those known here.
    """

    def __init__(self, weights: Path, settings: Settings) -> None:
        self._torch = training_libraries()
        self._settings = settings
        self._device = "cuda" if self._torch.cuda.is_available() else "cpu"
        self._tokenizer, model = _load(weights)
        self._architecture = _architecture(weights)
        self._upper = Upper(model.to(self._device), settings.layers)
        self._prepared: dict[Any, Any] = {}

    @property
    def device(self) -> str:
        """``cuda`` or ``cpu``."""
        return self._device

    def prepare(self, pairs: Sequence[Pair], report: Report = lambda done, total: None) -> int:
        """Run the frozen layers over all pairs; returns how many of them are too long to be learnt from."""
        for number, pair in enumerate(pairs):
            report(number, len(pairs))
            prompt, reply = encode(self._tokenizer, pair)
            if len(prompt) + len(reply) <= MOST_TOKENS:
                self._prepared[_hashable(pair)] = self._upper.example(prompt, reply)
        report(len(pairs), len(pairs))
        return sum(_hashable(pair) not in self._prepared for pair in pairs)

    def fit(self, pairs: Sequence[Pair], file: Path, report: Report = lambda done, total: None) -> list[float]:
        """Train an adapter and write it to ``file`` as GGUF; returns the mean loss of every epoch, in nats per token.

        Raises:
            ValueError: None of the pairs was prepared.
        """
        examples = [self._prepared[key] for pair in pairs if (key := _hashable(pair)) in self._prepared]
        if not examples:
            raise ValueError("no pair to learn from")
        losses, tensors = self._upper.fit(examples, self._settings, report)
        write_adapter(file, self._architecture, self._settings.alpha, tensors)
        return losses


class Upper:
    """The upper layers of a causal model, cut off so that the lower ones need not be run again.

    Args:
        model: A Llama- or Qwen2-like model of transformers (``model.model.layers``); it is changed in place.
        layers: How many of them are adapted.
    """

    def __init__(self, model: Any, layers: int) -> None:
        self._torch = training_libraries()
        self._model = model.eval().requires_grad_(False)
        self._all = model.model.layers
        self._first = max(0, len(self._all) - layers)

    def example(self, prompt: Sequence[int], reply: Sequence[int]) -> tuple[Any, Any]:
        """What the first adapted layer is given, shape (1, tokens, width), and the ids of the reply."""
        torch = self._torch
        device = self._model.device
        ids = torch.tensor([[*prompt, *reply]], device=device)
        caught: list[Any] = []

        def catch(module: Any, arguments: Any, keywords: Any) -> None:
            caught.append(arguments[0] if arguments else keywords["hidden_states"])
            raise _Reached  # what lies above is not wanted

        hook = self._all[self._first].register_forward_pre_hook(catch, with_kwargs=True)
        try:
            with torch.no_grad():
                self._model.model(input_ids=ids, use_cache=False)
        except _Reached:
            pass
        finally:
            hook.remove()
        return caught[0].clone(), torch.tensor(list(reply), device=device)

    def fit(
        self, examples: Sequence[tuple[Any, Any]], settings: Settings, report: Report = lambda done, total: None
    ) -> tuple[list[float], dict[str, Any]]:
        """Mean loss of each epoch, and the adapter: GGUF tensor name -> float32 array."""
        import peft

        torch = self._torch
        torch.manual_seed(settings.seed)
        model = self._model
        config, whole = model.config, model.config.num_hidden_layers
        model.model.layers = self._all[self._first :]
        config.num_hidden_layers = len(model.model.layers)
        lora = peft.LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, target_modules=list(TARGETS), task_type="CAUSAL_LM"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft's own use of what transformers will rename
            adapted = peft.get_peft_model(model, lora)
        try:
            losses = self._epochs(adapted, examples, settings, report)
            return losses, _tensors(adapted, self._first)
        finally:
            adapted.unload()
            model.model.layers = self._all
            config.num_hidden_layers = whole

    def _epochs(
        self, adapted: Any, examples: Sequence[tuple[Any, Any]], settings: Settings, report: Report
    ) -> list[float]:
        torch = self._torch
        weights = [weight for weight in adapted.parameters() if weight.requires_grad]
        optimiser = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=0.0)
        losses, total = [], settings.epochs * len(examples)
        for epoch in range(settings.epochs):
            order = random.Random(f"{settings.seed}/{epoch}").sample(range(len(examples)), len(examples))
            sums = 0.0
            for start in range(0, len(order), ACCUMULATED):
                group = order[start : start + ACCUMULATED]
                for index in group:
                    loss = self._loss(adapted, *examples[index])
                    (loss / len(group)).backward()
                    sums += float(loss.detach())
                torch.nn.utils.clip_grad_norm_(weights, GRADIENT_NORM)
                optimiser.step()
                optimiser.zero_grad()
                report(epoch * len(examples) + start + len(group), total)
            losses.append(sums / len(examples))
        return losses

    def _loss(self, adapted: Any, states: Any, reply: Any) -> Any:
        """Mean cross entropy of the reply's tokens; what the prompt's tokens would predict is not even computed."""
        logits = adapted(inputs_embeds=states, use_cache=False, logits_to_keep=len(reply) + 1).logits[0, :-1]
        return self._torch.nn.functional.cross_entropy(logits.float(), reply)


class _Reached(Exception):
    pass


def encode(tokenizer: Any, pair: Pair) -> tuple[list[int], list[int]]:
    """Token ids of the prompt, as the model's chat template writes it, and of the reply with its end."""
    prompt = tokenizer.apply_chat_template(
        [dict(message) for message in pair.messages], add_generation_prompt=True, tokenize=False
    )
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    reply = tokenizer(pair.reply + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
    return list(ids), list(reply)


def write_adapter(file: Path, architecture: str, alpha: float, tensors: dict[str, Any]) -> None:
    """Write an adapter as llama.cpp reads it (``llama-adapter.cpp``): ``lora_a`` rank x in, ``lora_b`` out x rank."""
    import gguf

    partial = file.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, values in sorted(tensors.items()):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(file)


def _tensors(adapted: Any, first: int) -> dict[str, Any]:
    """GGUF name -> array of every trained matrix; layer 0 of the cut model is layer ``first`` of the whole."""
    found = {}
    for name, weight in adapted.named_parameters():
        if not weight.requires_grad:
            continue
        parts = name.split(".")  # base_model.model.model.layers.3.self_attn.v_proj.lora_A.default.weight
        layer = int(parts[parts.index("layers") + 1]) + first
        kind = next(part for part in parts if part in ("lora_A", "lora_B"))
        target = TARGETS[parts[parts.index(kind) - 1]]
        found[f"blk.{layer}.{target}.weight.{kind.lower()}"] = weight.detach().float().cpu().contiguous().numpy()
    return found


def _hashable(pair: Pair) -> Any:
    return tuple((m["role"], m["content"]) for m in pair.messages), pair.reply


def training_libraries() -> Any:
    """The training libraries, all or none.

    Raises:
        PrerequisiteError: One of them is missing.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything is read from files at hand
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TQDM_DISABLE", "1")  # progress is told by the caller
    try:
        import accelerate  # noqa: F401 - what transformers loads weights with; missing, it fails late and obscurely
        import gguf  # noqa: F401
        import peft  # noqa: F401
        import torch
        import transformers
    except ImportError as error:
        raise PrerequisiteError(
            f"training needs packages that are not installed ({error.name})",
            hint="pip install 'hyperagent[train]'",
        ) from None
    transformers.utils.logging.disable_progress_bar()
    return torch


def _load(weights: Path) -> tuple[Any, Any]:
    import torch
    import transformers

    options = {"gguf_file": weights.name, "local_files_only": True}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(weights.parent, **options)
        model = transformers.AutoModelForCausalLM.from_pretrained(weights.parent, dtype=torch.float32, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelUnavailable(
            f"{weights} cannot be loaded for training: {error}", hint="Is it whole? `hyperagent model pull` checks it."
        ) from None
    if not hasattr(getattr(model, "model", None), "layers"):
        raise ModelUnavailable(f"{weights.name}: the architecture {model.config.model_type} cannot be trained here")
    return tokenizer, model


def _architecture(weights: Path) -> str:
    import gguf

    field = gguf.GGUFReader(weights).get_field("general.architecture")
    return str(field.contents()) if field is not None else "llama"
