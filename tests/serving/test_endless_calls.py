"""A model whose call does not end: the process is replaced, and Ctrl-C twice ends the server."""

import asyncio
import json
import signal
import threading
import time
import urllib.error
import urllib.request

import pytest
import tensorflow as tf

pytest.importorskip("orjson", reason="needs the extra kerasd2l[serve]")

from kerasd2l.serving.server.supervisor import ModelProcess

pytestmark = pytest.mark.slow  # test_batching.py has how such a call is noticed
OPTIONS = {"versions": 1, "config": None, "together": True, "most": 9, "patience": 0.5}
ENDLESS = b'{"inputs": {"n": 1000000000000}}'
PREDICT = {"api": "rest", "method": "POST", "path": "/v1/models/counts:predict"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that counts to n."""
    module, path = tf.Module(), tmp_path_factory.mktemp("endless")

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, name="n")])
    def count(n):
        (reached,) = tf.while_loop(lambda i: i < n, lambda i: (i + 1,), (tf.zeros_like(n),))
        return {"reached": reached}

    module.count = count
    tf.saved_model.save(module, str(path / "counts" / "1"), signatures=count)
    return path


def test_a_process_whose_model_does_not_end_is_replaced(folder):
    said = []

    async def ask():
        models = ModelProcess({"folder": str(folder), **OPTIONS}, said.append)
        supervising = asyncio.create_task(models.supervise())
        await asyncio.wait_for(models.ready.wait(), 60)
        first = models.pid
        late = await models.ask(PREDICT, ENDLESS, 0.2)
        while models.pid == first or not models.ready.is_set():
            await asyncio.sleep(0.05)
        good = await models.ask(PREDICT, b'{"inputs": {"n": 3}}', 10)
        await models.stop()
        await supervising
        return late, good

    late, good = asyncio.run(asyncio.wait_for(ask(), 60))
    assert late.status == 504
    assert json.loads(good.body) == {"outputs": 3}
    assert any("counts/1: a call runs on 0.5 s after" in text for text in said)


def test_a_second_interrupt_does_not_wait_for_what_has_begun(folder, load_script):
    status, seconds = [], []

    def ask(http):
        try:
            urllib.request.urlopen(f"{http}/v1/models/counts:predict", ENDLESS)
        except urllib.error.HTTPError as error:
            status.append(error.code)

    serving = load_script("serving_process").serving
    with (
        pytest.raises(RuntimeError, match="ended by itself with exit code 0"),
        serving(folder, "--timeout", "60") as server,
    ):
        asking = threading.Thread(target=ask, args=[server.http])
        asking.start()
        time.sleep(1.0)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert server.process.poll() is None
        begin = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        asking.join()
        server.process.wait(20)
        seconds.append(time.monotonic() - begin)
    assert status == [503]
    assert seconds[0] < 10
