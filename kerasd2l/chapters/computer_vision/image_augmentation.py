"""13.1 Image augmentation."""

from __future__ import annotations

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Expected, Recipe
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.descent import PlainAdam
from kerasd2l.tasks.image_classification import Pictures, image_classification

augmentation = lazy("kerasd2l.data.augmentation")
models = lazy("kerasd2l.models")
np = lazy("numpy")
tf = lazy("tensorflow")


def train_with_data_aug(
    *,
    pictures: Pictures = Pictures("cifar10"),
    changes: Changes = Changes(),
    depths: tuple[int, ...] = (2, 2, 2, 2),
    width: float = 1.0,
    descent: PlainAdam = PlainAdam(0.001, batch_size=256, epochs=10),
) -> Recipe:
    """Train ResNet-18 on CIFAR-10 (50,000 + 10,000, 32 x 32) whose pictures are flipped at random.

    Section: "image-augmentation". ResNet-18 for small pictures, Adam, cross-entropy, as in the
    book, which steps by the sum of the losses over a batch and not their mean: for Adam nearly the
    same. --set horizontal_flip=0 trains without; --set crop_scale=0.6 --set hue=0.1 and the others
    add to it. The builtin coloured shapes train in seconds with --set width=0.125 --set depths=1,1.
    Expected: test accuracy 0.810-0.854 after 10 epochs (d2l notebooks).
    Command: kerasd2l train train_with_data_aug --data files --export
    """
    as_published = (pictures.dataset, changes, depths, width) == (
        "cifar10",
        Changes(),
        (2, 2, 2, 2),
        1.0,
    )
    changes.transforms(32, 32)  # a wrong number stops here
    return image_classification(
        "image-augmentation",
        lambda shape, num_classes: models.resnet18(
            shape, num_classes, depths=depths, width=width, small_stem=True
        ),
        pictures=pictures,
        descent=descent,
        augment=changes.augment,
        expected=Expected("test_accuracy", 0.810, 0.854, "d2l-zh and d2l-en notebooks")
        if as_published
        else None,
    )


def image_augmentation(
    *,
    picture: str = "",
    size: tuple[int, int] = (200, 200),
    count: int = 8,
    seed: int = 0,
) -> Demo:
    """Draw a photograph again and again, each time changed at random, kind by kind.

    Section: "image-augmentation". The book's numbers: flips, crops of 10 to 100 % of the area whose
    ratio is 0.5 to 2, stretched to 200 x 200, brightness, hue and all colours by 0.5, all of it
    together; and random erasing and blur. `picture` is a file; without, it is scikit-learn's china.
    Expected: crops are 200 x 200, everything else is as large as the picture.
    Command: kerasd2l run image_augmentation --set picture=cat1.jpg --out figures
    """
    if count < 1 or len(size) != 2 or min(size) < 1:
        raise ValueError(
            "`count` must be at least 1, `size` (height, width). "
            f"Received: count={count}, size={size}."
        )
    return Demo("image-augmentation", lambda: _show(picture, size, count, seed))


def _show(picture: str, size: tuple[int, int], count: int, seed: int) -> DemoResult:
    x = _read(picture)
    flip = augmentation.RandomHorizontalFlip()
    crop = augmentation.RandomResizedCrop(size, (0.1, 1.0), (0.5, 2.0))
    jitter = augmentation.ColorJitter(0.5, 0.5, 0.5, 0.5)
    kinds = {
        "horizontal flip": [flip],
        "vertical flip": [augmentation.RandomVerticalFlip()],
        "crop": [crop],
        "brightness": [augmentation.ColorJitter(brightness=0.5)],
        "hue": [augmentation.ColorJitter(hue=0.5)],
        "all colours": [jitter],
        "flip, colours, crop": [flip, jitter, crop],
        "erasing": [augmentation.RandomErasing(p=1.0)],
        "blur": [augmentation.GaussianBlur(9, (0.1, 4.0))],
    }
    batch = tf.repeat(x[None], count, axis=0)  # (count, H, W, 3)
    rows = {
        name: augmentation.Augmentation(transforms)(batch, seed=(seed, place))[0].numpy()
        for place, (name, transforms) in enumerate(kinds.items())
    }
    values = {
        "shape of the picture": list(x.shape),
        "shapes of the results": {name: list(row.shape[1:]) for name, row in rows.items()},
        "mean of each result": {name: row.mean((1, 2, 3)).tolist() for name, row in rows.items()},
    }
    images = [np.clip(image, 0, 1) for row in rows.values() for image in row]
    titles = [name if i == 0 else "" for name in rows for i in range(count)]
    figure = figures.pictures(images, titles, columns=count, title="Random changes of a picture")
    return DemoResult(values, {"augmentation": figure})


def _read(picture: str):
    """Return a picture as (H, W, 3) float32 in [0, 1]."""
    if picture:
        pixels = data.decoded.read_picture(data.source.in_home(picture))
    else:
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image("china.jpg")
    return tf.cast(pixels, tf.float32) / 255.0
