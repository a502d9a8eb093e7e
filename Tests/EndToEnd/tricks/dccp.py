"""DCCP."""

import socket

from common import TCP_PORT, new, reach, report

SOCK_DCCP, DCCP = 6, 33
SOL_DCCP, DCCP_SOCKOPT_SERVICE = 269, 2


def body(address, token):
    with new(address, SOCK_DCCP, DCCP) as client:
        client.setsockopt(SOL_DCCP, DCCP_SOCKOPT_SERVICE, 1)
        client.connect((address, TCP_PORT))


reach("connect", body)
report()
