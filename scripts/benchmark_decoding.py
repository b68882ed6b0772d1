#!/usr/bin/env python
"""Time writing with cached keys and values: token by token, beside re-reading, beside PyTorch.

A GPT of 4 blocks of width 256 writes greedily in a graph. Printed are milliseconds a token from
the 10th to the 200th, the rate against reading the whole text again for each token, where 128 are
written, and PyTorch's rate with the same weights, the same cache (buffers of the longest text) and
the same tokens written. Figures want a quiet machine.
"""

from __future__ import annotations

import functools
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import click

from kerasd2l.cli import say, use_tensorflow

VOCABULARY, WIDTH, BLOCKS, HEADS, LONGEST = 5000, 256, 4, 4, 256


@click.command()
@click.option("--batch-size", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True)
@click.option("--xla", is_flag=True, help="Compile our loop with XLA, for each length anew.")
@click.option("--torch/--no-torch", "with_torch", default=True)
def main(batch_size: int, rounds: int, xla: bool, with_torch: bool) -> None:
    """Print one JSON object."""
    use_tensorflow()
    import numpy as np
    import tensorflow as tf

    from kerasd2l import decoding, models

    model = models.GPT(
        VOCABULARY, num_hiddens=WIDTH, num_layers=BLOCKS, num_heads=HEADS, max_len=LONGEST, seed=0
    )
    prefix = np.random.RandomState(0).randint(1, VOCABULARY, (batch_size, 1)).astype("int32")
    model(prefix)

    @tf.function(jit_compile=xla)
    def write(tokens, count):
        return decoding.generate(
            lambda rows, places: model.begin(rows, LONGEST),
            lambda t, token, state: _one(*model.step(token[:, None], state)),
            tokens,
            num_tokens=count,
        )

    @tf.function(reduce_retracing=True)
    def reread(tokens):
        return model(tokens)[:, -1]

    def wrote(count: int) -> Any:
        return np.asarray(write(prefix, count if xla else tf.constant(count)))

    times: dict[int, list[float]] = {count: [] for count in (10, 60, 100, 150, 200)}
    for count in times if xla else (10,):
        wrote(count)  # compiles
    for _ in range(rounds):  # in turns: differences are told
        for count, line in times.items():
            line.append(_seconds(functools.partial(wrote, count)))
    spent = {count: statistics.median(line) for count, line in times.items()}
    long = np.concatenate([prefix, wrote(200)[:, :127]], axis=1)
    again = _median(lambda: np.asarray(reread(long)), rounds)
    near = (spent[200] - spent[100]) / 100
    found = {
        "batch_size": batch_size,
        "ms a token, 10th to 60th": _ms((spent[60] - spent[10]) / 50),
        "ms a token, 150th to 200th": _ms((spent[200] - spent[150]) / 50),
        "ms a token, 200 tokens": _ms(spent[200] / 200),
        "ms to read 128 tokens again": _ms(again),
        "times as fast as reading again": round(again / near, 2),
    }
    if with_torch:
        theirs = _torch_writer(model, prefix)
        same = float((theirs(200).numpy() == wrote(200)).mean())
        say(f"{same:.1%} of the tokens are PyTorch's")
        turns = [
            (_seconds(lambda: wrote(200)), _seconds(lambda: theirs(200))) for _ in range(rounds)
        ]
        ours, others = (statistics.median(column) for column in zip(*turns, strict=True))
        found |= {"PyTorch, ms a token": _ms(others / 200), "ratio": round(others / ours, 3)}
    click.echo(json.dumps(found))


def _one(logits: Any, state: Any) -> tuple[Any, Any]:
    return logits[:, 0], state


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _median(run: Callable[[], Any], rounds: int) -> float:
    run()  # compiles
    return statistics.median(_seconds(run) for _ in range(rounds))


def _torch_writer(model: Any, prefix: Any) -> Callable[[int], Any]:
    """Return a function that writes so many tokens in PyTorch with the weights of ours."""
    import numpy as np
    import torch
    from torch.nn import functional as F

    def weights(layer: Any) -> list[Any]:
        return [torch.tensor(np.asarray(weight)) for weight in layer.weights]

    table, places = weights(model.embedding)[0], weights(model.positions)[0]
    last = weights(model.last_norm)
    blocks = []
    for block in model.blocks:
        part = block.attention
        blocks.append(
            {
                "q": weights(part.W_q), "k": weights(part.W_k),
                "v": weights(part.W_v), "o": weights(part.W_o),
                "1": weights(block.ffn.dense1), "2": weights(block.ffn.dense2),
                "norms": [weights(norm) for norm in block.norms],
            }
        )  # fmt: skip
    for block in blocks:  # as `nn.Linear` has them
        for key in "qkvo12":
            block[key] = [block[key][0].T.contiguous(), block[key][1]]

    @torch.inference_mode()
    def write(count: int) -> Any:
        rows, size = len(prefix), WIDTH // HEADS
        caches = [torch.zeros(2, rows, HEADS, LONGEST, size) for _ in blocks]
        token, written = torch.tensor(prefix[:, 0].astype("int64")), []
        for t in range(count):
            x = table[token] + places[t]
            for block, cache in zip(blocks, caches, strict=True):
                h = F.layer_norm(x, (WIDTH,), *block["norms"][0], 1e-5)
                q, k, v = (F.linear(h, *block[key]).view(rows, HEADS, 1, size) for key in "qkv")
                cache[0, :, :, t : t + 1], cache[1, :, :, t : t + 1] = k, v
                y = F.scaled_dot_product_attention(
                    q, cache[0, :, :, : t + 1], cache[1, :, :, : t + 1]
                )
                x = x + F.linear(y.view(rows, WIDTH), *block["o"])
                h = F.layer_norm(x, (WIDTH,), *block["norms"][1], 1e-5)
                x = x + F.linear(F.gelu(F.linear(h, *block["1"])), *block["2"])
            logits = F.layer_norm(x, (WIDTH,), *last, 1e-5) @ table.T
            logits[:, 0] = -torch.inf  # `<unk>` is never written
            token = logits.argmax(-1)
            written.append(token)
        return torch.stack(written, 1)

    return write


if __name__ == "__main__":
    main()
