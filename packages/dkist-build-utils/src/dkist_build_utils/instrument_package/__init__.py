"""A new instrument package: what it may be called, and the files that it begins with."""

from __future__ import annotations

from dkist_build_utils.instrument_package.creation import create_package
from dkist_build_utils.instrument_package.name import PackageName
from dkist_build_utils.instrument_package.template import files_of
from dkist_build_utils.instrument_package.wheels import folder_of_wheels, is_installed_from_index

__all__ = ["PackageName", "create_package", "files_of", "folder_of_wheels", "is_installed_from_index"]
