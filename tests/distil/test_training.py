"""Training on a tiny model with random weights: what is learnt, what stays as it was, what llama.cpp is given."""

from __future__ import annotations

import sys

import pytest

from hyperagent.distil.pairs import Pair
from hyperagent.distil.training import Settings, Upper, encode, training_libraries, write_adapter
from hyperagent.errors import PrerequisiteError

SETTINGS = Settings(epochs=30, rank=4, learning_rate=0.05, layers=2, seed=3)
EXAMPLES = [([5, 6, 7, 8], [9, 10, 2]), ([5, 6, 8, 7], [11, 10, 2]), ([1, 6, 8, 7], [12, 2])]


def test_missing_packages_are_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(PrerequisiteError, match="accelerate") as missing:
        training_libraries()
    assert missing.value.hint == "pip install 'hyperagent[train]'"
    assert missing.value.exit_code == 3


def test_the_prompt_is_the_chat_templates_and_the_reply_ends():
    class Tokenizer:
        eos_token = "$"

        def apply_chat_template(self, messages, add_generation_prompt, tokenize):
            assert (add_generation_prompt, tokenize) == (True, False)
            return "".join(f"<{message['role']}>{message['content']}" for message in messages) + "<assistant>"

        def __call__(self, text, add_special_tokens):
            assert not add_special_tokens
            return {"input_ids": [ord(letter) for letter in text]}

    prompt, reply = encode(Tokenizer(), Pair(({"role": "user", "content": "hi"},), "{}"))
    assert "".join(map(chr, prompt)) == "<user>hi<assistant>"
    assert "".join(map(chr, reply)) == "{}$"


@pytest.fixture(scope="module")
def torch():
    for name in ("accelerate", "gguf", "peft", "transformers"):
        pytest.importorskip(name, exc_type=ImportError)
    return training_libraries()


@pytest.fixture
def model(torch):
    import transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=1, pad_token_id=0, bos_token_id=1, eos_token_id=2, initializer_range=0.3,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def test_only_the_reply_counts_and_the_cut_model_is_the_whole_one(model, torch):
    """With a learning rate of nothing, the loss is that of the whole model on the tokens of the reply alone."""
    losses = []
    for prompt, reply in EXAMPLES:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *reply]])).logits[0, len(prompt) - 1 : -1]
        losses.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor(reply))))
    upper = Upper(model, 2)
    found, _ = upper.fit([upper.example(*one) for one in EXAMPLES], Settings(1, 4, 1e-12, 2, 3))
    assert found[0] == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_it_learns_the_same_each_time_and_leaves_the_base_alone(model, torch):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    upper = Upper(model, 2)
    examples = [upper.example(*one) for one in EXAMPLES]
    told: list[tuple[int, int]] = []
    losses, tensors = upper.fit(examples, SETTINGS, lambda done, total: told.append((done, total)))
    again, others = upper.fit(examples, SETTINGS)
    assert losses[-1] < 0.8 * losses[0]
    assert told[-1] == (90, 90)
    assert losses == again
    assert all((tensors[name] == others[name]).all() for name in tensors)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert model.config.num_hidden_layers == 4
    assert upper.fit(examples, Settings(30, 4, 0.05, 2, 4))[0] != losses


def test_the_file_names_the_layers_of_the_whole_model(model, tmp_path):
    import gguf

    upper = Upper(model, 2)
    _, tensors = upper.fit([upper.example(*one) for one in EXAMPLES], SETTINGS)
    file = tmp_path / "adapter.gguf"
    write_adapter(file, "llama", SETTINGS.alpha, tensors)
    reader = gguf.GGUFReader(file)
    found = {tensor.name: tensor.data for tensor in reader.tensors}
    assert {name.split(".")[1] for name in found} == {"2", "3"}
    assert len(found) == 2 * 5 * 2
    assert found["blk.3.ffn_down.weight.lora_a"].shape == (4, 32)
    assert found["blk.3.ffn_down.weight.lora_b"].shape == (16, 4)
    assert (found["blk.2.attn_v.weight.lora_b"] == tensors["blk.2.attn_v.weight.lora_b"]).all()
    assert reader.get_field("adapter.type").contents() == "lora"
    assert reader.get_field("adapter.lora.alpha").contents() == 8.0
    assert reader.get_field("general.architecture").contents() == "llama"
    assert not file.with_suffix(".partial").exists()
