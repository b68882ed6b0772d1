"""State dicts as torchvision writes them, with numbers of numpy: what the goldens were made of."""

import numpy as np

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}
VGG = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def shapes(name, num_classes=7):
    """Name -> shape of the arrays of a torchvision network; of a VGG only the features."""
    found = {}

    def conv(key, out, into, size, norm=None):
        found[f"{key}.weight"] = (out, into, size, size)
        if norm is None:
            found[f"{key}.bias"] = (out,)
        else:
            for part in ("weight", "bias", "running_mean", "running_var"):
                found[f"{norm}.{part}"] = (out,)
            found[f"{norm}.num_batches_tracked"] = ()

    if name in VGG:
        into, place = 3, 0
        for count, out in zip(VGG[name], (64, 128, 256, 512, 512), strict=True):
            for _ in range(count):
                conv(f"features.{place}", out, into, 3)
                into, place = out, place + 2
            place += 1
        return found
    wide = 4 if name == "resnet50" else 1
    conv("conv1", 64, 3, 7, "bn1")
    into = 64
    for stage, (count, filters) in enumerate(
        zip(BLOCKS[name], (64, 128, 256, 512), strict=True), 1
    ):
        for block in range(count):
            key = f"layer{stage}.{block}"
            sizes = [(1, filters), (3, filters), (1, filters * wide)]
            sizes = sizes if wide == 4 else [(3, filters), (3, filters)]
            last = into
            for i, (size, out) in enumerate(sizes, 1):
                conv(f"{key}.conv{i}", out, last, size, f"{key}.bn{i}")
                last = out
            if block == 0 and (stage > 1 or wide == 4):
                conv(f"{key}.downsample.0", last, into, 1, f"{key}.downsample.1")
            into = last
    found["fc.weight"], found["fc.bias"] = (num_classes, into), (num_classes,)
    return found


def arrays(name, seed=0):
    """Return the state dict: the same numbers on every machine."""
    random = np.random.RandomState(seed)  # numpy's frozen stream
    made = {}
    for key, shape in sorted(shapes(name).items()):
        if key.endswith("num_batches_tracked"):
            made[key] = np.array(5, "int64")
        elif key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
            made[key] = random.uniform(0.5, 1.0, shape).astype("float32")
        elif len(shape) > 1:
            deviation = np.sqrt(2.0 / np.prod(shape[1:]))
            made[key] = (random.standard_normal(shape) * deviation).astype("float32")
        else:
            made[key] = (random.standard_normal(shape) * 0.1).astype("float32")
    return made


def pixels(height=64, width=96):
    return np.random.RandomState(1).uniform(size=(1, height, width, 3)).astype("float32")
