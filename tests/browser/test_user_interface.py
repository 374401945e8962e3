"""What a person sees of an exported workflow in Airflow's user interface, driven in a real browser.

Set ``DKIST_SCREENSHOTS`` to a folder to keep the pictures: ``docs/images`` holds those of the documentation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

from dkist_processing_example.workflows.l0_to_l1 import l0_to_l1
from harness.airflow import PrivateAirflow
from harness.rest import AirflowApi

pytestmark = pytest.mark.service

ROOT = Path(__file__).parents[2]
SECONDS = 60
DAG = l0_to_l1.dag_id


def required_program(*names: str) -> str:
    """Return the path of a program that has one of some names."""
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"{names[0]} is not installed: apt-get install chromium chromium-driver"
    return found


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowApi]:
    """Run an Airflow with the example's workflow, whose first task finds a setting that it refuses."""
    wheels = tmp_path_factory.mktemp("wheels")
    environment = {key: value for key, value in os.environ.items() if key != "UV_CONSTRAINT"}
    for source in ("packages/dkist-task", "examples/dkist-processing-example"):
        command = ["uv", "build", "--quiet", "--wheel", "--out-dir", str(wheels), str(ROOT / source)]
        subprocess.run(command, env=environment, check=True)
    with (
        tempfile.TemporaryDirectory(prefix="dkist-") as folder,  # a short path reads well in a picture
        PrivateAirflow(
            Path(folder, "airflow"),
            env={
                "UV_FIND_LINKS": str(wheels),
                "DKIST_ENVIRONMENT_STORE": str(Path(folder, "environments")),
                "DKIST_EXAMPLE_DATA": str(Path(folder, "data")),
                "DKIST_EXAMPLE_FRAME_SIZE": "enormous",
            },
        ) as running,
    ):
        l0_to_l1.export(running.dags)
        running.wait_for_dag(DAG)
        yield running


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """Return a headless Chromium with a profile of its own that connects to nothing by itself."""
    options = webdriver.ChromeOptions()
    options.binary_location = required_program("chromium", "chromium-browser", "google-chrome")
    for flag in (
        "--headless=new",
        "--no-sandbox",  # Chromium refuses its sandbox to root, who runs this in CI
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1400,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(required_program("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def visible(browser: WebDriver, by: str, value: str) -> WebElement:
    """Wait until an element can be seen, and return it."""
    found: WebElement = WebDriverWait(browser, SECONDS).until(expected.visibility_of_element_located((by, value)))
    return found


def wait_until(browser: WebDriver, condition: Callable[[], object]) -> None:
    """Wait until a condition holds; an element that the page has drawn anew meanwhile is looked for again."""
    WebDriverWait(browser, SECONDS, ignored_exceptions=[StaleElementReferenceException]).until(lambda _: condition())


def click(browser: WebDriver, by: str, value: str) -> None:
    """Wait until an element takes a click: the page may draw it anew, or something over it, while it is loaded."""
    in_the_way = [StaleElementReferenceException, ElementClickInterceptedException]

    def is_clicked(_: WebDriver) -> bool:
        visible(browser, by, value).click()
        return True

    WebDriverWait(browser, SECONDS, ignored_exceptions=in_the_way).until(is_clicked)


def keep_picture(browser: WebDriver, name: str) -> None:
    """Save what the browser shows, where pictures are asked for."""
    if folder := os.environ.get("DKIST_SCREENSHOTS"):
        browser.save_screenshot(str(Path(folder, f"{name}.png")))


def runs(airflow: AirflowApi) -> list[dict[str, Any]]:
    """Return the runs of the workflow."""
    found: list[dict[str, Any]] = airflow.request("GET", f"/api/v2/dags/{DAG}/dagRuns")["dag_runs"]
    return found


def test_graph_shows_the_workflow(airflow: AirflowApi, browser: WebDriver) -> None:
    """Every task is a node of the graph; every upstream is an edge."""
    browser.get(f"{airflow.url}/dags/{DAG}")
    click(browser, By.CSS_SELECTOR, "[aria-label^='Show Graph']")
    for node in l0_to_l1.nodes:
        visible(browser, By.CSS_SELECTOR, f".react-flow__node[data-id='{node.name}']")
    count = sum(len(node.upstream_names) for node in l0_to_l1.nodes)
    edges = ".react-flow__edge"  # they are drawn after the nodes
    wait_until(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, edges)) >= count)
    assert len(browser.find_elements(By.CSS_SELECTOR, edges)) == count
    keep_picture(browser, "airflow-graph")


def test_trigger_form_asks_for_the_recipe_run_id_and_refuses_a_bad_one(airflow: AirflowApi, browser: WebDriver) -> None:
    """Nothing is triggered without a recipe run id, or with one that is no integer; a good one starts a run with it."""
    browser.get(f"{airflow.url}/dags/{DAG}")
    click(browser, By.CSS_SELECTOR, "[data-testid=trigger-dag-button]")
    field = visible(browser, By.NAME, "element_recipe_run_id")
    submit = visible(browser, By.XPATH, "//*[@role='dialog']//button[normalize-space()='Trigger']")
    visible(browser, By.XPATH, "//label[starts-with(normalize-space(), 'Recipe run id')]")

    wait_until(browser, lambda: not submit.is_enabled() and field.get_attribute("aria-invalid") == "true")
    keep_picture(browser, "airflow-trigger-form")

    field.send_keys("1.5")
    wait_until(browser, submit.is_enabled)
    submit.click()
    refusal = "1.5 is not of type 'integer'"
    WebDriverWait(browser, SECONDS).until(expected.text_to_be_present_in_element((By.TAG_NAME, "body"), refusal))
    assert runs(airflow) == []

    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("42")
    submit.send_keys(Keys.ENTER)  # the notification of the refusal may lie over the button
    wait_until(browser, lambda: runs(airflow))
    (run,) = runs(airflow)
    assert run["conf"] == {"recipe_run_id": 42}


def test_log_of_a_failed_task_shows_its_error(airflow: AirflowApi, browser: WebDriver) -> None:
    """Airflow's log page shows the task's own error, by type and text, with no group unfolded."""
    run = airflow.trigger(DAG, recipe_run_id=43)
    assert airflow.wait_for_run(DAG, run, timeout=300) == "failed"
    browser.get(f"{airflow.url}/dags/{DAG}/runs/{quote(run, safe='')}/tasks/SimulateFrames")
    for text in (
        "failure: ConfigurationError: DKIST_EXAMPLE_FRAME_SIZE is 'enormous'; set it to a whole number",
        "DkistTask",
    ):
        WebDriverWait(browser, SECONDS).until(expected.text_to_be_present_in_element((By.TAG_NAME, "body"), text))
    keep_picture(browser, "airflow-failed-task-log")


def test_list_of_task_instances_shows_the_recipe_run(airflow: AirflowApi, browser: WebDriver) -> None:
    """Who looks at the tasks of all runs sees which recipe run each of them belongs to."""
    run = airflow.trigger(DAG, recipe_run_id=44)
    assert airflow.wait_for_run(DAG, run, timeout=300) == "failed"
    browser.get(f"{airflow.url}/task_instances")
    shown = expected.text_to_be_present_in_element((By.TAG_NAME, "body"), "recipe run 44")
    WebDriverWait(browser, SECONDS).until(shown)
    keep_picture(browser, "airflow-task-instances")


def test_page_of_the_workflow_names_pools_and_environments(airflow: AirflowApi, browser: WebDriver) -> None:
    """The documentation of the DAG says which pools Airflow must have, and in which environments tasks run."""
    browser.get(f"{airflow.url}/dags/{DAG}")
    click(browser, By.CSS_SELECTOR, "[aria-label='Dag Docs']")
    for text in ("Airflow must have these pools", "high_memory_pool", "Environments of the tasks"):
        WebDriverWait(browser, SECONDS).until(expected.text_to_be_present_in_element((By.TAG_NAME, "body"), text))
    keep_picture(browser, "airflow-dag-docs")
