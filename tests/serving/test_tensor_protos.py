import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from kerasd2l.serving.server import tensor_protos
from kerasd2l.serving.server.calls import ServingError

DTYPES = [
    *("float32", "float64", "float16", "bool", "complex64", "complex128"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    ml_dtypes.bfloat16,
]


def some(dtype):
    return (np.arange(12).reshape(2, 3, 2) - 3).astype(dtype)


def proto(shape, dtype="DT_FLOAT", **fields):
    message = TensorProto(dtype=dtype, **fields)
    message.tensor_shape.SetInParent()
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return message


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_come_back_from_typed_fields(dtype):
    message = TensorProto()
    tensor_protos.fill(message, some(dtype))
    assert not message.tensor_content
    np.testing.assert_array_equal(tf.make_ndarray(message), some(dtype))
    again = tensor_protos.read(TensorProto.FromString(message.SerializeToString()), "x")
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, some(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_are_read_as_tensorflow_writes_them(dtype):
    for array in (some(dtype), some(dtype)[:0], some(dtype)[0, 0, 0]):
        found = tensor_protos.read(tf.make_tensor_proto(array), "x")
        assert found.dtype == dtype and found.shape == array.shape
        np.testing.assert_array_equal(found, array)


def test_typed_fields_of_floats_equal_those_that_protobuf_writes():
    array = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    message = TensorProto()
    tensor_protos.fill(message, array)
    assert message == proto((3, 50), float_val=array.ravel().tolist())


def test_strings_keep_their_bytes():
    array = np.array([[b"a\0", b""], [b"\xff\0\0", "ü".encode()]], dtype=object)
    message = TensorProto()
    tensor_protos.fill(message, array)
    assert list(message.string_val) == array.ravel().tolist()
    assert tensor_protos.read(message, "x").tolist() == array.tolist()
    # all lengths, then all bytes, is how TensorFlow packs strings
    packed = proto((2,), "DT_STRING", tensor_content=b"\x02\x81\x01" + b"ab" + b"c" * 129)
    assert tensor_protos.read(packed, "x").tolist() == [b"ab", b"c" * 129]


def test_the_last_value_stands_for_the_rest_and_none_are_zeros():
    assert tensor_protos.read(proto((4,), float_val=[1, 2]), "x").tolist() == [1, 2, 2, 2]
    assert tensor_protos.read(proto((2, 2), "DT_INT64"), "x").tolist() == [[0, 0], [0, 0]]
    assert tensor_protos.read(proto((2,), "DT_STRING"), "x").tolist() == [b"", b""]
    assert tensor_protos.read(proto(()), "x").shape == ()


def test_one_value_for_many_takes_no_memory_until_the_model_runs():
    many = tensor_protos.read(proto((2, 4, 1 << 20), float_val=[3]), "x")
    assert many.shape == (2, 4, 1 << 20) and (many == 3).all()
    assert many.strides == (0, 0, 0)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (proto((2**40,), float_val=[1]), "promises 1099511627776 values"),
        (proto((2**40,), "DT_STRING", string_val=[b"a"]), "promises"),
        (proto((2**20,), float_val=[1, 2]), "promises 1048576 values, the message has 2"),
        (proto((2**62, 2**62, 4)), "promises"),
        (proto((2**40,), tensor_content=b"1234"), "has 4 bytes"),
        (proto((2**40,), "DT_STRING", tensor_content=b"1234"), "has no 1099511627776 strings"),
        (proto((0, 2**62, 2**62)), "too large"),
        (proto((1,) * 100, float_val=[1]), "too large"),
        (proto((-1,), float_val=[1]), "not known in all dimensions"),
        (proto((1,), float_val=[1, 2]), "takes 1 values. Received: 2"),
        (proto((2,), "DT_STRING", string_val=[b"a"] * 3), "takes 2 values. Received: 3"),
        (proto((2,), tensor_content=b"1234567"), "has 7 bytes"),
        (proto((2,), "DT_STRING", tensor_content=b"\x01\x05ab"), "lengths"),
        (proto((1,), "DT_STRING", tensor_content=b"\xff" * 9), "has no 1 strings"),
        (proto((1,), "DT_UINT8", int_val=[256]), "out of the range of uint8"),
        (proto((1,), "DT_COMPLEX64", scomplex_val=[1]), "imaginary"),
        (proto((1,), "DT_RESOURCE"), "DT_RESOURCE is not supported"),
        (proto((1,), "DT_INVALID"), "DT_INVALID is not supported"),
        (proto((), tensor_shape={"unknown_rank": True}), "not known"),
    ],
)
def test_a_message_that_is_not_what_it_says_is_refused(message, reason):
    with pytest.raises(ServingError, match=f"tensor parsing error: x: .*{reason}") as error:
        tensor_protos.read(message, "x")
    assert error.value.code == "INVALID_ARGUMENT"
