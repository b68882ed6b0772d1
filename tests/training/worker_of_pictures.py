"""One process of test_worker_rows: trains on a folder of pictures, tells what it read from disk.

python worker_of_pictures.py PICTURES RUN: a worker of TF_CONFIG, or alone without it.
"""

import json
import os
import sys
from pathlib import Path

import keras

from kerasd2l.cluster.cluster import Cluster
from kerasd2l.data import Source
from kerasd2l.data.sets import image_folder
from kerasd2l.training import loop
from kerasd2l.training.strategy import make_strategy


def read_so_far():
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("rchar")))


def main(pictures, out):
    strategy = make_strategy(cluster=Cluster.parse(os.environ.get("TF_CONFIG")))
    keras.utils.set_random_seed(1)
    data = image_folder.load(Source("files", pictures), resize=32, batch_size=20, memory=0)
    with strategy.scope():
        layers = [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
        model = keras.Sequential(layers)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, jit_compile=False)
    before = read_so_far()
    loop.train(model, data, epochs=2, strategy=strategy)
    read = read_so_far() - before
    if out:
        model.save(out)
    print(json.dumps({"read": read}))


if __name__ == "__main__":
    main(*sys.argv[1:])
