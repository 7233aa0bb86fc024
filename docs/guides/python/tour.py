"""Appends, conditions, concurrency, tokens and consumers, at two locations: python3 tour.py HOST:PORT HOST:PORT"""

import sys

import grpc

from client import Location, compare, merge, name, reason, types, vector_time

eu, us = Location(sys.argv[1]), Location(sys.argv[2])

# A request id makes a retry safe: the same request again is answered with the first answer.
first = eu.append("OrderPlaced", "order-7", {"total": 10}, request_id="place-order-7")
again = eu.append("OrderPlaced", "order-7", {"total": 10}, request_id="place-order-7")
print("appended", name(first.ids[0]), "and on retry", name(again.ids[0]), "replayed:", again.replayed)

# The token of the answer makes another location wait until it has the event.
order = us.read("order-7", token=first.token)
print("us holds", [name(event.id) for event in order])

# Optimistic concurrency: only if nobody wrote this aggregate after what was read.
read_up_to = types.Position(sequence=order[-1].sequence)
paid = us.append("OrderPaid", "order-7", {"paid": 10}, after=read_up_to)
try:
    us.append("OrderCancelled", "order-7", {}, after=read_up_to)
except grpc.RpcError as error:
    print("refused:", reason(error))

# Both writers have read the same and know nothing of each other: their contexts say so.
seen = merge(*(vector_time(event) for event in us.read("order-7")))
eu.read("order-7", token=paid.token)
shipped = eu.append("OrderShipped", "order-7", {}, context=seen)
cancelled = us.append("OrderCancelled", "order-7", {}, context=seen)
us.read(token=shipped.token)
events = {event.type: event for event in eu.read("order-7", token=cancelled.token)}
for one, other in [("OrderPlaced", "OrderPaid"), ("OrderPaid", "OrderShipped"), ("OrderShipped", "OrderCancelled")]:
    print(one, "and", other + ":", compare(events[one], events[other]))

# A consumer continues where its last acknowledgement left it.
for said in eu.subscribe("billing"):
    for event in said.events.events:
        print("billing sees", event.sequence, event.type)
    eu.ack("billing", said.position)
    if said.HasField("caught_up"):
        break
