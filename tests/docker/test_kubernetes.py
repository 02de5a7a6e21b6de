"""What docker/kubernetes promises beyond the shape that `make check` validates: settings that are read, pods without rights."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.configuration import conf

from widedeep.config import Settings

FOLDER = Path(__file__).resolve().parents[2] / "docker" / "kubernetes"
README = (FOLDER.parent / "README.md").read_text()
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "airflow-values.yaml").read_text())
SERVING = {part["kind"]: part for part in yaml.safe_load_all((FOLDER / "serving.yaml").read_text())}
TRAINING = yaml.safe_load((FOLDER / "training-pod.yaml").read_text())
MACHINES = {part["kind"]: part for part in yaml.safe_load_all((FOLDER / "training-machines.yaml").read_text())}
PODS = {"training": TRAINING["spec"]} | {
    name: parts["Deployment"]["spec"]["template"]["spec"] for name, parts in (("serving", SERVING), ("machines", MACHINES))
}


def test_every_option_in_the_chart_s_values_is_known_to_airflow() -> None:
    known = conf.configuration_description
    unknown = [f"{s}.{o}" for s, options in VALUES["config"].items() for o in options if o not in known[s]["options"]]

    assert unknown == []


def test_every_setting_is_read_by_the_library_or_boto3() -> None:
    data = yaml.safe_load((FOLDER / "settings.yaml").read_text())["data"]
    ours = {name.removeprefix("WIDEDEEP_").lower() for name in data if name.startswith("WIDEDEEP_")}

    assert ours <= Settings.model_fields.keys()
    assert {name for name in data if not name.startswith("WIDEDEEP_")} == {"AWS_DEFAULT_REGION"}


@pytest.mark.parametrize("name", sorted(PODS))
def test_pods_run_without_root_rights_or_a_token_of_the_cluster(name: str) -> None:
    pod = PODS[name]
    (container,) = pod["containers"]

    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsGroup"]) == (True, 0)
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]


def test_the_scoring_server_s_root_is_read_only_and_what_it_writes_is_a_volume() -> None:
    (container,) = PODS["serving"]["containers"]

    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp", "/home/widedeep", "/state"}


def test_training_asks_for_a_gpu_on_nodes_that_are_kept_for_it() -> None:
    (container,) = TRAINING["spec"]["containers"]

    assert container["name"] == "base", "Airflow's executor looks for this name"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert TRAINING["spec"]["nodeSelector"]


def test_machines_that_join_look_into_the_claim_that_they_mount() -> None:
    (container,) = PODS["machines"]["containers"]
    (folder,) = (variable["value"] for variable in container["env"] if variable["name"] == "WIDEDEEP_TRAINING_FOLDER")
    (volume,) = (mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == folder)

    claims = {each["name"]: each.get("persistentVolumeClaim", {}).get("claimName") for each in PODS["machines"]["volumes"]}
    assert claims[volume] == MACHINES["PersistentVolumeClaim"]["metadata"]["name"]


def test_the_template_lies_where_tasks_that_train_name_it() -> None:
    from widedeep_airflow.placing import TRAINING as ARGUMENTS

    file = Path(ARGUMENTS["executor_config"]["pod_template_file"])
    (mount,) = VALUES["scheduler"]["extraVolumeMounts"]

    assert mount["mountPath"] == str(file.parent)
    assert f"--from-file={file.name}=kubernetes/training-pod.yaml" in README


def test_every_secret_and_map_that_is_named_is_made_in_the_readme_or_by_a_file() -> None:
    text = "".join(path.read_text() for path in FOLDER.glob("*.yaml"))
    named = set(re.findall(r"(?:Ref|configMap): \{name: ([\w-]+)[,}]|SecretName: ([\w-]+)", text))
    names = {name for pair in named for name in pair if name} - {"airflow-config"}  # the chart's

    made = set(re.findall(r"create (?:secret generic|configmap) ([\w-]+)", README)) | {"widedeep-settings"}
    assert names == made
