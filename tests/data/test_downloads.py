import hashlib
import multiprocessing
import socket
import threading
import time

import pytest

from kerasd2l.data import DataError, Source, download, downloads, fetch

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = {"timeout": 5.0, "retries": 2, "backoff": 0.01}


def test_right_hash_is_kept_and_reused(server, tmp_path):
    server.files["a"] = CONTENT
    path = download(server.url + "a", tmp_path / "deep" / "a", SHA256, **QUICK)
    assert path.read_bytes() == CONTENT
    assert sorted(p.name for p in path.parent.iterdir()) == [".a.lock", "a"]
    download(server.url + "a", path, SHA256.upper(), **QUICK)
    assert len(server.requests) == 1


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_published_hashes_of_every_kind(server, tmp_path, algorithm):
    server.files["a"] = CONTENT
    digest = hashlib.new(algorithm, CONTENT).hexdigest()
    assert download(server.url + "a", tmp_path / "a", digest, **QUICK).is_file()


def test_wrong_file_on_disk_is_never_used(server, tmp_path):
    server.files["a"] = CONTENT
    (tmp_path / "a").write_bytes(b"half a file")
    assert download(server.url + "a", tmp_path / "a", SHA256, **QUICK).read_bytes() == CONTENT


def test_wrong_content_is_refused_at_once_and_leaves_nothing(server, tmp_path):
    server.files["a"] = CONTENT[:-1] + b"x"
    with pytest.raises(DataError, match=f"cannot download a .*wrong content.*expected {SHA256}"):
        download(server.url + "a", tmp_path / "a", SHA256, **QUICK)
    assert [p.name for p in tmp_path.iterdir()] == [".a.lock"]
    assert len(server.requests) == 1


def test_hash_is_mandatory(tmp_path):
    for digest in ("", "abc", "z" * 64):
        with pytest.raises(ValueError, match="`digest` must be"):
            download("http://127.0.0.1/a", tmp_path / "a", digest)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a", "/etc/passwd"])
def test_only_http(tmp_path, url):
    with pytest.raises(ValueError, match="must start with https"):
        download(url, tmp_path / "a", SHA256)


def test_redirect_to_a_file_is_not_followed(server, tmp_path):
    (tmp_path / "secret").write_bytes(CONTENT)
    server.files["a"] = CONTENT
    server.faults["a"] = [f"to file://{tmp_path}/secret"] * 3
    with pytest.raises(DataError, match="cannot download"):
        download(server.url + "a", tmp_path / "a", SHA256, **QUICK)


def test_redirect_to_http_is_followed(server, tmp_path):
    server.files["a"] = server.files["b"] = CONTENT
    server.faults["a"] = [f"to {server.url}b"]
    assert download(server.url + "a", tmp_path / "a", SHA256, **QUICK).is_file()


def test_404_is_not_asked_again_and_the_mirror_helps(server, tmp_path):
    with pytest.raises(DataError, match="HTTP 404"):
        download(server.url + "a", tmp_path / "a", SHA256, **QUICK)
    assert len(server.requests) == 1
    server.files["b/a"] = CONTENT
    download([server.url + "a", server.url + "b/a"], tmp_path / "a", SHA256, **QUICK)


def test_503_is_asked_again(server, tmp_path):
    server.files["a"] = CONTENT
    server.faults["a"] = [503, 503]
    assert download(server.url + "a", tmp_path / "a", SHA256, **QUICK).is_file()
    assert len(server.requests) == 3


def test_broken_transfer_starts_anew(server, tmp_path):
    server.files["a"] = CONTENT
    server.faults["a"] = ["dies"]
    assert download(server.url + "a", tmp_path / "a", SHA256, **QUICK).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_silent_end_without_length_is_noticed(server, tmp_path):
    server.files["a"] = CONTENT[:1000]
    server.faults["a"] = ["no length"] * 3
    with pytest.raises(DataError, match="wrong content"):
        download(server.url + "a", tmp_path / "a", SHA256, **QUICK)


def test_always_broken_gives_up(server, tmp_path):
    server.files["a"], server.ranges = CONTENT, False
    server.faults["a"] = ["dies"] * 9
    with pytest.raises(DataError, match=r"broke off: .*512000"):
        download(server.url + "a", tmp_path / "a", SHA256, **QUICK)
    assert len(server.requests) == 3
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("fault", "told"), [("slow", "timed out"), ("trickles", "too slow")])
def test_slow_server(server, tmp_path, fault, told, monkeypatch):
    monkeypatch.setattr(downloads, "MIN_BYTES_PER_SECOND", 10_000)
    server.files["a"] = CONTENT
    server.faults["a"] = [fault] * 9
    began = time.monotonic()
    with pytest.raises(DataError, match=told):
        download(server.url + "a", tmp_path / "a", SHA256, timeout=0.2, retries=1, backoff=0.01)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("fault", [None, "no length"])
def test_too_large_is_refused(server, tmp_path, fault):
    server.files["a"] = CONTENT
    server.faults["a"] = [fault]
    with pytest.raises(DataError, match="too large"):
        download(server.url + "a", tmp_path / "a", SHA256, max_bytes=1000, **QUICK)
    assert [p.name for p in tmp_path.iterdir()] == [".a.lock"]


def test_nobody_there(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a"
    began = time.monotonic()
    with pytest.raises(DataError, match="refused"):
        download(url, tmp_path / "a", SHA256, timeout=30, retries=9, backoff=0.01)
    assert time.monotonic() - began < 5


def test_no_answer_to_connect(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "CONNECT_TIMEOUT", 0.1)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        queue = []
        for _ in range(3):  # fill its queue, so that the next connection hangs
            queue.append(socket.socket())
            queue[-1].setblocking(False)
            queue[-1].connect_ex(deaf.getsockname())
        began = time.monotonic()
        with pytest.raises(DataError, match="timed out"):
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}/a"
            download(url, tmp_path / "a", SHA256, timeout=30, retries=9, backoff=0.01)
        assert time.monotonic() - began < 5
        for connection in queue:
            connection.close()


def test_threads_download_once(server, tmp_path):
    server.files["a"] = CONTENT
    arguments = (server.url + "a", tmp_path / "a", SHA256)
    threads = [threading.Thread(target=download, args=arguments) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_processes_download_once(server, tmp_path):
    server.files["a"] = CONTENT
    arguments = (server.url + "a", tmp_path / "a", SHA256)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=download, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(server.requests) == 1


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot write in .*XDG_CACHE_HOME"):
        download("http://127.0.0.1/a", tmp_path / "file" / "a", SHA256)


def test_fetch_brings_all_files(server, tmp_path):
    server.files.update({"x/a": CONTENT, "x/b": b"b"})
    digests = {"a": SHA256, "b": hashlib.sha1(b"b").hexdigest()}
    source = Source(retries=0, timeout=5)
    fetch(tmp_path, digests, [server.url + "none/", server.url + "x/"], source)
    assert (tmp_path / "b").read_bytes() == b"b"
