"""The exceptions of this distribution."""

from __future__ import annotations


class AirflowNodeError(Exception):
    """A workflow, an environment or a message cannot be handed to Airflow, to a worker or to the bus."""


class AirflowNotInstalledError(AirflowNodeError, ImportError):
    """A workflow cannot be loaded as a DAG, because Airflow is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "loading a workflow as a DAG needs Apache Airflow 3, which is not installed; "
            "install 'dkist-airflow-node[airflow]'"
        )


class VariableError(AirflowNodeError, ValueError):
    """An environment variable holds a wrong value.

    Parameters
    ----------
    variable : str
        The environment variable.
    problem : str
        What is wrong with it and what it should be. Holds no value that could be secret.
    """

    def __init__(self, variable: str, problem: str) -> None:
        self.variable, self.problem = variable, problem
        super().__init__(f"{variable} {problem}")


class MessageError(AirflowNodeError):
    """A failure message cannot be read, spooled or published."""


class MessageFormatError(MessageError, ValueError):
    """Bytes are not a failure message."""


class SpoolError(MessageError, OSError):
    """The spool cannot take a message, or cannot be read."""


class BusSettingsError(MessageError, VariableError):
    """A setting of the message bus is wrong."""


class BusUnreachableError(MessageError, ConnectionError):
    """The broker cannot be reached, or does not answer: the next attempt would take as long.

    Parameters
    ----------
    broker : str
        Its address.
    cause : str
        What happened.
    """

    def __init__(self, broker: str, cause: str) -> None:
        self.broker, self.cause = broker, cause
        super().__init__(f"broker {broker}: {cause}")


class NotAcceptedError(MessageError):
    """The broker answers, and does not accept the message.

    Parameters
    ----------
    broker : str
        Its address.
    cause : str
        Its answer.
    is_fault_of_message : bool
        Whether the broker would accept another message: this one must not block the queue behind it.
    """

    def __init__(self, broker: str, cause: str, *, is_fault_of_message: bool = False) -> None:
        self.broker, self.cause, self.is_fault_of_message = broker, cause, is_fault_of_message
        super().__init__(f"broker {broker}: {cause}")


class PrebuildError(AirflowNodeError):
    """A release folder cannot be read."""


class RunnerError(AirflowNodeError):
    """The runner itself failed: it ended without a result."""


class StoreError(AirflowNodeError):
    """The environment store cannot be found or read."""


class SiteError(AirflowNodeError):
    """Airflow's REST API, or the dags folder, cannot say what it is asked for."""


class SiteSettingsError(SiteError, VariableError):
    """A setting of the connection to Airflow's REST API is wrong."""


class SiteUnreachableError(SiteError, ConnectionError):
    """Airflow's REST API does not answer.

    Parameters
    ----------
    url : str
        Its address.
    cause : str
        What happened.
    """

    def __init__(self, url: str, cause: str) -> None:
        self.url, self.cause = url, cause
        super().__init__(f"Airflow's REST API at {url} does not answer: {cause}; check DKIST_AIRFLOW_URL")


class SiteRefusalError(SiteError):
    """Airflow's REST API answers with an error.

    Parameters
    ----------
    request : str
        Method and address.
    status : int
        HTTP status.
    detail : str
        The API's own words.
    """

    def __init__(self, request: str, status: int, detail: str) -> None:
        self.request, self.status, self.detail = request, status, detail
        super().__init__(f"{request}: status {status}: {detail}")
