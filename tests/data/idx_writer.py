import struct


def idx_bytes(array, code=0x08):
    """Write an array as LeCun describes it: magic number, big-endian sizes, bytes."""
    header = bytes((0, 0, code, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()
