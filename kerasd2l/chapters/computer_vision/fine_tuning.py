"""13.2 Fine-tuning."""

from __future__ import annotations

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.run import open_run
from kerasd2l.tasks import fine_tuning as tuning
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.fine_tuning import Body, TwoRates
from kerasd2l.tasks.image_classification import Pictures
from kerasd2l.tasks.transfer import Weights

export = lazy("kerasd2l.export")


def fine_tuning(
    *,
    weights: str = "",
    pictures: Pictures = Pictures("hotdog", resize=224),
    changes: Changes = Changes(crop_scale=0.08),
    frozen: tuple[str, ...] = (),
    body: Body = Body(),
    descent: TwoRates = TwoRates(),
) -> Recipe:
    """Fine-tune ResNet-18 to tell hot dogs from other pictures (2,000 + 800, of any size).

    Section: "fine-tuning". `weights` is a file from `kerasd2l convert resnet18.safetensors --to
    resnet18`, or the folder of a run of any image network here; without, all weights are random.
    The head is new, and learns ten times as quickly as the body; --set frozen=stem,stage_1 leaves
    the first layers as they are, --set frozen=body all but the head. The book steps along the sum
    of the losses of 128 pictures by 5e-5, decay 0.001; along their mean that is 0.0064, decay
    0.001 / 128. From scratch it has one rate: --set learning_rate=0.064 --set head_rate=1.
    Test pictures are stretched to 224 x 224; the book cuts them out of 256 x 256.
    One's own pictures: --set dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.939-0.940 with weights of ImageNet, 0.843-0.850 from scratch (d2l).
    Command: kerasd2l train fine_tuning --data files --set weights=resnet18.keras --export
    """
    as_published = (pictures, frozen, body) == (Pictures("hotdog", resize=224), (), Body())
    published = (0.939, 0.940) if weights else (0.843, 0.850)
    changes.transforms(32, 32)  # a wrong number stops here
    return tuning.fine_tuning(
        "fine-tuning",
        pictures=pictures,
        changes=changes,
        weights=Weights(weights, open_run, export.load_model) if weights else None,
        body=body,
        descent=descent,
        frozen=frozen,
        expected=Expected("test_accuracy", *published, "d2l-zh and d2l-en notebooks")
        if as_published
        else None,
    )
