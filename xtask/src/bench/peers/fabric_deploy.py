"""Brings a version onto all hosts: fetched everywhere, then switched, restarted, checked."""

import os
from pathlib import Path

from fabric import Config, ThreadingGroup

VERSION = os.environ["BENCH_VERSION"]
ROOT = "/srv/deployment/floor"
STEPS = [
    f"git -C repo fetch --quiet --no-tags origin refs/tags/{VERSION}:refs/tags/{VERSION} && "
    f"mkdir releases/{VERSION} && "
    f"git -C repo archive {VERSION} | tar -x -C releases/{VERSION}",
    f"ln -sfn releases/{VERSION} next && mv -T next current",
    "cat current/VERSION > served",
    "cmp -s current/VERSION served",
]

hosts = Path(os.environ["BENCH_TARGETS"]).read_text().split()
config = Config(runtime_ssh_path=os.environ["BENCH_SSH_CONFIG"])
# The key is named in the ssh_config: nothing is to be looked for elsewhere.
keys = {"look_for_keys": False, "allow_agent": False}
with ThreadingGroup(*hosts, config=config, connect_kwargs=keys) as group:
    for step in STEPS:
        # Raises when it fails on any host.
        group.run(f"cd {ROOT} && {step}", hide=True, in_stream=False)
