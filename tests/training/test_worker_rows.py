"""Two workers read half of the pictures each, and train what one device trains."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import small
from PIL import Image

SCRIPT = Path(__file__).with_name("worker_of_pictures.py")


def start(pictures, out, **env):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"} | env
    command = [sys.executable, str(SCRIPT), str(pictures), str(out)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, env=environment)


def read_by(process):
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])["read"]


@pytest.mark.slow
@pytest.mark.multiworker
@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="/proc/self/io tells what was read")
def test_each_worker_reads_its_own_pictures_only(tmp_path):
    rng, pictures = np.random.default_rng(0), tmp_path / "pictures"
    for split, count in (("train", 100), ("test", 10)):
        for kind in ("a", "b"):
            (pictures / split / kind).mkdir(parents=True)
            for i in range(count):
                noise = rng.integers(0, 256, (96, 96, 3), np.uint8)  # 27 kB
                Image.fromarray(noise).save(pictures / split / kind / f"{i}.png")
    files = [path.stat().st_size for path in pictures.rglob("*.png")]
    alone = read_by(start(pictures, tmp_path / "alone.keras"))
    assert alone > 2 * sum(files) * 0.99  # two epochs, the pictures of both splits
    with socket.socket() as a, socket.socket() as b:
        for sock in (a, b):
            sock.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{sock.getsockname()[1]}" for sock in (a, b)]
    processes = [
        start(
            pictures,
            tmp_path / "both.keras" if i == 0 else "",
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}}
            ),
        )
        for i in range(2)
    ]
    read = [read_by(process) for process in processes]
    print(f"bytes read: alone {alone:,}, two workers {read[0]:,} and {read[1]:,}")
    assert max(read) < 0.6 * alone, (read, alone)
    both, one = (
        keras.saving.load_model(tmp_path / name, compile=False)
        for name in ("both.keras", "alone.keras")
    )
    assert small.difference(one, both) < 1e-5
