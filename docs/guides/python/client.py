"""A small client for one location of a Tidelog event log.

The messages are made from the .proto files when this is imported, so there is nothing to generate beforehand. Vectors are plain dicts
{(location, incarnation): sequence} here, because programs merge and compare them.
"""

import json
import pathlib
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

PROTO = pathlib.Path(__file__).resolve().parents[3] / "sidecar" / "proto" / "proto"
sys.path.insert(0, str(PROTO))
api, services = grpc.protos_and_services("tidelog/v1/log.proto")
types = grpc.protos("tidelog/v1/types.proto")


def vector(message):
    """The dict of a VectorTime."""
    return {(e.location, e.incarnation): e.sequence for e in message.entries}


def message(vector):
    """The VectorTime of a dict."""
    entries = [
        types.VectorTime.Entry(location=location, incarnation=incarnation, sequence=sequence)
        for (location, incarnation), sequence in vector.items()
    ]
    return types.VectorTime(entries=entries)


def merge(*vectors):
    """What somebody has seen who has seen all of these."""
    merged = {}
    for one in vectors:
        for origin, sequence in one.items():
            merged[origin] = max(sequence, merged.get(origin, 0))
    return merged


def vector_time(event):
    """What the writer of an event had seen, and the event itself."""
    return merge(vector(event.context), {(event.id.location, event.id.incarnation): event.id.sequence})


def compare(x, y):
    """How two events are related: before, after, equal or concurrent."""
    if x.id == y.id:
        return "equal"
    if x.id.sequence <= vector(y.context).get((x.id.location, x.id.incarnation), 0):
        return "before"
    if y.id.sequence <= vector(x.context).get((y.id.location, y.id.incarnation), 0):
        return "after"
    return "concurrent"


def name(id):
    """The text form of an event id."""
    return f"{id.location}#{id.incarnation}/{id.sequence}"


def reason(error):
    """The reason of a failed call, such as CONDITION_FAILED."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return error.code().name


class Location:
    """One location, by the address of its application API: HOST:PORT or unix:PATH."""

    def __init__(self, address):
        self.stub = services.LogServiceStub(grpc.insecure_channel(address))

    def append(self, type, aggregate, payload, context=None, after=None, request_id=""):
        """Appends one event. `context`: a dict, exactly what the writer has seen. `after`: the last event of the aggregate it knows of."""
        event = types.NewEvent(
            type=type,
            aggregate_id=aggregate,
            content_type="application/json",
            payload=json.dumps(payload).encode(),
        )
        request = api.AppendRequest(events=[event], request_id=request_id)
        if context is not None:
            request.context.CopyFrom(message(context))
        if after is not None:
            request.condition.CopyFrom(types.Condition(keys=[aggregate], after=after))
        return self.stub.Append(request, timeout=10)

    def read(self, aggregate=None, token=None):
        """The events up to the head, of one aggregate or all. `token`: waits until what it stands for is here."""
        request = api.ReadRequest()
        if aggregate is not None:
            request.select.keys.append(aggregate)
        if token is not None:
            request.min_version.CopyFrom(token)
        return [event for page in self.stub.Read(request, timeout=10) for event in page.events]

    def subscribe(self, consumer):
        """Messages of a durable consumer, from its stored position on."""
        return self.stub.Subscribe(api.SubscribeRequest(consumer=consumer))

    def ack(self, consumer, position):
        """Stores that everything up to and including `position` is done."""
        return self.stub.Ack(api.AckRequest(consumer=consumer, position=position), timeout=10)
