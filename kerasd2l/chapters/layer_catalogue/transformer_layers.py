"""S.8 Transformer layers."""

from __future__ import annotations

from typing import Any

from kerasd2l import layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def transformer_layers(
    *, num_hiddens: int = 64, ffn_num_hiddens: int = 256, num_steps: int = 200
) -> Demo:
    """Count the weights of attention and of a Transformer's blocks, and see what they can see.

    Section: "transformer-layers". The questions of the catalogue, answered by numbers: does the
    number of weights depend on the number of heads; why are scores divided by the root of the
    width; why can a decoder be trained on all steps at once; what does the order of the steps
    change; what does a longer sequence cost. The encoder's block beside one written out by hand.
    Expected: 8 and 16 heads have 16,640 parameters each, 4 x 64 x 64 + 4 x 64; the blocks have as
    many as PyTorch's TransformerEncoderLayer (49,984) and TransformerDecoderLayer (66,752).
    Command: kerasd2l run transformer_layers
    """
    if num_hiddens < 16 or num_hiddens % 16:
        raise ValueError(
            "`num_hiddens` must be divisible by 16, the most heads. "
            f"Received: num_hiddens={num_hiddens}."
        )
    for name, value in (("ffn_num_hiddens", ffn_num_hiddens), ("num_steps", num_steps)):
        if value < 2:
            raise ValueError(f"`{name}` must be at least 2. Received: {name}={value}.")
    return Demo("transformer-layers", lambda: _run(num_hiddens, ffn_num_hiddens, num_steps))


def _run(num_hiddens: int, ffn_num_hiddens: int, num_steps: int) -> DemoResult:
    x = np.random.default_rng(0).normal(size=(8, num_steps, num_hiddens)).astype("float32")
    values: dict[str, Any] = {"inputs": list(x.shape)}
    for num_heads in (8, 16):
        attention = layers.MultiHeadAttention(num_hiddens, num_heads, use_bias=True, seed=0)
        outputs, weights = attention(x, return_weights=True)
        values[f"attention with {num_heads} heads"] = {
            "outputs": list(outputs.shape),
            "weights of attention": list(weights.shape),
            "parameters": attention.count_params(),
        }
    sizes = (num_hiddens, ffn_num_hiddens, 8)
    encoder = layers.TransformerEncoderBlock(*sizes, use_bias=True, seed=0)
    decoder = layers.TransformerDecoderBlock(*sizes, use_bias=True, seed=0)
    memory = encoder(x)
    attention, ffn, norm = _counts(num_hiddens, ffn_num_hiddens)
    values["encoder's block"] = {
        "outputs": list(memory.shape),
        "parameters": encoder.count_params(),
        "attention + network + 2 norms": attention + ffn + 2 * norm,
        "largest difference to one by hand": _largest(memory, _encoder_by_hand(encoder, x)),
    }
    values["decoder's block"] = {
        "outputs": list(decoder(x, memory).shape),
        "parameters": decoder.count_params(),
        "2 attentions + network + 3 norms": 2 * attention + ffn + 3 * norm,
    }
    values["standard deviation of q . k, and of q . k / sqrt(d)"] = _scores()
    values["what another future changes in the decoder"] = _future(decoder, x, memory)
    values["what another order changes in the encoder"] = _order(encoder, x)
    values["scores of one head"] = {f"{t} steps": t * t for t in (num_steps, 2 * num_steps)}
    return DemoResult(values)


def _counts(num_hiddens: int, ffn_num_hiddens: int) -> tuple[int, int, int]:
    """Return the parameters of attention, of the network for each step, and of a norm."""
    attention = 4 * num_hiddens * num_hiddens + 4 * num_hiddens
    ffn = 2 * num_hiddens * ffn_num_hiddens + ffn_num_hiddens + num_hiddens
    return attention, ffn, 2 * num_hiddens


def _encoder_by_hand(block: Any, x: Any) -> Any:
    """Compute LN(y + FFN(y)), y = LN(x + attention(x)), with the weights of a block."""

    def norm(x: Any, layer: Any) -> Any:
        gamma, beta = layer.get_weights()
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt(x.var(-1, keepdims=True) + layer.epsilon) * gamma + beta

    attention = scratch.CatalogueMultiHeadAttention(block.num_heads, block.num_hiddens)
    attention.build([x.shape] * 3)
    attention.set_weights(block.attention.get_weights())
    y = norm(x + np.asarray(attention([x, x, x])), block.norms[0])
    W_1, b_1, W_2, b_2 = block.ffn.get_weights()
    return norm(y + np.maximum(y @ W_1 + b_1, 0) @ W_2 + b_2, block.norms[1])


def _scores() -> dict[str, list[float]]:
    """Return how wide products of random vectors spread: as the root of their width."""
    rng = np.random.default_rng(1)
    spread = {}
    for d in (16, 64, 256, 1024):
        products = (rng.normal(size=(2000, d)) * rng.normal(size=(2000, d))).sum(-1)
        spread[f"d = {d}"] = [float(products.std()), float(products.std() / d**0.5)]
    return spread


def _future(decoder: Any, x: Any, memory: Any) -> dict[str, float]:
    """Change the second half of the decoder's inputs: its first half must not notice."""
    half = x.shape[1] // 2
    other = np.concatenate([x[:, :half], -x[:, half:]], axis=1)
    before, after = (np.asarray(decoder(some, memory)) for some in (x, other))
    return {
        "outputs before it": _largest(before[:, :half], after[:, :half]),
        "outputs from it on": _largest(before[:, half:], after[:, half:]),
    }


def _order(encoder: Any, x: Any) -> dict[str, float]:
    """Turn the order of the steps around, without positions and with them."""
    positions = layers.PositionalEncoding(max_len=x.shape[1])
    outputs = {"without positions": encoder, "with positions": lambda x: encoder(positions(x))}
    return {
        name: _largest(np.asarray(compute(x))[:, ::-1], np.asarray(compute(x[:, ::-1])))
        for name, compute in outputs.items()
    }


def _largest(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one) - np.asarray(other)).max())
