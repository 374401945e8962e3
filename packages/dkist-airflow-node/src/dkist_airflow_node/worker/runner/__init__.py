"""Run one task of a DKIST workflow in the environment that its lock describes.

The texts of these modules are in every exported DAG file. A bare interpreter (``python -I -S``) gets them on standard
input, as ``runner_process.py`` writes them: compiled, but for those of ``cold``, which a warm start does not need. So
they import each other by relative imports, and besides the standard library only, of Python 3.10 and later, on Linux.
The operator of the file starts them, ``dkist-airflow-node environments prebuild``, and ``dkist-build run --locked``.

Standard input, after the modules: one JSON object a line. The first is the request. It may stay open; its end means
nothing. ::

    {"action": "run" | "rollback" | "build",
     "environ": {...},           the worker's environment plus the variables of the DAG
     "watch": [pid, ...],        processes whose death stops the task
     "attempt": "key" | null}    only one attempt of a key runs on this host at a time
    {"stop": "timeout" | "cancellation", "text": "execution_timeout of 600 s"}

Variables of the DAG: ``DKIST_TASK`` (MODULE:CLASS), ``DKIST_PYTHON`` (X.Y), ``DKIST_LOCK`` with ``DKIST_LOCK_SHA256``,
or ``DKIST_REQUIREMENT``. Of the worker: ``DKIST_ENVIRONMENT_STORE``, ``DKIST_TASK_VARIABLES``, and uv's settings.
``DKIST_WHEELHOUSE`` is the folder where releases with their wheels were deployed to; without it, the folder
``.<name>.dkist-wheels`` beside the dags folder. Where it has a folder ``<DKIST_LOCK_SHA256>``, or the lock has a folder
``wheels`` beside it, the environment is built from these wheels alone, without a network.

Standard output: the log, UTF-8, in lines of at most 64 KiB. A line that starts with RS (0x1e) is a JSON record with
``level``, ``logger``, ``message``, ``time``; those of this program have the logger ``dkist.runner``, and a ``group``
where a group of lines begins (``environment``, ``task``) or ends (null). All other lines are the task's own.

Standard error: one JSON object, the result, as soon as it is known. Anything else means that this program failed. ::

    {"result": "success" | "failure" | "error" | "timeout" | "cancellation" | "skip",
     "error_type", "error": the task's own, or null,  "reason": one text for a person,
     "can_retry": false where trying again cannot help,  "exit_status", "signal", "is_out_of_memory",
     "peak_memory_bytes", "cpu_seconds", "seconds", "environment"}

Exit status: 0 success or skip; 1 failure; 2 trying again cannot help. After a stop it dies of SIGTERM.

The launcher gets ``DKIST_OUTCOME_FILE``, ``DKIST_STOP_FILE`` and ``DKIST_LOG_FORMAT=records``, and writes the outcome.
Private modules (``_signal``, ``_json``, ``_sha2``, ``_ctypes``) stand in for public ones that import ``enum`` or
``re``: each start would take 10 ms and 1 MB more. Where a later Python has them no longer, the public ones serve.
"""
