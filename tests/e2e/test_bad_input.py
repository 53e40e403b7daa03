"""What is wrong with the input is told with exit code 2, and nothing half done is left."""

import shutil
import subprocess
import sys

import pytest

from tests.support.command import command
from tests.support.project import BIN, FP32, Small, rows, write_csv

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bad")]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Small(tmp_path_factory.mktemp("bad") / "project", count=200)
    made.change(**FP32)
    for name in ("fetch", "prepare", "tune"):
        command(made.root, "step", name)
    made.start = (made.root / "params.yaml").read_text(encoding="utf-8")
    return made


@pytest.fixture(autouse=True)
def same_again(project):
    yield
    (project.root / "params.yaml").write_text(project.start, encoding="utf-8")
    write_csv(project.root / "data" / "source" / "rows.csv", rows(200))


def refused(project, *arguments, run=command, **environment):
    """Standard error of a command that must exit with 2 and leave every output as it was."""
    outputs = ("data/raw", "data/prepared", "models", "reports")

    def state():
        return {
            str(path): path.stat().st_mtime_ns
            for folder in outputs
            for path in (project.root / folder).rglob("*")
        }

    before = state()
    done = run(project.root, *arguments, code=2, **environment)
    assert state() == before
    assert done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
    return done.stderr


def elsewhere(project):
    """Runs commands as processes of their own, as `command` runs them in this one."""

    def run(root, *arguments, **given):
        return project.run("openautoglm", *arguments, **given)

    return run


def step(name):
    return ("step", name)


def test_an_unknown_key(project):
    project.change(train={"leraning_rate": 1})
    said = refused(project, *step("train"))
    assert "params.yaml:" in said
    assert "unknown key `leraning_rate`" in said


def test_a_wrong_type(project):
    project.change(train={"epochs": "many"})
    assert 'found "many"' in refused(project, *step("train"))


def test_a_missing_file_names_what_is_there(project):
    project.change(data={"source": {"kind": "file", "path": "data/source/row.csv"}})
    assert "rows.csv" in refused(project, *step("fetch"))


def prepared(project, content):
    """Fetch a file with this content, then try to prepare it."""
    (project.root / "data" / "source" / "rows.csv").write_bytes(content)
    command(project.root, "step", "fetch")
    return refused(project, *step("prepare"))


def test_a_missing_column_names_those_that_exist(project):
    said = prepared(project, "txt,label\n列车,铁路\n".encode())
    assert "text" in said
    assert "txt" in said


def test_an_empty_file(project):
    assert "empty" in prepared(project, b"").lower()


def test_one_class_only(project):
    content = "text,label\n" + "".join(f"列车{n},铁路\n" for n in range(50))
    assert "class" in prepared(project, content.encode())


def test_binary_junk(project):
    assert "rows.csv" in prepared(project, bytes(range(256)) * 20)


def test_two_rows_of_five_are_bad(project):
    lines = [f"列车{n},铁路" if n % 2 else f"病理{n},医学" for n in range(60)]
    lines += [f",{label}" for label in ("铁路", "医学") for _ in range(20)]
    said = prepared(project, ("text,label\n" + "\n".join(lines) + "\n").encode())
    assert "40" in said
    assert "max_bad_share" in said


def test_a_dvc_revision_that_cannot_be_read(project):
    source = {"kind": "dvc", "repo": str(project.root), "path": "a.csv", "rev": "no-such-tag"}
    project.change(data={"source": source})
    assert "no-such-tag" in refused(project, *step("fetch"))


@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}]
)  # fmt: skip
def test_a_hub_id_without_network(project, tmp_path, environment):
    project.change(model={"base": "someone/no-such-bert"}, train={"transformer": ...})
    # In a process of its own, which reads these variables when it starts.
    home = {"HF_HOME": str(tmp_path)}
    said = refused(project, *step("train"), run=elsewhere(project), **home, **environment)
    assert "someone/no-such-bert" in said
    assert "network" in said


def test_a_tracking_store_that_does_not_answer(project):
    said = refused(project, *step("train"), MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert "127.0.0.1:9" in said
    assert "MLFLOW_TRACKING_URI" in said


def test_a_folder_that_is_no_output(project):
    said = refused(project, *step("train"), "--prepared", "data/source")
    assert "not the output of a step" in said


def test_a_changed_payload_is_noticed(project):
    file = project.root / "data" / "prepared" / "payload" / "valid.parquet"
    content = file.read_bytes()
    file.write_bytes(content + b"x")
    try:
        assert "was changed after it was made" in refused(project, *step("train"))
    finally:
        file.write_bytes(content)


def test_a_command_outside_a_project(tmp_path):
    done = subprocess.run(
        [BIN / "openautoglm", "verify"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--project" in done.stderr


def test_a_chain_that_has_not_run_has_no_page(project):
    assert "dvc repro" in refused(project, "verify")


@pytest.mark.skipif(sys.platform != "linux", reason="a small disk needs Linux's namespaces")
@pytest.mark.parametrize(("name", "size"), [("fetch", "1m"), ("train", "8m")])
def test_a_full_disk(project, tmp_path, name, size):
    """The project on a small disk of its own: told as such, and nothing half-written is left."""
    unshare = ("unshare", "--user", "--map-root-user", "--mount")
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"]).returncode:
        pytest.skip("this machine allows no mount namespaces")
    if name == "fetch":
        text = "".join(f"列车{n} {'x' * 200},铁路\n" for n in range(8000))
        file = project.root / "data" / "source" / "rows.csv"
        file.write_text("text,label\n" + text, encoding="utf-8")
    project.change(train={"transformer": ..., "glm": ...})  # weights that are larger than the disk
    script = (
        f"mount -t tmpfs -o size={size} tmpfs {tmp_path} && cp params.yaml dvc.yaml {tmp_path} "
        f"&& mkdir -p {tmp_path}/data {tmp_path}/models && cp -r data/prepared {tmp_path}/data "
        f"&& cp -r models/tuned {tmp_path}/models "
        f"&& ln -s {project.root}/data/source {tmp_path}/data/source "
        f"&& openautoglm --project {tmp_path} step {name}; "
        f"code=$?; ls -A {tmp_path}/data {tmp_path}/models >&2; exit $code"
    )
    done = project.run(*unshare, "sh", "-c", script, code=2)
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert ".part-" not in done.stderr
    assert "trained" not in done.stderr.rpartition("next:")[2]
