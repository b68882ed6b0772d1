import keras
import numpy as np
import pytest

from kerasd2l.scratch import load_tensors, save_tensors


@pytest.mark.parametrize(
    "tensors",
    [
        np.arange(4.0, dtype="float32"),
        [np.arange(4.0), np.zeros(4, "int32")],
        {"x": np.ones((2, 0)), "": [np.bool_(True), {"deep": 3.5}], "structure": np.int64(7)},
        [],
    ],
)
def test_what_is_saved_comes_back(tensors, tmp_path):
    path = tmp_path / "tensors.npz"
    save_tensors(path, keras.tree.map_structure(keras.ops.convert_to_tensor, tensors))
    loaded = load_tensors(path)
    assert keras.tree.map_structure(lambda _: 0, loaded) == keras.tree.map_structure(
        lambda _: 0, tensors
    )
    for a, b in zip(keras.tree.flatten(loaded), keras.tree.flatten(tensors), strict=True):
        b = np.asarray(keras.ops.convert_to_tensor(b))
        assert np.asarray(a).dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_what_is_no_tensor_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"The keys must be text. Received: 1"):
        save_tensors(tmp_path / "x", {1: np.ones(2)})
    for wrong in (np.array([{}], object), np.array(["text"])):
        with pytest.raises((TypeError, ValueError)):
            save_tensors(tmp_path / "x", {"x": wrong})
    assert not list(tmp_path.iterdir())


def test_a_damaged_or_strange_file_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    save_tensors(path, {"x": np.arange(1000.0)})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"x\.npz was not written by save_tensors, or is damaged"):
        load_tensors(path)
    np.savez(path, x=np.ones(2))
    with pytest.raises(ValueError, match=r"x\.npz was not written by save_tensors"):
        load_tensors(path)
    np.savez(path, structure=np.array([{}], object))  # a pickle: not opened
    with pytest.raises(ValueError, match=r"x\.npz was not written by save_tensors"):
        load_tensors(path)
    with pytest.raises(OSError, match=r"none\.npz"):
        load_tensors(tmp_path / "none.npz")


def test_a_file_that_unpacks_to_more_than_it_is_takes_no_memory(tmp_path):
    path = tmp_path / "t.npz"
    names = np.frombuffer(b'["x"]', np.uint8)
    np.savez_compressed(path, x=np.zeros(1 << 24, np.uint8), structure=names)
    with pytest.raises(ValueError, match="was not written by save_tensors"):
        load_tensors(path)


def test_a_tensor_is_there_once_however_often_it_is_named(tmp_path):
    names = np.frombuffer(b'["x", "x", "x"]', np.uint8)
    np.savez(tmp_path / "t.npz", x=np.zeros(10, np.uint8), structure=names)
    with pytest.raises(ValueError, match="was not written by save_tensors"):
        load_tensors(tmp_path / "t.npz")
    deep = np.frombuffer(b"[" * 100_000, np.uint8)
    np.savez(tmp_path / "t.npz", structure=deep)
    with pytest.raises(ValueError, match="was not written by save_tensors"):
        load_tensors(tmp_path / "t.npz")
