"""The addresses under which the site of this machine is found."""

from __future__ import annotations

import socket

import psutil

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  someone who gives one of them wants the whole network


def names_of(host: str) -> list[str]:
    """Return the names under which a browser may ask for a site that listens on `host`."""
    names = ["localhost", "127.0.0.1", "[::1]"]
    if host in WILDCARDS:
        names += [socket.gethostname(), socket.getfqdn()]
        for addresses in psutil.net_if_addrs().values():
            names += [
                in_url(address.address.split("%")[0])
                for address in addresses
                if address.family in (socket.AF_INET, socket.AF_INET6)
            ]
    else:
        names.append(in_url(host))
    return names


def in_url(host: str) -> str:
    """Return the host as a URL has it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def url_of(host: str, port: int) -> str:
    """Return the URL under which this machine reaches a server that listens on `host`."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{in_url(local)}:{port}"
