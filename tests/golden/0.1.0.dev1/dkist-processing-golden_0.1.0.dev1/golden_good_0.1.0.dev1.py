# Workflow golden_good, version 0.1.0.dev1: made by dkist-airflow-node.
# Do not edit it: export and deploy a new version.
"""
A workflow as an Airflow DAG: each task runs in a Python environment of its own.

The text of this module is the fixed part of every exported DAG file, which goes on with the workflow's data. It imports
Airflow and the standard library only, and works on every Airflow 3; values reach the script in environment variables.
"""

import logging
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param


def make_dag(workflow: dict[str, Any], tasks: tuple[dict[str, Any], ...], script: str) -> DAG:
    """Return the DAG of a workflow, its table of tasks and the script that runs each of them."""

    def tell_of_failure(context: Any) -> None:
        """Publish the failure message; where that cannot be done, say so in the log."""
        try:
            from dkist_airflow_node import publish_failure  # noqa: PLC0415  # hosts without it parse and run the DAG
        except ImportError as error:
            logging.getLogger(__name__).error(  # noqa: TRY400  # the traceback would say no more
                "No failure message is sent from this host, since dkist-airflow-node cannot be imported (%s). "
                "The dag-processor sends it when the run ends, if dkist-airflow-node is installed there.",
                error,
            )
        else:
            publish_failure(context, workflow_name=workflow["name"], workflow_version=workflow["version"])

    dag = DAG(
        workflow["dag_id"],
        description=workflow["description"],
        tags=workflow["tags"],
        schedule=None,
        catchup=False,
        is_paused_upon_creation=False,
        max_active_runs=workflow["max_active_runs"],
        default_args={"owner": "DKIST Data Center", "depends_on_past": False},
        on_failure_callback=tell_of_failure,
        params={
            "recipe_run_id": Param(
                type="integer", minimum=1, title="Recipe run id", description="The recipe run to process."
            )
        },
    )
    operators: dict[str, BashOperator] = {}
    for task in tasks:
        operator = BashOperator(
            task_id=task["task_id"],
            dag=dag,
            bash_command=script,
            append_env=True,
            env={
                **task["environment"],
                "DKIST_TASK": task["entry_point"],
                "DKIST_PYTHON": workflow["python"],
                "DKIST_WORKFLOW_NAME": workflow["name"],
                "DKIST_WORKFLOW_VERSION": workflow["version"],
                "DKIST_RECIPE_RUN_ID": "{{ params.recipe_run_id | int }}",
                "DKIST_TRY_NUMBER": "{{ ti.try_number }}",
                "TRACEPARENT": "{{ (ti.context_carrier | default({}, true)).get('traceparent') | default('', true) }}",
                "TRACESTATE": "{{ (ti.context_carrier | default({}, true)).get('tracestate') | default('', true) }}",
                "OTEL_SERVICE_NAME": workflow["name"],
            },
            skip_on_exit_code=None,
            do_xcom_push=False,
            queue=task["queue"],
            pool=task["pool"],
            retries=task["retries"],
            retry_delay=timedelta(seconds=task["retry_delay_seconds"]),
            execution_timeout=None if task["timeout_seconds"] is None else timedelta(seconds=task["timeout_seconds"]),
            on_failure_callback=tell_of_failure,
        )
        operator.set_upstream([operators[name] for name in task["upstreams"]])
        operators[task["task_id"]] = operator
    return dag


WORKFLOW = {
    'dag_id': 'golden_good_0.1.0.dev1',
    'name': 'golden_good',
    'version': '0.1.0.dev1',
    'description': 'golden_good, version 0.1.0.dev1',
    'tags': ['0.1.0.dev1', 'golden', 'golden_good', 'good'],
    'python': '3.11',
    'max_active_runs': 100,
}

TASKS = (
    {
        'task_id': 'Succeed',
        'entry_point': 'dkist_processing_golden.tasks:Succeed',
        'environment': {
            'DKIST_REQUIREMENT': 'dkist-processing-golden==0.1.0.dev1',
        },
        'upstreams': (),
        'queue': 'default',
        'pool': 'default_pool',
        'retries': 0,
        'retry_delay_seconds': 60.0,
        'timeout_seconds': None,
    },
)

