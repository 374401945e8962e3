"""A whole client package is migrated: all files or none, once, and never over work that git cannot restore."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dkist_build_utils import BuildError
from dkist_build_utils.migration import change, migrate, migration

FILES = {
    "pyproject.toml": '[project]\nname = "my-instrument"\ndependencies = [\n  "dkist-processing-core==7.5.0",\n]\n',
    "bitbucket-pipelines.yml": (
        "image: python:3.12\nsteps:\n  - pip install .\n"
        '  - python -c "from dkist_processing_core.build_utils import export_notebook_dockerfile; '
        "import my_instrument.workflows as w; export_notebook_dockerfile(w, 'notebooks/')\"\n"
    ),
    "my_instrument/__init__.py": "",
    "my_instrument/config.py": (
        "from dkist_processing_core.config import DKISTProcessingCoreConfiguration\n\n\n"
        "class Settings(DKISTProcessingCoreConfiguration):\n    frames: int = 7\n"
    ),
    "my_instrument/tasks.py": (
        "from dkist_processing_core import TaskBase\n\n\nclass Sum(TaskBase):\n    def run(self) -> None: ...\n"
    ),
    "my_instrument/workflows/__init__.py": "",
    "my_instrument/workflows/main.py": (
        "from dkist_processing_core import Workflow\nfrom my_instrument.tasks import Sum\n\n"
        'main = Workflow(input_data="l0", output_data="l1", category="my", workflow_package=__package__)\n'
        "main.add_node(task=Sum, upstreams=None)\n"
    ),
    "build/lib/old.py": "from dkist_processing_core import TaskBase\n",
}


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody."""
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """Return the folder of a client that is committed."""
    folder = tmp_path / "client"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "before")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file, those of git left aside."""
    paths = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def dkist_build(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-W", "error", "-m", "dkist_build_utils", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_client_is_one_of_ours_after_one_command(client: Path) -> None:
    """The command rewrites code, requirements and pipeline, and adds the files that the core brought."""
    before = contents(client)
    done = dkist_build("migrate", client)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1] == "7 files changed; 0 places for you to decide"
    after = contents(client)
    assert after.keys() - before.keys() == {"Dockerfile", "my_instrument/core_settings.py"}
    assert after["build/lib/old.py"] == before["build/lib/old.py"]
    assert not [name for name, content in after.items() if b"_core import" in content and "build" not in name]
    assert b"/mpw-my/" in after["Dockerfile"]
    assert b"FROM python:3.12\n" in after["Dockerfile"]
    compile(after["my_instrument/core_settings.py"], "core_settings.py", "exec")
    assert b'workflow = [\n  "dkist-workflow' in after["pyproject.toml"]
    program = "from my_instrument.workflows.main import main; print(main.dag_id, *[n.name for n in main.nodes])"
    environment = {**os.environ, "BUILD_VERSION": "1.0"}
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=client, env=environment, capture_output=True, text=True, check=False
    )
    assert said.stdout == "l0_to_l1_my_1.0 Sum\n"


def test_second_migration_changes_nothing(client: Path) -> None:
    """What is migrated is left as it is."""
    migrate(client)
    once = contents(client)
    again = migrate(client, allow_dirty=True)
    assert (again.changes, again.decisions) == ((), ())
    assert contents(client) == once


def test_dry_run_shows_a_patch_and_writes_nothing(client: Path) -> None:
    """The difference is one that git can apply, and it is what the migration writes."""
    before = contents(client)
    done = dkist_build("migrate", "--dry-run", client)
    assert done.returncode == 0
    assert contents(client) == before
    subprocess.run(["git", "apply", "-"], cwd=client, input=done.stdout, text=True, check=True)
    patched = contents(client)
    git(client, "stash", "--include-untracked")
    migrate(client)
    assert contents(client) == patched


@pytest.mark.parametrize("name", ["my_instrument/tasks.py", "new.py"])
def test_changes_that_are_not_committed_are_not_written_over(client: Path, name: str) -> None:
    """A tree that is not clean is refused, unless the caller says otherwise."""
    (client / name).write_text("x = 1\n")
    before = contents(client)
    with pytest.raises(BuildError, match=rf"{name}\); commit them, or migrate with --allow-dirty"):
        migrate(client)
    assert contents(client) == before
    assert migrate(client, allow_dirty=True).changes


def test_folder_that_nothing_could_undo_is_refused(tmp_path: Path) -> None:
    """Without git there is no way back; a dry run needs none."""
    with pytest.raises(BuildError, match="in no git repository that could undo this"):
        migrate(tmp_path)
    with pytest.raises(BuildError, match="there is no such folder"):
        migrate(tmp_path / "missing", is_dry_run=True)
    assert migrate(tmp_path, is_dry_run=True).changes == ()


def test_missing_extra_is_named(client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libcst the error names what to install."""
    monkeypatch.setattr(migration, "find_spec", lambda name: None if name == "libcst" else object())
    with pytest.raises(BuildError, match=r"install 'dkist-build-utils\[migrate\]'"):
        migrate(client)


