"""The operator's handbook, carried out on a site with Celery, RabbitMQ and PostgreSQL: five minutes.

The commands are those of the pages. What a page shows is compared with what they print, but for lines with digits,
which differ on each site, and lines with an ellipsis, where the page is shortened. Not carried out here: what stops at
a full disk of logs, data or messages, which needs mounts, and the change of Airflow's or our own version.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from harness.handbook import HandbookSite, handbook_site
from harness.process_tree import kill, tree
from tests.documentation.blocks import ROOT, Block, blocks_of

pytestmark = [pytest.mark.service, pytest.mark.timeout(2400)]  # a busy machine takes some times as long

PAGES = ROOT / "docs" / "handbook"
REMARK = "run by: tests/documentation/test_handbook.py"
SETTING = r"export |api\(\) "
OLD, NEW = "vbi_l0_to_l1_1.0.0", "vbi_l0_to_l1_1.0.1"
LIST_ENVIRONMENTS = "dkist-airflow-node environments list --json 2>/dev/null"
FIRST = blocks_of(PAGES / "before-you-start.md")


class Page:
    """The commands of one page, carried out step by step."""

    def __init__(self, site: HandbookSite, name: str) -> None:
        self.site = site
        self._steps = [block for block in blocks_of(PAGES / name) if block.remark == REMARK]
        self._settings = [line for block in FIRST for line in settings_of(block)]

    def follow(self, count: int | None = None) -> str:
        """Carry out the next steps, or all that are left, and return what they printed."""
        steps = self._steps[:count]
        del self._steps[: len(steps)]
        return "".join(self._carry_out(block) for block in steps)

    def _carry_out(self, block: Block) -> str:
        self._settings += settings_of(block)
        is_failing = re.search(r"^error:|^address +FAILED:", block.text, re.MULTILINE) is not None
        text = "\n".join([*self._settings, block.commands if not is_failing else f"! {block.commands}"])
        printed = self.site.shell(text)
        missing = [line for line in shown(block) if line not in {normal(each) for each in printed.splitlines()}]
        assert not missing, f"{block} shows {missing}; printed was:\n{printed}"
        return printed


def settings_of(block: Block) -> list[str]:
    """Return the lines of a step that the steps after it need."""
    if block.remark != REMARK:
        return []
    return [line for line in block.commands.splitlines() if re.match(SETTING, line)]


def shown(block: Block) -> list[str]:
    """Return what a page shows as the output of a step, but for lines that differ on each site."""
    lines = [line for line in block.text.splitlines() if not line.startswith("$ ")]
    return [normal(line) for line in lines if line.strip() and not re.search(r"[…/@1-9]|example\.org", line)]


def normal(line: str) -> str:
    """Return a line with one blank for several."""
    return " ".join(line.split())


def test_pages_do_what_they_say(tmp_path: Path) -> None:
    """Each page, on one site: an operator who types its commands sees what it shows, and it works."""
    with handbook_site(tmp_path, tmp_path / "stores") as site:
        assert "scheduler healthy" in Page(site, "before-you-start.md").follow()
        answer_an_alert(site)
        release(site)
        continue_in_a_newer_version(site)
        lose_a_worker(site)
        lose_the_broker(site)
        make_room(site)
        upgrade(site)
        roll_back(site)


def answer_an_alert(site: HandbookSite) -> None:
    """Follow an alert about a bad frame: the log names it, and after its repair the run succeeds."""
    airflow = site.site.airflow
    site.put_raw(42, "light", "light", "")
    airflow.trigger(OLD, 42, run_id="recipe_run_42__1")
    assert airflow.wait_for_run(OLD, "recipe_run_42__1") == "failed"
    assert "FrameError: frame_0003.txt holds no image" in Page(site, "alert.md").follow()
    site.put_raw(42, "light", "light", "light")
    page = Page(site, "clear.md")
    page.follow(4)
    assert airflow.wait_for_run(OLD, "recipe_run_42__1") == "success"
    page.follow()


def release(site: HandbookSite) -> None:
    """Put the new version beside the old one and run it."""
    airflow = site.site.airflow
    site.put_raw(47, "light")
    page = Page(site, "release-day.md")
    page.follow(5)
    airflow.wait_for_dag(NEW)
    page.follow(2)
    assert airflow.wait_for_run(NEW, "recipe_run_47__1") == "success"
    page.follow()


def continue_in_a_newer_version(site: HandbookSite) -> None:
    """Let the new version take over what failed in the old one, as a whole or in part."""
    airflow = site.site.airflow
    site.put_raw(43, "light", "")
    airflow.trigger(OLD, 43, run_id="recipe_run_43__1")
    assert airflow.wait_for_run(OLD, "recipe_run_43__1") == "failed"
    data = site.folder / "data" / "43"
    page = Page(site, "continue.md")
    page.follow(4)
    assert airflow.wait_for_run(NEW, "recipe_run_43__2") == "success"
    made = (data / "frames").stat().st_ino
    page.follow(4)
    assert airflow.wait_for_run(NEW, "recipe_run_43__3") == "success"
    page.follow()
    assert (data / "frames").stat().st_ino == made, "Parse was to be left out"
    assert (data / "report" / "report.txt").read_text() == "1 frames, 1.0.1"


def lose_a_worker(site: HandbookSite) -> None:
    """Kill a worker: its task runs again on the other one, and nobody has to do anything but start the worker."""
    airflow = site.site.airflow
    site.put_raw(44, "slow")
    airflow.trigger(NEW, 44, run_id="recipe_run_44__1")
    log = wait_for_log(site, "recipe_run_44__1", "process:")
    (lost,) = (worker for worker in site.site.workers if f"{worker.store}/" in log)
    pid = airflow.component(lost.name).pid
    kill([process for process in tree(pid) if process.session == pid])
    page = Page(site, "worker-lost.md")
    assert lost.name not in page.follow(1)
    page.follow(1)
    site.site.start_worker(lost)
    assert airflow.wait_for_run(NEW, "recipe_run_44__1") == "success"
    assert airflow.tasks(NEW, "recipe_run_44__1")["Calibrate"].try_number == 2
    page.follow(1)
    wait_for_workers(site)
    page.follow()


def lose_the_broker(site: HandbookSite) -> None:
    """Stop the broker: tasks that run go on, what became ready failed without a log, and no failure message is lost."""
    airflow, broker = site.site.airflow, site.site.broker
    site.put_raw(46, "light")
    site.put_raw(54, "slow")
    airflow.trigger(NEW, 54, run_id="recipe_run_54__1")
    wait_for_log(site, "recipe_run_54__1", "process:")
    broker.take("recipe.run.failure.q")
    broker.stop()
    page = Page(site, "broker-down.md")
    page.follow(1)
    airflow.trigger(NEW, 46, run_id="recipe_run_46__1")
    assert airflow.wait_for_run(NEW, "recipe_run_46__1") == "failed"
    assert airflow.tasks(NEW, "recipe_run_46__1")["Parse"].start is None
    page.follow(1)
    broker.start()
    page.follow(2)
    wait_for_workers(site)
    page.follow()
    assert any(b"recipe_run_46__1" in body for body in broker.take("recipe.run.failure.q"))
    running = airflow.tasks(NEW, "recipe_run_54__1")["Calibrate"]
    assert (running.state, running.try_number) == ("running", 1)


def make_room(site: HandbookSite) -> None:
    """Remove environments and build them again, and find a failure that nobody has reported."""
    airflow = site.site.airflow
    airflow.request("PATCH", f"/api/v2/dags/{NEW}/dagRuns/recipe_run_54__1", {"state": "failed"})
    airflow.wait_for_task(NEW, "recipe_run_54__1", "Calibrate", {"failed"})
    wait_for_unused_environments(site)
    page = Page(site, "disk-full.md")
    assert "recipe_run_54__1" in page.follow()
    assert any(b"recipe_run_54__1" in body for body in site.site.broker.take("recipe.run.failure.q"))


def upgrade(site: HandbookSite) -> None:
    """Carry out what stands around the installation of another version."""
    Page(site, "upgrade-airflow.md").follow()
    Page(site, "upgrade-wheels.md").follow()


def roll_back(site: HandbookSite) -> None:
    """Remove the products of tasks, and then the version that made others."""
    airflow = site.site.airflow
    page = Page(site, "roll-back.md")
    data = site.folder / "data" / "44"
    page.follow(4)
    assert not (data / "report").exists()
    assert not (data / "calibrated").exists()
    assert (data / "frames").exists()
    site.put_raw(53, "slow")
    airflow.trigger(OLD, 53, run_id="recipe_run_53__1")
    airflow.wait_for_task(OLD, "recipe_run_53__1", "Calibrate", {"running"})
    page.follow()
    assert not list(airflow.dags.glob("*_1.0.0"))


def wait_for_log(site: HandbookSite, run_id: str, text: str) -> str:
    """Wait until the log of Calibrate's first attempt has a line of the task, and return it."""
    site.site.airflow.wait_for_task(NEW, run_id, "Calibrate", {"running"})
    return site.site.airflow.wait_for_log(NEW, run_id, "Calibrate", text)


def wait_for_unused_environments(site: HandbookSite) -> None:
    """Wait until no task that was stopped uses an environment any more: it has ten seconds to clean up."""
    deadline = time.monotonic() + 60
    while used := [row for row in json.loads(site.shell(LIST_ENVIRONMENTS)) if row["processes"]]:
        assert time.monotonic() < deadline, used
        time.sleep(1)


def wait_for_workers(site: HandbookSite) -> None:
    """Wait until Celery knows every worker."""
    deadline = time.monotonic() + 180
    while not all(worker.name in site.shell("airflow celery list-workers") for worker in site.site.workers):
        assert time.monotonic() < deadline, "a worker did not come back"
        time.sleep(1)
