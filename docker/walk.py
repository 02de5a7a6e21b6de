"""The containers, walked through for real: `make compose-test`.

From copies of this folder, with secrets of their own. First plainly, by the local executor: start, a bootstrap and three days
through Airflow's REST API; in one of them all containers are made anew. Then with workers, two of them for training: a worker's
container is killed in training, the store is cut off in publishing, and the scheduler is started anew; the scoring server ranks,
a backup is made, the volumes are wiped, the backup is restored, every release verified and one day more learnt. At last nothing
of it is left. Writes `benchmarks/results/compose.json`; with `local` or `celery` as an argument it walks that part alone, and
writes nothing.

The images are there already (`make image`); AIRFLOW_IMAGE, SERVING_IMAGE, POSTGRES_IMAGE, SEAWEEDFS_IMAGE and REDIS_IMAGE name
others than the defaults.
"""

import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from benchmarks.machine import RESULTS, described
from widedeep.local.chain import BOOTSTRAP, AirflowApi, bootstrap_run
from widedeep.local.health import call

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "widedeep-walk"
RETRAIN = "widedeep_retrain"
VERSION = importlib.metadata.version("widedeep")
OURS = {"AIRFLOW_IMAGE": f"widedeep-airflow:{VERSION}", "SERVING_IMAGE": f"widedeep-serving:{VERSION}"}
IMAGES = {
    name: os.environ.get(name) or OURS.get(name, "")
    for name in ("AIRFLOW_IMAGE", "SERVING_IMAGE", "POSTGRES_IMAGE", "SEAWEEDFS_IMAGE", "REDIS_IMAGE")
}
"""Empty: the default of compose.yaml."""
FILES = ("compose.yaml", "compose.sh", "start.sh", "backup.sh", "restore.sh")
PARTS = {"local", "celery"}
CUT_OFF_S = 30
HEALTHY_S = 600
RUN_S = 900
MIB = 2**20


class WalkError(Exception):
    """Something is not as it should be; the text says what."""


class Engine:
    """The containers of the walk's project, by podman or docker."""

    def __init__(self) -> None:
        self.name = "docker" if _runs("docker", "info") and _runs("docker", "compose", "version") else "podman"
        self.compose = ["docker", "compose"] if self.name == "docker" else ["podman-compose"]

    def version(self) -> str:
        return " · ".join(self("--version").splitlines() + _out([*self.compose, "version"]).splitlines())

    def __call__(self, *words: str) -> str:
        return _out([self.name, *words])

    def containers(self, service: str | None = None) -> list[str]:
        """Ids of those that exist, of one service or of all."""
        labels = [f"com.docker.compose.project={PROJECT}"] + ([f"com.docker.compose.service={service}"] if service else [])
        return self("ps", "--all", "--quiet", "--no-trunc", *(f"--filter=label={label}" for label in labels)).split()

    def left(self) -> list[str]:
        """Containers, volumes and networks of the project."""
        listed = self("volume", "ls", "--quiet").split() + self("network", "ls", "--format", "{{.Name}}").split()
        return self.containers() + [name for name in listed if name.startswith(PROJECT)]

    def is_healthy(self, container: str) -> bool:
        """podman runs health checks by itself only under systemd, so it is asked to."""
        if self.name == "podman":
            return _runs("podman", "healthcheck", "run", container)
        return self("inspect", "--format", "{{.State.Health.Status}}", container).strip() == "healthy"

    def network(self) -> str:
        (store,) = self.containers("store")
        (name,) = json.loads(self("inspect", "--format", "{{json .NetworkSettings.Networks}}", store))
        return str(name)


