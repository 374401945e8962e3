"""A gzip file whose bytes do not depend on any compressor."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_LARGEST_BLOCK = 0xFFFF
_WRITE_BYTES = 2**20


class Sink(Protocol):
    """Something that takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take some bytes, all of them."""


class StoredGzip:
    """Write a gzip file (RFC 1952) of one member without name or time, in stored blocks of deflate (RFC 1951).

    Parameters
    ----------
    sink : Sink
        What takes the file's bytes.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting = bytearray()
        self._checksum = 0
        self._size = 0

    def __enter__(self) -> Self:
        self._sink.write(b"\x1f\x8b\x08\x00" + struct.pack("<L", 0) + b"\x00\xff")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._write_blocks()
            last = bytes(self._waiting)
            self._sink.write(_block(last, is_last=True))
            self._sink.write(struct.pack("<LL", self._checksum, self._size & 0xFFFFFFFF))

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._size

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""
        self._checksum = zlib.crc32(data, self._checksum)
        self._size += len(data)
        self._waiting += data
        if len(self._waiting) > _WRITE_BYTES:
            self._write_blocks()
        return len(data)

    def _write_blocks(self) -> None:
        """Write all blocks that are surely not the last."""
        whole = max(0, -(-len(self._waiting) // _LARGEST_BLOCK) - 1) * _LARGEST_BLOCK
        with memoryview(self._waiting) as view:
            for start in range(0, whole, _LARGEST_BLOCK):
                self._sink.write(_block(bytes(view[start : start + _LARGEST_BLOCK]), is_last=False))
        del self._waiting[:whole]


def _block(content: bytes, *, is_last: bool) -> bytes:
    return struct.pack("<BHH", is_last, len(content), len(content) ^ 0xFFFF) + content