SCRIPT = r'''# Runs one task of a DKIST workflow in the environment that its lock describes. Read by `bash -c`, in three stages:
# Airflow's bash (no argument) becomes the supervisor, which starts the worker of the task. docs/how-to/environments.md
set -u
say() { printf 'dkist: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

supervise() { # PARENT MODE [GUARD...]: start the worker, end all that it started when this is told to end
    local parent=$1 mode=$2 mark=$$.$RANDOM.$RANDOM drop=() entry status
    shift 2
    trap 'end; trap - TERM; kill -s TERM $$' TERM INT HUP
    [[ $PPID = "$parent" ]] || fail "the process that asked for this task is gone"
    watch "$parent" "$mode"
    while IFS= read -rd '' entry; do
        case ${entry%%=*} in # the worker's own Python, its secrets, and what would change a build stay outside
        *[!A-Za-z0-9_]*) drop+=(-u "${entry%%=*}") ;; # such as exported functions, which unset does not know
        UV_INDEX* | UV_DEFAULT_INDEX | UV_EXTRA_INDEX_URL | UV_FIND_LINKS | UV_CONFIG_FILE | UV_HTTP_*) ;;
        UV_KEYRING_PROVIDER | UV_CREDENTIALS_DIR | UV_CACHE_DIR | UV_OFFLINE | AIRFLOW_CTX_*) ;;
        UV_NATIVE_TLS | UV_SYSTEM_CERTS | UV_INSECURE_HOST) ;;
        PYTHON* | __PYVENV* | VIRTUAL_ENV* | CONDA* | PIP_* | UV_* | BASH_ENV | ENV) unset "${entry%%=*}" ;;
        *AIRFLOW* | ISB_* | MESH_CONFIG) unset "${entry%%=*}" ;;
        esac
    done </proc/self/environ
    [[ ! ${drop-} ]] || drop=(env "${drop[@]}")
    DKIST_SUPERVISOR=$mark "$@" timeout --kill-after 10 0 "${drop[@]}" \
        bash -pc "$BASH_EXECUTION_STRING" dkist work "$mode" $$ </dev/null &
    wait $! 2>/dev/null
    status=$?
    ((status <= 128)) || { end; say "the task died of signal $((status - 128))"; }
    ((status <= 2 || status > 128)) || status=1 # 99 would read as "skipped" to Airflow
    exit "$status"
}

parent_of() { # PID: into REPLY, if it lives; the program's name, which comes before that, may have blanks
    local line state
    read -r line <"/proc/$1/stat" && read -r state REPLY _ <<<"${line##*) }" && [[ $state != Z ]]
}

watch() { # PARENT MODE: end this when Airflow's process that runs the task is orphaned, as when a worker is killed: its
    # task lives on unseen, and is tried again. Also when PARENT itself is gone, where setpriv could not arrange for that.
    local above=''
    parent_of "$1" && above=$REPLY
    while sleep 1 && parent_of $$; do
        if [[ $REPLY = "$1" ]]; then
            [[ $2 = run ]] || continue
            parent_of "$1" && [[ $REPLY = "$above" ]] && continue
        fi
        kill -s TERM $$
    done &>/dev/null &
}

end() { # SIGTERM to the group of the task and to what carries its mark, wherever it is; SIGKILL 10 s later
    trap '' TERM INT HUP PIPE
    local tick left group=${!:-} # timeout makes a group of its own
    for tick in {0..52}; do
        mapfile -t left < <(cd /proc && grep -lsxzF "DKIST_SUPERVISOR=$mark" [0-9]*/environ)
        left=("${left[@]%/environ}")
        [[ ${left-} ]] || kill -s 0 -- "-$group" || return
        case $tick in
        0) kill -s TERM -- "-$group" "${left[@]}" ;;
        5?) kill -s KILL -- "-$group" "${left[@]}" ;;
        esac
        sleep 0.2
    done
} 2>/dev/null

is_usable() { # marked complete, by an interpreter that is still there
    local library
    [[ -x $environment/bin/python ]] && read -r library <"$environment/.complete" && [[ -f $library ]]
} 2>/dev/null

has_digest() { # FILE: read from standard input, because sha256sum escapes some names
    [[ $(sha256sum <"$1") = "$digest  -" ]]
}

install() { # fill the environment, which this process holds alone
    cd / || return # where no project's settings are found; those of the user and the system apply
    local into=(--quiet --python "$environment/bin/python" --only-binary :all: --link-mode copy --compile-bytecode)
    rm -rf -- "$environment" && uv venv --quiet --no-python-downloads --python "$python" "$environment" || return
    if [[ ${DKIST_LOCK-} ]]; then
        cp -- "$lock" "$environment/requirements.txt" && has_digest "$environment/requirements.txt" &&
            uv pip sync "${into[@]}" --require-hashes "$environment/requirements.txt" || return
    else
        uv pip install "${into[@]}" -- "$DKIST_REQUIREMENT" 'dkist-task[otlp]' || return
    fi
    "$environment/bin/python" -P -c 'import dkist_task, os, sys; print(os.__file__, sys.argv[1], sep="\n")' "$origin" \
        >"$environment/.finished" &&
        mv -- "$environment/.finished" "$environment/.complete"
}

build() {
    local kind
    printf 'process %s on %s\n' "$$" "$HOSTNAME" >"$environment.lock" ||
        fail "cannot write to the environment store $store"
    kind=$(stat -f -c %T "$store")
    case $kind in
    nfs* | smb* | cifs | afs | ceph | lustre | gpfs | *panfs | 9p | v9fs | fuseblk | acfs | ocfs2)
        fail "the environment store $store is on a network file system ($kind), where locks do not hold;" \
            "set DKIST_ENVIRONMENT_STORE to a local folder"
        ;;
    esac
    command -v uv >/dev/null || fail "no 'uv' on the PATH of this worker, so it cannot build; install it there"
    python=$(cd / && uv python find --system --no-python-downloads "$DKIST_PYTHON") ||
        fail "no Python $DKIST_PYTHON on this worker, which $origin needs; install it there"
    say "building $environment for $origin"
    SECONDS=0
    (install) && say "built in $SECONDS s" && return
    rm -rf -- "$environment"
    printf 'failed\n' >"$environment.lock"
    fail "could not build the environment of $origin; the reason stands above; nothing of it was kept"
}

holder() {
    local text
    read -r text <"$environment.lock" || text="another task"
    printf '%s' "$text"
}

enter() { # hold the shared lock of a usable environment
    local waited='' limit=1800 # seconds: longer than any build that goes well
    until is_usable && flock --shared --nonblock 9 && is_usable; do
        flock --exclusive --nonblock 9 && { is_usable || build; }
        flock --shared --nonblock 9 || {
            say "waiting for $environment, held by $(holder)"
            waited=yes
            flock --shared --wait "$limit" 9 ||
                fail "gave up after $limit s: $environment is still held by $(holder)"
        }
        is_usable && break
        [[ ! $waited || $(holder) != failed ]] ||
            fail "the build of $environment that this task waited for failed"
        ((SECONDS < limit)) || fail "$environment has to be built again, but is in use"
        flock --unlock 9
        sleep "0.$RANDOM"
    done
    : >"$environment.lock" # its modification time is the environment's last use
}

work() { # MODE SUPERVISOR: MODE is run, or build, which only makes the environment
    local store=${DKIST_ENVIRONMENT_STORE:-${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}/dkist/environments}
    local supervisor='' python digest lock=${DKIST_LOCK-} origin=${DKIST_LOCK:-${DKIST_REQUIREMENT-}}
    read -r _ _ _ supervisor _ </proc/$PPID/stat # of timeout, which may have started too late to notice its death
    [[ $supervisor = "$2" ]] || fail "the supervisor of this task is gone"
    [[ $store = /* && $store != /dkist/environments ]] ||
        fail "DKIST_ENVIRONMENT_STORE is not set to an absolute path, nor is HOME"
    [[ ${DKIST_PYTHON-} =~ ^3\.[0-9]+$ ]] || fail "DKIST_PYTHON is '${DKIST_PYTHON-}', not a version such as 3.12"
    if [[ $lock ]]; then
        [[ -f $lock ]] || fail "the lock $lock is not there; deploy the release again"
        digest=${DKIST_LOCK_SHA256-}
        has_digest "$lock" ||
            fail "the lock $lock is not the one of this DAG (its SHA-256 is not '$digest'); deploy the release again"
    elif [[ ${DKIST_REQUIREMENT-} ]]; then
        say "$DKIST_REQUIREMENT has no lock: it was resolved once for this store and nothing about it is verified"
        digest=$(printf '%s' "$DKIST_REQUIREMENT" | sha256sum)
    else
        fail "neither DKIST_LOCK nor DKIST_REQUIREMENT is set"
    fi
    local environment=$store/${digest:0:32}-py$DKIST_PYTHON-$HOSTTYPE
    command -v flock >/dev/null || fail "no 'flock' on the PATH of this worker (it comes with util-linux)"
    [[ -d $store ]] || mkdir -p -- "$store"
    exec 9>>"$environment.lock" || fail "cannot write to the environment store $store"
    enter
    say "environment $environment"
    [[ $1 = run ]] || exit 0
    unset "${!UV_@}"
    export VIRTUAL_ENV=$environment PATH=$environment/bin:$PATH
    exec "$environment/bin/python" -P -u -m dkist_task run "$DKIST_TASK"
}

case ${1-} in
supervise) supervise "${@:2}" ;;
work) work "${@:2}" ;;
*) # from Airflow, or with the argument "build" from `dkist-airflow-node environments prebuild`
    guard=(setpriv --pdeathsig TERM) # SIGTERM when the parent dies
    "${guard[@]}" true 2>/dev/null || guard=()
    exec "${guard[@]}" bash -pc "$BASH_EXECUTION_STRING" dkist supervise "$PPID" "${1:-run}" "${guard[@]}"
    ;;
esac
'''

dag = make_dag(WORKFLOW, TASKS, SCRIPT)
