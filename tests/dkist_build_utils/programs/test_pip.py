"""What pip is asked for when wheels are downloaded."""

from __future__ import annotations

import pytest

from dkist_build_utils import BuildError
from dkist_build_utils.programs.pip import pip_variables, platform_tags


def test_platform_has_the_tags_of_every_older_glibc() -> None:
    """A platform of uv's takes the wheels for it, for what is older, and by the older names."""
    tags = platform_tags("x86_64-manylinux_2_28")
    assert tags[0] == "manylinux_2_28_x86_64"
    assert {"manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(tags)
    assert platform_tags("linux") == tags
    assert platform_tags("aarch64-manylinux2014")[:2] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]


def test_platform_without_glibc_is_refused() -> None:
    """Workers run Linux with glibc."""
    with pytest.raises(BuildError, match="wheels for the platform 'windows' cannot be downloaded"):
        platform_tags("windows")


def test_indexes_of_uv_reach_pip() -> None:
    """Pip gets uv's indexes with their credentials in its environment, where no other user sees them."""
    variables = pip_variables(
        {
            "HOME": "/home/builder",
            "PIP_EXTRA_INDEX_URL": "https://c.example/simple",
            "PIP_CONSTRAINT": "constraints.txt",
            "UV_DEFAULT_INDEX": "main=https://a.example/simple",
            "UV_INDEX": "site-1=https://b.example:8443/simple?x=1",
            "UV_INDEX_SITE_1_USERNAME": "reader",
            "UV_INDEX_SITE_1_PASSWORD": "p@ss",
            "UV_FIND_LINKS": "/wheels",
            "UV_OFFLINE": "0",
        }
    )
    assert variables == {
        "HOME": "/home/builder",
        "PIP_INDEX_URL": "https://a.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://reader:p%40ss@b.example:8443/simple?x=1 https://c.example/simple",
        "PIP_FIND_LINKS": "/wheels",
    }
    assert pip_variables({"UV_NO_INDEX": "1"}) == {"PIP_NO_INDEX": "1"}
