"""The hosts, as the bench names them; the rest is in its ssh_config."""

import os
from pathlib import Path

ssh_config = Path(os.environ["BENCH_SSH_CONFIG"])
how = {
    "ssh_config_file": str(ssh_config),
    "ssh_known_hosts_file": os.environ["BENCH_KNOWN_HOSTS"],
    "ssh_strict_host_key_checking": "yes",
}
hosts = [(name, how) for name in Path(os.environ["BENCH_TARGETS"]).read_text().split()]
