"""Brings a version onto all hosts: fetched everywhere, then switched, restarted, checked."""

import os

from pyinfra.operations import server

VERSION = os.environ["BENCH_VERSION"]
ROOT = "/srv/deployment/floor"

server.shell(
    name="Fetch",
    commands=[
        f"cd {ROOT} && "
        f"git -C repo fetch --quiet --no-tags origin refs/tags/{VERSION}:refs/tags/{VERSION} && "
        f"mkdir releases/{VERSION} && "
        f"git -C repo archive {VERSION} | tar -x -C releases/{VERSION}"
    ],
)
server.shell(
    name="Switch",
    commands=[f"cd {ROOT} && ln -sfn releases/{VERSION} next && mv -T next current"],
)
server.shell(name="Restart", commands=[f"cd {ROOT} && cat current/VERSION > served"])
server.shell(name="Check", commands=[f"cd {ROOT} && cmp -s current/VERSION served"])
