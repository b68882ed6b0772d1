"""The messages of `inference.GRPCInferenceService`, made from a table.

The packages that have them as generated code (open-inference-grpc, tritonclient) both put them into
protobuf's one pool under the same names and so exclude each other. These have a pool of their own.
Numbers and types are those of open_inference_grpc.proto; only they are on the wire.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TABLE = """
ServerLiveRequest:
ServerLiveResponse: 1 live bool
ServerReadyRequest:
ServerReadyResponse: 1 ready bool
ModelReadyRequest: 1 name string, 2 version string
ModelReadyResponse: 1 ready bool
ServerMetadataRequest:
ServerMetadataResponse: 1 name string, 2 version string, 3 extensions repeated string
ModelMetadataRequest: 1 name string, 2 version string
ModelMetadataResponse: 1 name string, 2 versions repeated string, 3 platform string,
  4 inputs repeated TensorMetadata, 5 outputs repeated TensorMetadata, 6 properties map string
TensorMetadata: 1 name string, 2 datatype string, 3 shape repeated int64
ModelInferRequest: 1 model_name string, 2 model_version string, 3 id string,
  4 parameters map InferParameter, 5 inputs repeated InferTensor,
  6 outputs repeated InferRequestedOutputTensor, 7 raw_input_contents repeated bytes
ModelInferResponse: 1 model_name string, 2 model_version string, 3 id string,
  4 parameters map InferParameter, 5 outputs repeated InferTensor,
  6 raw_output_contents repeated bytes
InferTensor: 1 name string, 2 datatype string, 3 shape repeated int64,
  4 parameters map InferParameter, 5 contents InferTensorContents
InferRequestedOutputTensor: 1 name string, 2 parameters map InferParameter
InferParameter: 1 bool_param oneof bool, 2 int64_param oneof int64, 3 string_param oneof string,
  4 double_param oneof double, 5 uint64_param oneof uint64
InferTensorContents: 1 bool_contents repeated bool, 2 int_contents repeated int32,
  3 int64_contents repeated int64, 4 uint_contents repeated uint32,
  5 uint64_contents repeated uint64, 6 fp32_contents repeated float,
  7 fp64_contents repeated double, 8 bytes_contents repeated bytes
"""
_PACKAGE = "inference"
_Field = descriptor_pb2.FieldDescriptorProto


def _message(name: str, fields: list[list[str]]) -> descriptor_pb2.DescriptorProto:
    message = descriptor_pb2.DescriptorProto(name=name)
    for number, field, *kinds in fields:
        added = message.field.add(name=field, number=int(number), label=_Field.LABEL_OPTIONAL)
        if kinds[0] in ("repeated", "map"):
            added.label = _Field.LABEL_REPEATED
        if kinds[0] == "oneof":
            if not message.oneof_decl:
                message.oneof_decl.add(name="parameter_choice")
            added.oneof_index = 0
        if kinds[0] == "map":
            entry = _message(_entry(field), [["1", "key", "string"], ["2", "value", kinds[-1]]])
            entry.options.map_entry = True
            message.nested_type.append(entry)
            _set_type(added, f"{name}.{entry.name}")
        else:
            _set_type(added, kinds[-1])
    return message


def _entry(field: str) -> str:
    return f"{field.capitalize()}Entry"


def _set_type(field: Any, kind: str) -> None:
    if kind[0].isupper():
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="kerasd2l_open_inference.proto", package=_PACKAGE, syntax="proto3"
    )
    for line in re.sub(r"\n +", " ", _TABLE).strip().splitlines():
        name, _, fields = line.partition(":")
        file.message_type.append(
            _message(name, [field.split() for field in fields.split(",") if field.strip()])
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{message.name}")
        )
        for message in file.message_type
    }


MESSAGES = _classes()  # name -> class