class Stack:
    """The running project: its folder, its addresses, and what is asked of it."""

    def __init__(self, engine: Engine, folder: Path, today: date, options: tuple[str, ...]) -> None:
        self.engine, self.folder, self.today = engine, folder, today
        for file in FILES:
            shutil.copy(ROOT / "docker" / file, folder)
        self.script("start.sh", "--no-up", *options)
        self.secrets = dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines() if line[0] != "#")
        self.airflow_port, self.serving_port = _free_port(), _free_port()
        self.url = f"http://127.0.0.1:{self.airflow_port}"
        self.history = today - timedelta(days=8), today - timedelta(days=1)
        self.days = [today + timedelta(days=index) for index in range(4)]
        self._settle()
        self._files = {name: (folder / name).read_text() for name in (".env", "widedeep.env")}

    def write_files(self) -> None:
        """Again, if the walk ended while they were away: without them nothing can be stopped."""
        for name, content in self._files.items():
            (self.folder / name).write_text(content)

    def _settle(self) -> None:
        """The days are still to come, so that nothing but the walk starts their runs."""
        given = {name: image for name, image in IMAGES.items() if image}
        given |= {"COMPOSE_PROJECT_NAME": PROJECT, "AIRFLOW_PORT": str(self.airflow_port), "BASE_URL": self.url}
        given |= {"SERVING_PORT": str(self.serving_port), "SAMPLE_FOLDER": str(ROOT / ".local" / "sample")}
        with (self.folder / ".env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in given.items())
        days = {"HISTORY_START": self.history[0], "START_DATE": self.today, "FEED_START": self.days[-1] + timedelta(days=1)}
        lines = (self.folder / "widedeep.env").read_text().splitlines()
        kept = [line for line in lines if not line.startswith(tuple(f"WIDEDEEP_{name}=" for name in days))]
        (self.folder / "widedeep.env").write_text("\n".join(kept + [f"WIDEDEEP_{n}={d}" for n, d in days.items()]) + "\n")

    def script(self, name: str, *arguments: str) -> None:
        _run([str(self.folder / name), *arguments], cwd=self.folder)

    def stop(self, *options: str) -> str:
        """Remove all containers. Returns what compose said."""
        return _run([*self.engine.compose, "down", *options], cwd=self.folder)

    def down(self) -> list[str]:
        """Remove all of it with its volumes; returns what is left, after telling what compose said."""
        # podman-compose takes what `--scale` has added for orphans.
        told = self.stop("--volumes", "--remove-orphans")
        if left := self.engine.left():
            sys.stderr.write(told)
        return left

    def widedeep(self, *words: str) -> Any:
        """What the command prints as JSON in Airflow's environment."""
        (server,) = self.engine.containers("api-server")
        return json.loads(self.engine("exec", server, "widedeep", *words, "--json"))

    def api(self) -> AirflowApi:
        return AirflowApi(SimpleNamespace(url=self.url, admin_password=self.secrets["ADMIN_PASSWORD"]))

    def await_healthy(self) -> None:
        waiting = {c for c in self.engine.containers() if self.engine("inspect", "--format", HAS_CHECK, c).strip() == "true"}

        def healthy() -> bool:
            waiting.difference_update({c for c in waiting if self.engine.is_healthy(c)})
            return not waiting

        _until(
            healthy, HEALTHY_S, lambda: f"not healthy: {[self.engine('inspect', '--format', '{{.Name}}', c) for c in waiting]}"
        )

    def serving(self, method: str, path: str, body: object = None, token: str | None = None) -> tuple[int | None, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return call(method, f"http://127.0.0.1:{self.serving_port}{path}", body, headers)


HAS_CHECK = '{{if .Config.Healthcheck}}{{ne (index .Config.Healthcheck.Test 0) "NONE"}}{{end}}'


class Day:
    """One span's run, started through Airflow's REST API."""

    def __init__(self, stack: Stack, span: date) -> None:
        self.stack, self.span, self.api = stack, span, stack.api()
        self.path = f"dags/{RETRAIN}/dagRuns/walk-{span}"
        self.api.trigger(RETRAIN, f"walk-{span}", {"span": span.isoformat()})

    def task(self, name: str) -> dict[str, Any]:
        """Empty while Airflow does not answer."""
        status, found = self.api.call("GET", f"{self.path}/taskInstances/{name}")
        return found if status == 200 else {}  # noqa: PLR2004 (HTTP OK)

    def await_task(self, name: str, *states: str) -> dict[str, Any]:
        _until(
            lambda: self.task(name).get("state") in states,
            RUN_S,
            lambda: f"{self.span} {name}: {self.task(name).get('state')}",
            0.1,
        )
        return self.task(name)

    def await_end(self) -> dict[str, Any]:
        """The outcome of its span, once the run has succeeded."""
        await_run(self.api, self.path)
        outcome = next(o for o in self.stack.widedeep("spans") if o["span"] == self.span.isoformat())
        tasks = self.api.get(f"{self.path}/taskInstances")["task_instances"]
        return {
            "span": self.span.isoformat(),
            "result": outcome["result"],
            "tries": {t["task_id"]: t["try_number"] for t in tasks},
        }


def await_run(api: AirflowApi, path: str) -> None:
    def state() -> Any:
        return (api.call("GET", path)[1] or {}).get("state")

    _until(lambda: state() in {"success", "failed"}, RUN_S, lambda: f"{path}: {state()}")
    if state() != "success":
        tasks = api.get(f"{path}/taskInstances")["task_instances"]
        raise WalkError(f"{path} failed: { {t['task_id']: t['state'] for t in tasks} }")


class Walk:
    """What was done, with its seconds and what was found."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    @contextmanager
    def step(self, what: str) -> Iterator[dict[str, Any]]:
        sys.stdout.write(f"{what} …\n")
        sys.stdout.flush()
        began, found = time.monotonic(), dict[str, Any]()
        yield found
        self.steps.append({"step": what, "seconds": round(time.monotonic() - began, 1), **found})
        sys.stdout.write(f"  {json.dumps(self.steps[-1])}\n")
        sys.stdout.flush()


def main(parts: Collection[str]) -> None:
    engine, walk = Engine(), Walk()
    if left := engine.left():
        raise WalkError(f"of an earlier walk there is {', '.join(left)}; remove it first")
    with walk.step("the images: any uid, no tools, no secrets") as found:
        found.update(image_checks(engine))
    with TemporaryDirectory(prefix="widedeep-walk-") as scratch:
        if "local" in parts:
            with stack_of(walk, engine, Path(scratch) / "local", "--sample") as stack:
                walk_plainly(walk, stack)
        if "celery" in parts:
            with stack_of(walk, engine, Path(scratch) / "celery", "--celery", "--serve", "--sample") as stack:
                walk_through_faults(walk, stack, Path(scratch) / "backup")
    if set(parts) != PARTS:
        return
    result = {"machine": described(), "engine": engine.version(), "images": image_facts(engine), "steps": walk.steps}
    (RESULTS / "compose.json").write_text(json.dumps(result, indent=2) + "\n")


@contextmanager
def stack_of(walk: Walk, engine: Engine, folder: Path, *options: str) -> Iterator[Stack]:
    """A stack that is gone, whatever happens, when the context is left."""
    folder.mkdir()
    stack = Stack(engine, folder, datetime.now(UTC).date(), options)
    try:
        yield stack
    except BaseException:
        _tell_logs(engine)
        raise
    finally:
        with walk.step("down, with its volumes") as found:
            stack.write_files()
            found["left"] = stack.down()
        if found["left"]:
            raise WalkError(f"left behind: {found['left']}")


def walk_plainly(walk: Walk, stack: Stack) -> None:
    """Without workers: tasks run in the scheduler's container."""
    with walk.step("start.sh, local executor: from nothing to all healthy"):
        stack.script("start.sh")
        stack.await_healthy()
    with walk.step("local executor: bootstrap"):
        await_bootstrap(stack)
    first, second, third, _ = stack.days
    with walk.step("local executor: a day, and a log while its task runs") as found:
        day = Day(stack, first)
        read_running_log(day)
        found.update(day.await_end())
    with walk.step("local executor: a day in which all containers are made anew, as for a new version") as found:
        found.update(make_anew(stack, Day(stack, second)))
    with walk.step("local executor: a third day") as found:
        found.update(Day(stack, third).await_end())
    with walk.step("local executor: a task's log is read from the bucket"):
        read_log(stack, first)
    with walk.step("local executor: memory of each container") as found:
        found["memory"] = memory(stack.engine)


def await_bootstrap(stack: Stack) -> None:
    """The profile `sample` triggers it when it has delivered."""
    api, run = stack.api(), f"dags/{BOOTSTRAP}/dagRuns/{bootstrap_run(*stack.history)}"
    _until(lambda: api.call("GET", run)[0] == 200, RUN_S, lambda: f"no {run}")  # noqa: PLR2004 (HTTP OK)
    await_run(api, run)


def make_anew(stack: Stack, day: Day) -> dict[str, Any]:
    """Down in training, and up again; the volumes stay."""
    day.await_task("train", "running")
    stack.stop()
    stack.script("start.sh")
    stack.await_healthy()
    return day.await_end()


def walk_through_faults(walk: Walk, stack: Stack, backup: Path) -> None:
    engine = stack.engine
    with walk.step("start.sh, two workers for training: from nothing to all healthy"):
        stack.script("start.sh", "--", "--scale", "worker-training=2")
        stack.await_healthy()
    with walk.step("the settings of every part are known to Airflow"):
        (server,) = engine.containers("api-server")
        if unknown := engine("exec", server, "python3", "-c", UNKNOWN_OPTIONS).split():
            raise WalkError(f"Airflow knows no {', '.join(unknown)}")
    with walk.step("bootstrap"):
        await_bootstrap(stack)
    first, second, third, fourth = stack.days
    with walk.step("a day whose worker's container is killed in training") as found:
        found.update(kill_in_training(stack, Day(stack, first)))
    with walk.step(f"a day whose store is cut off for {CUT_OFF_S} s in publishing") as found:
        found.update(cut_off_in_publishing(stack, Day(stack, second)))
    with walk.step("a day in which the scheduler is started anew") as found:
        found.update(restart_scheduler(stack, Day(stack, third)))
    with walk.step("the scoring server ranks by the champion") as found:
        found.update(rank(stack))
    with walk.step("a task's log is read from the bucket"):
        read_log(stack, first)
    with walk.step("memory of each container") as found:
        found["memory"] = memory(engine)
    before = state(stack)
    with walk.step("backup") as found:
        stack.script("backup.sh", str(backup))
        found["mib"] = {file.name: round(file.stat().st_size / MIB, 1) for file in sorted(backup.iterdir())}
    with walk.step("wipe: down, with its volumes and secrets"):
        if left := stack.down():
            raise WalkError(f"left behind: {left}")
        for name in (".env", "widedeep.env"):
            (stack.folder / name).unlink()
    with walk.step("restore: to all healthy"):
        stack.script("restore.sh", str(backup))
        stack.await_healthy()
    with walk.step("verify: every release, the champion, Airflow's runs") as found:
        found["releases"] = len(verified(stack))
        if state(stack) != before:
            raise WalkError(f"restored: got {state(stack)}, wanted {before}")
    with walk.step("a day more, and the scoring server ranks by it") as found:
        found.update(Day(stack, fourth).await_end())
        found.update(rank(stack))


def kill_in_training(stack: Stack, day: Day) -> dict[str, Any]:
    """The other worker takes the task over, or the killed one, which podman starts again by itself and docker does not."""
    training = stack.engine.containers("worker-training")
    host = day.await_task("train", "running")["hostname"]
    (victim,) = [container for container in training if container.startswith(host)]
    stack.engine("kill", victim)
    killed_at = time.monotonic()
    task = day.task("train")
    if task.get("state") != "running":
        raise WalkError(f"train had ended when its worker was killed: {task.get('state')}")
    _until(lambda: day.task("train").get("try_number", 0) > 1, RUN_S, lambda: f"train: {day.task('train')}")
    noticed_s = time.monotonic() - killed_at
    again = day.await_task("train", "success")
    stack.engine("start", victim)
    by = "the same container, started again" if victim.startswith(again["hostname"]) else "the other"
    return {"tried_again_after_s": round(noticed_s, 1), "by": by, **day.await_end()}


def cut_off_in_publishing(stack: Stack, day: Day) -> dict[str, Any]:
    (store,), network = stack.engine.containers("store"), stack.engine.network()
    day.await_task("publish", "running")
    stack.engine("network", "disconnect", network, store)
    after = day.task("publish").get("state")
    time.sleep(CUT_OFF_S)
    champion_meanwhile = stack.serving("GET", "/health")[0]
    stack.engine("network", "connect", "--alias", "store", network, store)
    found = day.await_end()
    if champion_meanwhile != 200:  # noqa: PLR2004 (HTTP OK)
        raise WalkError(f"the scoring server answered {champion_meanwhile} while the store was cut off")
    return {"publish_when_cut_off": after, **found}


def restart_scheduler(stack: Stack, day: Day) -> dict[str, Any]:
    (scheduler,) = stack.engine.containers("scheduler")
    day.await_task("train", "running")
    stack.engine("restart", scheduler)
    return day.await_end()


def rank(stack: Stack) -> dict[str, Any]:
    champion, token = stack.widedeep("champion")["release_id"], stack.secrets["SERVE_TOKEN"]
    user = {
        "user_id": "1",
        "gender": "M",
        "occupation": "technician",
        "zip_prefix": "8",
        "age": 24,
        "liked_items": ["168", "172"],
    }
    body = {"user": user, "items": ["50", "242", "1"], "top": 2}
    _until(
        lambda: (stack.serving("POST", "/rank", body, token)[1] or {}).get("release_id") == champion,
        60,
        lambda: f"rank: {stack.serving('POST', '/rank', body, token)}, wanted by {champion}",
    )
    if (refused := stack.serving("POST", "/rank", body)[0]) != 401:  # noqa: PLR2004 (HTTP unauthorised)
        raise WalkError(f"without its token the scoring server answered {refused}")
    return {"champion": champion, "ranked": [item["title"] for item in stack.serving("POST", "/rank", body, token)[1]["items"]]}


def read_log(stack: Stack, span: date) -> None:
    path = f"dags/{RETRAIN}/dagRuns/walk-{span}/taskInstances/gate/logs/1"
    told = json.dumps(stack.api().get(path))
    if "s3://widedeep/airflow-logs" not in told:
        raise WalkError(f"{path} does not come from the bucket: {told[:500]}")


def read_running_log(day: Day) -> None:
    """From the container in which it runs."""
    day.await_task("train", "running")
    told = ""

    def served() -> bool:
        nonlocal told
        told = json.dumps(day.api.get(f"{day.path}/taskInstances/train/logs/1"))
        return ":8793/" in told and "Could not read" not in told

    _until(served, 30, lambda: f"the running task's log: {told[:1000]}")


def state(stack: Stack) -> dict[str, Any]:
    """What a restore has to bring back."""
    runs = stack.api().get(f"dags/{RETRAIN}/dagRuns?limit=100")["dag_runs"]
    return {
        "champion": stack.widedeep("champion")["release_id"],
        "spans": {outcome["span"]: outcome["result"] for outcome in stack.widedeep("spans")},
        "runs": {run["dag_run_id"]: run["state"] for run in runs},
    }


def verified(stack: Stack) -> list[Any]:
    """All releases; the command fails if one is not sound."""
    found: list[Any] = stack.widedeep("verify", "--all")
    if not found:
        raise WalkError("no release was restored")
    return found


def memory(engine: Engine) -> dict[str, str]:
    lines = engine("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}").splitlines()
    return {name: rest.split("/")[0].strip() for name, _, rest in (line.partition(" ") for line in lines) if PROJECT in name}


def image_checks(engine: Engine) -> dict[str, Any]:
    """Raises WalkError if an image needs a certain user, or has what only its build needs."""
    airflow, serving, uid = IMAGES["AIRFLOW_IMAGE"], IMAGES["SERVING_IMAGE"], "12345:0"
    told = engine(
        "run", "--rm", "--user", uid, airflow, "sh", "-c", "airflow version && python3 -c 'import widedeep.steps, torch'"
    )
    engine("run", "--rm", "--user", uid, serving, "widedeep", "serve", "--help")
    for image in (airflow, serving):
        user, *unwanted = engine("run", "--rm", image, "sh", "-c", UNWANTED).split()
        if user == "0" or unwanted:
            raise WalkError(f"{image}: user {user}, and it has {unwanted}")
    template = f"{ROOT}/docker/kubernetes/training-pod.yaml:/template.yaml:ro"
    engine("run", "--rm", "--volume", template, airflow, "python3", "-c", READ_TEMPLATE)
    if _runs(engine.name, "run", "--rm", serving, "python3", "-c", "import airflow"):
        raise WalkError(f"{serving} has Airflow")
    return {"airflow": told.split()[-1], "uid": uid}


def image_facts(engine: Engine) -> dict[str, str]:
    def size(name: str) -> str:
        return f"{int(engine('image', 'inspect', '--format', '{{.Size}}', name)) / MIB:.0f} MiB"

    return {name: size(name) for name in IMAGES.values() if name}


UNWANTED = "id -u; python3 -m pip --version 2>/dev/null; command -v gcc make git; find / -xdev -name '*.env' 2>/dev/null; true"
"""Tells the user, and what of a build or of a server's settings is in an image."""

READ_TEMPLATE = """
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
assert PodGenerator.deserialize_model_file("/template.yaml").spec.containers[0].name == "base"
"""

UNKNOWN_OPTIONS = """
import os
from airflow.configuration import conf
known = {s: {o.lower() for o in d["options"]} for s, d in conf.configuration_description.items()}
for name in os.environ:
    if name.startswith("AIRFLOW__"):
        section, option = name.lower().split("__")[1:]
        if option not in known.get(section, ()):
            print(name)
"""


def _until(reached: Callable[[], bool], limit_s: float, complaint: Callable[[], str], pause_s: float = 1.0) -> None:
    deadline = time.monotonic() + limit_s
    while not reached():
        if time.monotonic() > deadline:
            raise WalkError(f"after {limit_s:.0f} s: {complaint()}")
        time.sleep(pause_s)


def _tell_logs(engine: Engine) -> None:
    """The ends of all logs, before the containers go."""
    for container in engine.containers():
        name = engine("inspect", "--format", "{{.Name}}", container).strip()
        shown = subprocess.run([engine.name, "logs", "--tail", "15", container], capture_output=True, text=True, check=False)
        sys.stderr.write(f"--- {name}\n{shown.stdout}{shown.stderr}\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment() -> Mapping[str, str]:
    """None of the caller's variables stands over those of the walk's own files."""
    return {name: value for name, value in os.environ.items() if name not in IMAGES and not name.startswith("COMPOSE_")}


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise WalkError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def _out(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WalkError(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _runs(*command: str) -> bool:
    return bool(shutil.which(command[0])) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Also in the background, where a shell ignores SIGINT for it: whatever ends it, nothing is left.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    if unknown := set(sys.argv[1:]) - PARTS:
        sys.exit(f"error: {', '.join(unknown)}: the parts are {' and '.join(sorted(PARTS))}")
    try:
        main(set(sys.argv[1:]) or PARTS)
    except WalkError as error:
        sys.exit(f"error: {error}")