def test_all_files_are_written_or_none(client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one file cannot take its place, those before it get their old content back, and nothing else is left."""
    before = contents(client)
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.name == "tasks.py":
            raise PermissionError(13, "no", str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(PermissionError, match="no"):
        migrate(client)
    assert contents(client) == before


def test_file_that_somebody_else_changes_is_not_written_over(client: Path) -> None:
    """A file that is not what was read stops the migration before anything is written."""
    ready = migrate(client, is_dry_run=True).changes
    (client / "my_instrument" / "tasks.py").write_text("x = 1\n")
    before = contents(client)
    with pytest.raises(BuildError, match="was changed while it was read"):
        change.write_changes(client, ready)
    assert contents(client) == before


def test_mode_of_a_file_stays(client: Path) -> None:
    """A program stays one."""
    path = client / "my_instrument" / "tasks.py"
    path.chmod(0o755)
    migrate(client, allow_dirty=True)
    assert path.stat().st_mode & 0o777 == 0o755


def test_links_are_not_written_through(client: Path, tmp_path: Path) -> None:
    """A link within the package leads to what is migrated there; one that leads outside is left to a person."""
    outside = tmp_path / "shared.py"
    outside.write_text("from dkist_processing_core import TaskBase\n")
    (client / "outside.py").symlink_to(outside)
    (client / "inside.py").symlink_to("my_instrument/tasks.py")
    (client / "loop").symlink_to(".")
    (client / "gone.py").symlink_to("nowhere")
    done = migrate(client, allow_dirty=True)
    assert [(each.file, each.line) for each in done.decisions] == [("outside.py", 1)]
    assert outside.read_text() == "from dkist_processing_core import TaskBase\n"
    assert (client / "inside.py").is_symlink()
    assert (client / "inside.py").read_text().startswith("from dkist_task import")


def test_files_that_cannot_be_read_are_left_to_a_person(client: Path) -> None:
    """What is not Python or not text stays, and is listed if it names the core; so is a file of another kind."""
    bad = {
        "latin.py": b"# caf\xe9\nfrom dkist_processing_core import TaskBase\n",
        "syntax.py": b"from dkist_processing_core import TaskBase\nprint 'x'\n",
        "other.py": b"print 'telemetry_span'\n",
        "tool.cfg": b"[tool]\nuses = dkist-processing-core\n",
        "declared.py": b"# coding: latin-1\n# caf\xe9\nfrom dkist_processing_core import TaskBase\n",
    }
    for name, content in bad.items():
        (client / name).write_bytes(content)
    done = migrate(client, allow_dirty=True)
    assert [(each.file, each.line) for each in done.decisions] == [("latin.py", 1), ("syntax.py", 2), ("tool.cfg", 2)]
    assert (client / "declared.py").read_bytes() == bad["declared.py"].replace(b"processing_core", b"task")
    for name in ("latin.py", "syntax.py", "other.py", "tool.cfg"):
        assert (client / name).read_bytes() == bad[name]


def test_files_in_the_way_are_kept(client: Path) -> None:
    """A Dockerfile and a module of the same name are not written over."""
    (client / "Dockerfile").write_text("FROM scratch\n")
    (client / "my_instrument" / "core_settings.py").write_text("x = 1\n")
    done = migrate(client, allow_dirty=True)
    assert {each.file for each in done.decisions} == {"bitbucket-pipelines.yml", "my_instrument/core_settings.py"}
    assert (client / "Dockerfile").read_text() == "FROM scratch\n"
    assert (client / "my_instrument" / "core_settings.py").read_text() == "x = 1\n"


def test_other_clients_are_named(client: Path) -> None:
    """A requirement on another client of the core is a note: that one must be migrated as well."""
    path = client / "pyproject.toml"
    path.write_text(path.read_text().replace('  "dkist', '  "dkist-processing-common == 14.8.0",\n  "dkist'))
    done = dkist_build("migrate", "--allow-dirty", client)
    assert "note: this package requires 'dkist-processing-common == 14.8.0'" in done.stderr
