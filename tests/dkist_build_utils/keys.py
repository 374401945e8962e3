"""Keys for signatures, made by the real ssh-keygen."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from dkist_build_utils.release.signature import NAMESPACE


@dataclass(frozen=True)
class Keys:
    """A key pair and a file that allows it."""

    private: Path
    """The private key."""
    public: str
    """Kind and base64 of the public key."""

    @property
    def allowed(self) -> Path:
        """The file of allowed signers."""
        return self.private.with_name(f"{self.private.name}_signers")


def make_key(path: Path, signer: str = "builder@example.org") -> Keys:
    """Make an Ed25519 key, and beside it a file of allowed signers that allows it for releases."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", signer, "-f", path], check=True)
    kind, key, *_ = path.with_name(f"{path.name}.pub").read_text().split()
    keys = Keys(path, f"{kind} {key}")
    keys.allowed.write_text(f'{signer} namespaces="{NAMESPACE}" {keys.public}\n')
    return keys
