"""Closes a network namespace to the outside: its processes answer who calls, and call nobody.

Docker's internal networks end at the bridge, whose address is the host's own; whatever listens there on all addresses
is in reach. So the namespace itself gets this nftables table, over netlink (linux/netfilter/nf_tables.h), for images
that have no `nft`. What is outside loopback leaves only as TCP and never as the opening of a connection:

  table inet comio {
    chain output {
      type filter hook output priority 0; policy drop;
      meta oif 1 accept
      meta l4proto tcp tcp flags & (syn | ack) != syn accept
    }
  }

Needs CAP_NET_ADMIN. The table is replaced in one transaction, so this may run again.
"""

import os
import socket
import struct
import sys

# Of linux/netlink.h; Python names it from 3.12 on.
NETLINK_NETFILTER = 12
INET = 1
SUBSYSTEM = 10
REQUEST, ACK, CREATE, APPEND = 1, 4, 0x400, 0x800
BATCH_BEGIN, BATCH_END = 16, 17
NEW_TABLE, DELETE_TABLE, NEW_CHAIN, NEW_RULE = 0, 2, 3, 6
LOCAL_OUT = 3
DROP, ACCEPT = 0, 1
VERDICT, REGISTER = 0, 1
EQUAL, NOT_EQUAL = 0, 1
META_OIF, META_L4PROTO = 5, 16
TRANSPORT_HEADER, TCP_FLAGS_OFFSET = 2, 13
SYN, SYN_OR_ACK = 0x02, 0x12


def attribute(kind, data):
    if isinstance(data, str):
        data = data.encode() + b"\0"
    if isinstance(data, int):
        data = struct.pack(">I", data)
    return struct.pack("HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def nested(kind, *parts):
    return attribute(kind | 0x8000, b"".join(parts))


def message(kind, flags, body, sequence, family=INET, resource=0):
    payload = struct.pack(">BBH", family, 0, resource) + body
    return struct.pack("=IHHII", 16 + len(payload), kind, flags | REQUEST, sequence, 0) + payload


def expression(name, *parts):
    return nested(1, attribute(1, name), nested(2, *parts))


def value(kind, data):
    return nested(kind, attribute(1, data))


def meta(key):
    return expression("meta", attribute(1, REGISTER), attribute(2, key))


def compare(operator, data):
    return expression("cmp", attribute(1, REGISTER), attribute(2, operator), value(3, data))


def accept():
    return expression("immediate", attribute(1, VERDICT), nested(2, nested(2, attribute(1, ACCEPT))))


def tcp_flags(mask):
    load = expression(
        "payload",
        attribute(1, REGISTER),
        attribute(2, TRANSPORT_HEADER),
        attribute(3, TCP_FLAGS_OFFSET),
        attribute(4, 1),
    )
    masked = expression(
        "bitwise",
        attribute(1, REGISTER),
        attribute(2, REGISTER),
        attribute(3, 1),
        value(4, bytes([mask])),
        value(5, b"\0"),
    )
    return load + masked


def rule(*expressions):
    return NEW_RULE, CREATE | APPEND, attribute(1, "comio") + attribute(2, "output") + nested(4, *expressions)


TABLE = attribute(1, "comio")
CHAIN = (
    attribute(1, "comio")
    + attribute(3, "output")
    + nested(4, attribute(1, LOCAL_OUT), attribute(2, 0))
    + attribute(5, DROP)
    + attribute(7, "filter")
)
STEPS = [
    # Made so that there is one to delete.
    (NEW_TABLE, CREATE, TABLE),
    (DELETE_TABLE, 0, TABLE),
    (NEW_TABLE, CREATE, TABLE),
    (NEW_CHAIN, CREATE, CHAIN),
    # Loopback is the first interface of every namespace.
    rule(meta(META_OIF), compare(EQUAL, struct.pack("=I", 1)), accept()),
    rule(
        meta(META_L4PROTO),
        compare(EQUAL, bytes([socket.IPPROTO_TCP])),
        tcp_flags(SYN_OR_ACK),
        compare(NOT_EQUAL, bytes([SYN])),
        accept(),
    ),
]


def main():
    batch = message(BATCH_BEGIN, 0, b"", 0, family=0, resource=SUBSYSTEM)
    for number, (kind, flags, body) in enumerate(STEPS, 1):
        batch += message(SUBSYSTEM << 8 | kind, flags | ACK, body, number)
    batch += message(BATCH_END, 0, b"", len(STEPS) + 1, family=0, resource=SUBSYSTEM)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
        netlink.bind((0, 0))
        netlink.settimeout(10)
        netlink.send(batch)
        acknowledged = 0
        while acknowledged < len(STEPS):
            answer = netlink.recv(1 << 16)
            while answer:
                length, kind = struct.unpack_from("=IH", answer)
                error = struct.unpack_from("=i", answer, 16)[0] if kind == 2 else 0
                if error != 0:
                    step = struct.unpack_from("=I", answer, 8)[0]
                    sys.exit(f"nftables refused step {step}: {os.strerror(-error)}")
                acknowledged += 1
                answer = answer[(length + 3) & ~3 :]


main()
