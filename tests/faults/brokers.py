"""A RabbitMQ for one test, from the Debian package."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from harness import Process, eventually, free_port

SERVER = shutil.which("rabbitmq-server") and Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class RabbitMQ:
    """One node with its own ports and folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._folder = folder
        self._env = {
            **os.environ,
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": str(folder / "rabbit.log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }
        self.start()

    def start(self) -> None:
        """Start it (again) on the same data, and wait until it accepts connections."""
        self.process = Process([str(SERVER)], self._folder / "rabbit.out", self._env)
        eventually(self._is_ready, seconds=60, every=0.1)

    def _is_ready(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()

    def stop(self) -> None:
        """End it, and Erlang's port mapper with it."""
        self.process.kill()
        eventually(self._port_mapper_ended)

    def _port_mapper_ended(self) -> bool:
        """Stop the port mapper, which refuses until it has noticed that the node has ended."""
        ended = subprocess.run(["epmd", "-kill"], env=self._env, capture_output=True, text=True, check=False)
        return "living nodes" not in ended.stdout + ended.stderr
