"""Networks on words, patches and sentences as a user of PyTorch writes them, to time ours beside.

Each is made of PyTorch's own parts (`nn.Transformer*`, which call `scaled_dot_product_attention`,
`nn.LSTM`, `nn.Conv1d`), has the sizes of the recipe's model, and takes the recipe's own batches.
`loss` is the mean that the recipe's loss is. No weights are copied: only the time counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from kerasd2l.recipe import Recipe


def padding(lengths: torch.Tensor, steps: int) -> torch.Tensor:
    """Return (B, T) bool, True where a text has ended, as PyTorch's masks have it."""
    return torch.arange(steps) >= lengths[:, None]


def masked_mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the sum of weighted losses by the number of examples, as Keras has it."""
    return (losses * weights).sum() / losses.numel()


class Translator(nn.Module):
    """Encoder and decoder of `nn.TransformerEncoder` and `nn.TransformerDecoder`."""

    def __init__(self, vocabularies: tuple[int, int], arguments: dict):
        super().__init__()
        width, layers = arguments["num_hiddens"], arguments["num_layers"]
        rate, first = arguments["dropout_rate"], arguments["norm"] == "pre"
        block = {"dropout": rate, "batch_first": True, "norm_first": first}
        sizes = (width, arguments["num_heads"], arguments["ffn_num_hiddens"])
        self.scale, self.rate = width**0.5, rate
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size in vocabularies)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(*sizes, **block),
            layers,
            nn.LayerNorm(width) if first else None,
            enable_nested_tensor=False,
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(*sizes, **block),
            layers,
            nn.LayerNorm(width) if first else None,
        )
        self.output = nn.Linear(width, vocabularies[1])
        place = torch.arange(1000.0)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
        self.register_buffer("waves", torch.stack([place.sin(), place.cos()], -1).flatten(1))

    def embed(self, side: int, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embeddings[side](tokens) * self.scale + self.waves[: tokens.shape[1]]
        return F.dropout(x, self.rate, self.training)

    def loss(self, x: dict, y: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        ended = padding(x["source_lengths"], x["source"].shape[1])
        memory = self.encoder(self.embed(0, x["source"]), src_key_padding_mask=ended)
        written = self.embed(1, x["decoder_input"])
        causal = nn.Transformer.generate_square_subsequent_mask(written.shape[1])
        out = self.decoder(
            written,
            memory,
            tgt_mask=causal,
            tgt_is_causal=True,
            memory_key_padding_mask=ended,
        )
        losses = F.cross_entropy(self.output(out).flatten(0, 1), y.flatten(), reduction="none")
        return masked_mean(losses, weights.flatten())


class VisionTransformer(nn.Module):
    """Patches, a class token, `nn.TransformerEncoder`."""

    def __init__(self, pixels: tuple[int, int, int], classes: int, arguments: dict):
        super().__init__()
        height, width, channels = pixels
        side, hidden = arguments["patch_size"], arguments["num_hiddens"]
        self.patches = nn.Conv2d(channels, hidden, side, side)
        self.first = nn.Parameter(torch.zeros(1, 1, hidden))
        count = height // side * (width // side) + 1
        self.positions = nn.Parameter(torch.randn(1, count, hidden))
        block = nn.TransformerEncoderLayer(
            hidden,
            arguments["num_heads"],
            arguments["ffn_num_hiddens"],
            arguments["dropout_rate"],
            "gelu",
            batch_first=True,
            norm_first=True,
        )
        layers = arguments["num_layers"]
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, classes))

    def loss(self, x: torch.Tensor, y: torch.Tensor, weights: None) -> torch.Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(patches), -1, -1), patches], 1) + self.positions
        return F.cross_entropy(self.head(self.blocks(x)[:, 0]), y)


class Writer(nn.Module):
    """A causal `nn.TransformerEncoder`, whose embedding is its output, too."""

    def __init__(self, vocab_size: int, arguments: dict):
        super().__init__()
        width, rate = arguments["num_hiddens"], arguments["dropout_rate"]
        self.embedding = nn.Embedding(vocab_size, width)
        self.positions = nn.Parameter(torch.randn(arguments["num_steps"], width) * 0.02)
        self.dropout = nn.Dropout(rate)
        block = nn.TransformerEncoderLayer(
            width,
            arguments["num_heads"],
            4 * width,
            rate,
            "gelu",
            batch_first=True,
            norm_first=True,
        )
        norm = nn.LayerNorm(width)
        self.blocks = nn.TransformerEncoder(
            block, arguments["num_layers"], norm, enable_nested_tensor=False
        )

    def loss(self, x: torch.Tensor, y: torch.Tensor, weights: None) -> torch.Tensor:
        causal = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        h = self.dropout(self.embedding(x) + self.positions[: x.shape[1]])
        h = self.blocks(h, mask=causal, is_causal=True)
        logits = h @ self.embedding.weight.T
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())


class Bert(nn.Module):
    """`nn.TransformerEncoder` with the two tasks of pre-training."""

    def __init__(self, vocab_size: int, arguments: dict):
        super().__init__()
        width, max_len = arguments["num_hiddens"], max(arguments["max_len"], 1)
        self.tokens, self.segments = nn.Embedding(vocab_size, width), nn.Embedding(2, width)
        self.positions = nn.Parameter(torch.randn(max_len, width))
        block = nn.TransformerEncoderLayer(
            width,
            arguments["num_heads"],
            arguments["ffn_num_hiddens"],
            arguments["dropout_rate"],
            batch_first=True,
        )
        self.blocks = nn.TransformerEncoder(
            block, arguments["num_layers"], enable_nested_tensor=False
        )
        hidden = (nn.Linear(width, width), nn.ReLU(), nn.LayerNorm(width))
        self.mlm = nn.Sequential(*hidden, nn.Linear(width, vocab_size))
        self.nsp = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))

    def loss(self, x: dict, y: dict, weights: dict) -> torch.Tensor:
        h = self.tokens(x["tokens"]) + self.segments(x["segments"])
        h = h + self.positions[: h.shape[1]]
        h = self.blocks(h, src_key_padding_mask=padding(x["valid_lens"], h.shape[1]))
        chosen = h[torch.arange(len(h))[:, None], x["pred_positions"]]  # (B, P, D)
        losses = F.cross_entropy(
            self.mlm(chosen).flatten(0, 1), y["mlm"].flatten(), reduction="none"
        )
        return masked_mean(losses, weights["mlm"].flatten()) + F.cross_entropy(
            self.nsp(h[:, 0]), y["nsp"]
        )


class BiRNN(nn.Module):
    """`nn.LSTM` in both directions on packed sequences; its first and last steps tell the class."""

    def __init__(self, vocab_size: int, arguments: dict):
        super().__init__()
        hidden = arguments["num_hiddens"]
        self.embedding = nn.Embedding(vocab_size, arguments["embed_size"])
        self.lstm = nn.LSTM(
            arguments["embed_size"],
            hidden,
            arguments["num_layers"],
            bidirectional=True,
            batch_first=True,
        )
        self.head = nn.Linear(4 * hidden, 2)

    def loss(self, x: dict, y: torch.Tensor, weights: None) -> torch.Tensor:
        lengths = x["lengths"].clamp(min=1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(x["tokens"]), lengths, batch_first=True, enforce_sorted=False
        )
        h, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        last = h[torch.arange(len(h)), lengths - 1]
        return F.cross_entropy(self.head(torch.cat([h[:, 0], last], 1)), y)


class TextCNN(nn.Module):
    """Two embeddings, three `nn.Conv1d`, the maximum over time."""

    def __init__(self, vocab_size: int, arguments: dict):
        super().__init__()
        width = arguments["embed_size"]
        self.learned, self.fixed = (nn.Embedding(vocab_size, width) for _ in range(2))
        self.fixed.weight.requires_grad_(False)
        self.convolutions = nn.ModuleList(nn.Conv1d(2 * width, 100, k) for k in (3, 4, 5))
        self.head = nn.Sequential(nn.Dropout(arguments["dropout_rate"]), nn.Linear(300, 2))

    def loss(self, x: dict, y: torch.Tensor, weights: None) -> torch.Tensor:
        words = torch.cat([self.learned(x["tokens"]), self.fixed(x["tokens"])], 2).transpose(1, 2)
        strongest = [F.relu(convolution(words).amax(-1)) for convolution in self.convolutions]
        return F.cross_entropy(self.head(torch.cat(strongest, 1)), y)


class DecomposableAttention(nn.Module):
    """Attend, compare, aggregate."""

    def __init__(self, vocab_size: int, arguments: dict):
        super().__init__()
        width, hidden = arguments["embed_size"], arguments["num_hiddens"]
        rate = arguments["dropout_rate"]

        def two_layers(size: int) -> nn.Module:
            first = (nn.Dropout(rate), nn.Linear(size, hidden), nn.ReLU())
            return nn.Sequential(*first, nn.Dropout(rate), nn.Linear(hidden, hidden), nn.ReLU())

        self.embedding = nn.Embedding(vocab_size, width)
        self.f, self.g, self.h = two_layers(width), two_layers(2 * width), two_layers(2 * hidden)
        self.head = nn.Linear(hidden, 3)

    def loss(self, x: dict, y: torch.Tensor, weights: None) -> torch.Tensor:
        a, b = (self.embedding(x[side]) for side in ("premise", "hypothesis"))
        ends = [
            padding(x[f"{side}_lengths"], x[side].shape[1]) for side in ("premise", "hypothesis")
        ]
        e = self.f(a) @ self.f(b).transpose(1, 2)  # (B, S, T)
        low = torch.finfo(e.dtype).min
        beta = e.masked_fill(ends[1][:, None], low).softmax(-1) @ b
        alpha = e.transpose(1, 2).masked_fill(ends[0][:, None], low).softmax(-1) @ a
        sums = [
            self.g(torch.cat(both, 2)).masked_fill(end[..., None], 0).sum(1)
            for both, end in zip(((a, beta), (b, alpha)), ends, strict=True)
        ]
        return F.cross_entropy(self.head(self.h(torch.cat(sums, 1))), y)


class SkipGram(nn.Module):
    """The book's: `bmm` of two embeddings, the masked logistic loss."""

    def __init__(self, vocab_size: int, arguments: dict):
        super().__init__()
        self.v, self.u = (nn.Embedding(vocab_size, arguments["embed_size"]) for _ in range(2))

    def loss(self, x: dict, y: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        v, u = self.v(x["inputs"][:, None]), self.u(x["outputs"])
        logits = torch.bmm(v, u.transpose(1, 2))[:, 0]  # (B, P)
        losses = F.binary_cross_entropy_with_logits(logits, y, weights, reduction="none")
        return losses.sum() / losses.numel()


_OF_A_VOCABULARY: dict[str, Callable[[int, dict], nn.Module]] = {
    "gpt_lm": Writer,
    "bert_pretraining": Bert,
    "birnn": BiRNN,
    "textcnn": TextCNN,
    "decomposable_attention": DecomposableAttention,
    "word2vec": SkipGram,
}


def has(recipe: Recipe) -> bool:
    """Whether a recipe's network has a counterpart here."""
    return _name(recipe) in {"transformer", "vit", *_OF_A_VOCABULARY}


def network(recipe: Recipe, assets: Any, model: Any) -> nn.Module:
    """Return the counterpart of a recipe's model; see `has`."""
    name, arguments = _name(recipe), dict(recipe.arguments)
    if name == "transformer":
        sizes = (model.encoder.vocab_size, model.decoder.vocab_size)
        return Translator(sizes, arguments)
    if name == "vit":
        return VisionTransformer(model.input_shape[1:], model.output_shape[-1], arguments)
    return _OF_A_VOCABULARY[name](len(assets["vocabulary"]), arguments)


def _name(recipe: Recipe) -> str:
    return recipe.name.rpartition("/")[2]
