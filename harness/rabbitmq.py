"""A private RabbitMQ on this machine, for tests that stop it, raise its alarms or need TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pika
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.airflow import free_port
from harness.process import GuardedProcess

if TYPE_CHECKING:
    from types import TracebackType

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
"""Debian's folder. The programs on PATH would switch to the user of the system's own broker."""

START_SECONDS = 180  # ten where nothing else runs


class PrivateRabbitMQ:
    """One broker on 127.0.0.1 with a folder of its own. It keeps its data when it is stopped and started again.

    Use it as a context manager: it listens inside, and nothing of it runs afterwards.

    Parameters
    ----------
    home : Path
        Folder of its data and logs.
    has_tls : bool, optional
        Listen on `tls_port` too, with a certificate for ``localhost`` that the authority in `ca_file` has signed.
    """

    def __init__(self, home: Path, *, has_tls: bool = False) -> None:
        self.home = home
        self.port = free_port()
        """Port of AMQP."""
        self.tls_port = free_port()
        """Port of AMQP over TLS."""
        self.ca_file = home / "ca.pem"
        """Certificate of the authority to trust."""
        self._node = f"dkist-{self.port}@localhost"
        self._process: GuardedProcess | None = None
        home.mkdir(parents=True)
        configuration = [f"listeners.tcp.default = 127.0.0.1:{self.port}", "log.console = true", "log.file = false"]
        if has_tls:
            write_certificates(home)
            configuration += [
                f"listeners.ssl.default = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {self.ca_file}",
                f"ssl_options.certfile = {home / 'server.pem'}",
                f"ssl_options.keyfile = {home / 'server.key'}",
                "ssl_options.verify = verify_none",
            ]
        (home / "rabbitmq.conf").write_text("\n".join(configuration) + "\n")
        (home / "plugins").write_text("[].\n")
        self._env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),  # has the cookie by which the programs know each other
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "no-such-file"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_LOGS": "-",
        }

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables that make this broker the message bus."""
        return {"MESH_CONFIG": f'{{"interservice-bus": {{"mesh_address": "127.0.0.1", "mesh_port": {self.port}}}}}'}

    @property
    def pid(self) -> int:
        """Process id of the broker, whose children are parts of it."""
        if self._process is None:
            raise AssertionError
        return self._process.pid

    def start(self) -> None:
        """Start the broker and wait until it listens."""
        self._process = GuardedProcess(
            "RabbitMQ",
            [str(PROGRAMS / "rabbitmq-server")],
            log=self.home / "broker.log",
            env=self._env,
            cwd=self.home,
        )
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.status is not None or time.monotonic() > end:
                raise RuntimeError(f"RabbitMQ did not start:\n{self._process.tail()}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the broker and keep its data."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` and return its output."""
        done = subprocess.run(
            [PROGRAMS / "rabbitmqctl", "--quiet", *arguments],
            env=self._env,
            cwd=self.home,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def alarm(self) -> None:
        """Raise the memory alarm. It blocks publishers until `relieve`."""
        self.control("set_vm_memory_high_watermark", "0.0000001")

    def relieve(self) -> None:
        """End the memory alarm."""
        self.control("set_vm_memory_high_watermark", "0.4")

    def connect(self) -> pika.BlockingConnection:
        """Return a connection as guest."""
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port))

    def take(self, queue: str) -> list[bytes]:
        """Take every message out of a queue. A queue that does not exist has none."""
        with self.connect() as connection:
            channel = connection.channel()
            bodies = []
            try:
                while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                    bodies.append(got[2])
            except pika.exceptions.ChannelClosedByBroker:
                return []
            return bodies

    def __enter__(self) -> Self:
        """Start the broker."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the broker."""
        self.stop()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                pass
            self.connect().close()
        except (OSError, pika.exceptions.AMQPError):
            return False
        return True


def write_certificates(folder: Path) -> None:
    """Write an authority, ``ca.pem``, and a certificate of localhost that it has signed, with its key."""
    ca_key, ca = _certificate("a test's authority", None, None)
    server_key, server = _certificate("localhost", ca_key, ca)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def _certificate(
    name: str, issuer_key: ec.EllipticCurvePrivateKey | None, issuer: x509.Certificate | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=issuer is None,
                crl_sign=issuer is None,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((issuer_key or key).public_key()), critical=False
        )
    )
    if issuer is not None:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return key, builder.sign(issuer_key or key, hashes.SHA256())
