"""10.8 Transformers for vision."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification

models = lazy("kerasd2l.models")


def vit(
    *,
    pictures: Pictures = Pictures(resize=96),
    patch_size: int = 16,
    num_hiddens: int = 512,
    num_layers: int = 2,
    num_heads: int = 8,
    ffn_num_hiddens: int = 2048,
    dropout_rate: float = 0.1,
    descent: Descent = Descent(0.1, batch_size=128),
) -> Recipe:
    """Train a vision Transformer on Fashion-MNIST (60,000 + 10,000, at 96 x 96).

    Section: "vision-transformer". Patches of 16 x 16, width 512, two blocks, SGD, cross-entropy, as
    in the book. The builtin digits train in seconds with --set resize=32 --set patch_size=8
    --set num_hiddens=64 --set ffn_num_hiddens=128.
    Expected: the book shows a figure only; its text says that ResNet is better on so few pictures.
    Command: kerasd2l train vit --data files --export
    """
    return image_classification(
        "vision-transformer",
        lambda shape, num_classes: models.vit(
            shape,
            num_classes,
            patch_size=patch_size,
            num_hiddens=num_hiddens,
            num_layers=num_layers,
            num_heads=num_heads,
            ffn_num_hiddens=ffn_num_hiddens,
            emb_dropout_rate=dropout_rate,
            dropout_rate=dropout_rate,
        ),
        pictures=pictures,
        descent=descent,
        least=patch_size,
    )
