"""Getting out over a network: to the host's listeners, the cloud's metadata, names, anywhere."""

from __future__ import annotations

import contextlib
import os
import socket

from .common import Given

_SECONDS = 1.0
_METADATA = (("169.254.169.254", 80), ("169.254.170.2", 80), ("100.100.100.200", 80), ("fd00:ec2::254", 80))
_NOWHERE = ("192.0.2.1", "198.51.100.1", "2001:db8::1", "224.0.0.1")
"""Addresses for documentation (RFC 5737, RFC 3849) and the multicast group of all hosts."""
_RESOLVERS = ("127.0.0.1", "127.0.0.11", "127.0.0.53", "8.8.8.8", "1.1.1.1")
_QUERY = bytes.fromhex("133701000001000000000000") + b"\x07example\x03org\x00\x00\x01\x00\x01"


def _connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), _SECONDS).close()
    except OSError:
        return False
    return True


def host(given: Given) -> list[str]:
    """A listener of the host, at each of its addresses, on TCP and UDP. The host says who came."""
    found = []
    for address in given["addresses"]:
        with contextlib.suppress(OSError), socket.create_connection((address, given["port"]), _SECONDS) as connection:
            connection.sendall(given["greeting"].encode())
            found.append(f"reached {address}")
        with contextlib.suppress(OSError):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(given["greeting"].encode(), (address, given["udp_port"]))
    return found


def local_sockets(given: Given) -> list[str]:
    """A local socket of the host, by its name without a file and by its file."""
    found = []
    for name in ("\0" + given["abstract"], os.path.join(given["folder"], "host.sock")):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(name)
            connection.sendall(given["greeting"].encode())
            found.append(f"reached {name!r}")
    return found


def metadata(given: Given) -> list[str]:
    """Where clouds keep the machine's own keys."""
    return [f"reached {address}" for address, port in _METADATA if _connects(address, port)]


def names(given: Given) -> list[str]:
    """A lookup, which alone would carry data out."""
    found = []
    with contextlib.suppress(OSError):
        socket.getaddrinfo("example.org", 80)
        found.append("example.org has an address")
    for address in _RESOLVERS:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_SECONDS)
            asking.connect((address, 53))
            asking.send(_QUERY)
            asking.recv(512)
            found.append(f"{address} answers")
    return found


def routes(given: Given) -> list[str]:
    """Any route, any interface beyond loopback, broadcasts."""
    found = [f"interface {name}" for _, name in socket.if_nameindex() if name != "lo"] if _can_list() else []
    for address in _NOWHERE:
        with contextlib.suppress(OSError):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))  # sends nothing, but needs a route
                found.append(f"{address} has a route")
    return found


def _can_list() -> bool:
    try:
        socket.if_nameindex()
    except OSError:
        return False
    return True
