"""Committed descriptors are those of the protos, and the protos those of the public protocol."""

import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2

from openautoglm.serving.rpc.messages import COMPILED, ModelInferRequest, OrcaLoadReport

PROTOS = COMPILED.with_name("protos")
FILES = ("open_inference.proto", "prediction.proto", "health.proto", "orca.proto")


def compiled(path):
    return {
        file.name: file
        for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file
    }


def test_descriptors_are_those_of_the_protos(tmp_path):
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    protoc = [sys.executable, "-W", "ignore", "-m", "grpc_tools.protoc", "-I", str(PROTOS)]
    out = tmp_path / "protos.binpb"
    subprocess.run([*protoc, f"--descriptor_set_out={out}", *FILES], check=True)
    assert compiled(out) == compiled(COMPILED), (
        "protos changed; from src/openautoglm/serving/rpc: python -m grpc_tools.protoc"
        f" -I protos --descriptor_set_out=protos.binpb {' '.join(FILES)}"
    )


def test_every_proto_is_compiled():
    assert sorted(path.name for path in PROTOS.glob("*.proto")) == sorted(FILES)


def fields(message, prefix=""):
    """Names with number, type and label of a message's fields and of those in messages within."""
    found = {
        f"{prefix}{message.name}.{field.name}": (
            *(field.number, field.type, field.label, field.type_name),
        )
        for field in message.field
    }
    for inner in message.nested_type:
        found |= fields(inner, f"{prefix}{message.name}.")
    return found


def as_proto(file):
    found = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(found)
    return found


def test_the_protocol_has_the_names_and_numbers_of_its_clients():
    client = pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
    public = as_proto(client.service_pb2.DESCRIPTOR)
    ours = as_proto(ModelInferRequest.DESCRIPTOR.file)
    theirs = {message.name: fields(message) for message in public.message_type}
    assert {message.name: fields(message) for message in ours.message_type} == {
        message.name: theirs[message.name] for message in ours.message_type
    }
    calls = {
        (method.name, method.input_type, method.output_type) for method in public.service[0].method
    }
    assert {
        (method.name, method.input_type, method.output_type) for method in ours.service[0].method
    } <= calls
    assert (ours.package, ours.service[0].name) == (public.package, public.service[0].name)


def test_the_load_report_has_the_public_numbers():
    numbers = {field.name: field.number for field in OrcaLoadReport.DESCRIPTOR.fields}
    assert numbers == {"rps_fractional": 6, "eps": 7, "application_utilization": 9}
    assert OrcaLoadReport.DESCRIPTOR.full_name == "xds.data.orca.v3.OrcaLoadReport"
