"""Write what Python 2's cPickle wrote for a batch of CIFAR-10: opcode by opcode, protocol 2."""

import struct


def integer(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if 0 <= value < 65536:
        return b"M" + struct.pack("<H", value)
    return b"J" + struct.pack("<i", value)


def string(value):
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<i", len(value)) + value


def ubytes(array, dtype=b"u1"):
    """An array as numpy 1 described it."""
    content = array.tobytes()
    shape = b"".join(integer(size) for size in array.shape)
    shape = {1: shape + b"\x85", 2: shape + b"\x86"}[array.ndim]
    kind = b"cnumpy\ndtype\nq\x0b" + string(dtype) + b"K\x00K\x01\x87Rq\x0c"
    kind += b"(K\x03" + string(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    start = b"cnumpy.core.multiarray\n_reconstruct\nq\x08cnumpy\nndarray\nq\x09"
    start += b"K\x00\x85" + string(b"b") + b"\x87Rq\x0a"
    return start + b"(K\x01" + shape + kind + b"\x89" + string(content) + b"tb"


def batch(data, labels):
    body = string(b"batch_label") + b"q\x02" + string(b"training batch 1 of 5") + b"q\x03"
    body += string(b"labels") + b"q\x04]q\x05("
    body += b"".join(integer(label) for label in labels) + b"e"
    body += string(b"data") + b"q\x07" + data
    body += string(b"filenames") + b"q\x0d]q\x0e("
    body += b"".join(string(b"picture_%d.png" % i) for i in range(len(labels))) + b"e"
    return b"\x80\x02}q\x01(" + body + b"u."
