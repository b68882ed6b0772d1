"""Arguments with which `check_recipe` runs a recipe whose defaults are too large for a test.

The networks stay whole - every layer, every block - only narrower and on smaller pictures.
"""

SMALL_ARGUMENTS = {
    "convolutional_modern/alexnet": {"resize": 65, "width": 0.1, "dense_units": "32,32"},
    "convolutional_modern/vgg": {"resize": 32, "width": 0.1, "dense_units": "32,32"},
    "convolutional_modern/nin": {"resize": 67, "width": 0.1},
    "convolutional_modern/googlenet": {"resize": 32, "width": 0.125},
    "convolutional_modern/resnet18": {"resize": 32, "width": 0.125},
    "convolutional_modern/resnext": {"resize": 32, "width": 0.25},
    "convolutional_modern/densenet": {"resize": 32, "width": 0.25},
    "convolutional_modern/regnet": {"resize": 32, "width": 0.25},
}
