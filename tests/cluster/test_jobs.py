import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from evertalk_batch.errors import JobFileError
from evertalk_batch.jobs import JobBook, check_jobs
from evertalk_batch.workflow import Workflow, read_workflow

TINY = Path(__file__).resolve().parent.parent.parent / "workflows" / "api" / "demo_tiny.api.json"


@pytest.fixture
def workflow() -> Workflow:
    return read_workflow(TINY)


def book(folder: Path, workflow: Workflow, lines: Iterable[str]) -> JobBook:
    for name in ("a.png", "a.wav"):
        (folder / name).touch()
    path = folder / "jobs.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return check_jobs(path, workflow)


def line(number: int, **values: object) -> str:
    return json.dumps({"id": f"clip-{number}", "picture": "a.png", "audio": "a.wav", **values})


def test_jobs_come_with_absolute_paths(tmp_path: Path, workflow: Workflow) -> None:
    (job,) = book(tmp_path, workflow, [line(1, seed=4)]).jobs()
    assert job.id == "clip-1"
    assert job.values == {"picture": str(tmp_path / "a.png"), "audio": str(tmp_path / "a.wav"), "seed": 4}


def test_blank_lines_are_left_out(tmp_path: Path, workflow: Workflow) -> None:
    assert len(book(tmp_path, workflow, [line(1), "", "  ", line(2)])) == 2


def test_malformed_line_57_of_100_is_named_with_all_other_problems(
    tmp_path: Path, workflow: Workflow
) -> None:
    lines = [line(number) for number in range(1, 101)]
    lines[56] = '{"id": "clip-57", '
    lines[2] = line(3, colour="red")
    lines[10] = line(11, picture="gone.png")
    lines[20] = line(1)
    lines[98] = line(99, size="big", seed="x")
    with pytest.raises(JobFileError) as caught:
        book(tmp_path, workflow, lines)
    problems = caught.value.problems
    assert [one.split(":")[0] for one in problems] == [
        "line 3",
        "line 11",
        "line 21",
        "line 57",
        "line 99",
        "line 99",
    ]
    assert "'colour' is no input of the workflow; known are id, picture, audio, seed, size" in problems[0]
    assert f"picture: there is no file {tmp_path / 'gone.png'}" in problems[1]
    assert "id 'clip-1' is line 1's already" in problems[2]
    assert "it is no JSON" in problems[3]
    assert "6 problems; nothing was started" in str(caught.value)


@pytest.mark.parametrize("identity", ["", "../up", "a/b", ".hidden", 7, None, "a" * 101, "ä"])
def test_ids_that_cannot_name_a_folder_are_refused(
    tmp_path: Path, workflow: Workflow, identity: object
) -> None:
    with pytest.raises(JobFileError, match=r"line 1: id is .*, expected 1 to 100 letters"):
        book(tmp_path, workflow, [line(1, id=identity)])


def test_files_of_finished_jobs_may_be_gone(tmp_path: Path, workflow: Workflow) -> None:
    jobs = book(tmp_path, workflow, [line(1), line(2)])
    (tmp_path / "a.png").unlink()
    with pytest.raises(JobFileError, match="2 problems"):
        check_jobs(jobs.path, workflow)
    with pytest.raises(JobFileError, match="line 2: picture: there is no file"):
        check_jobs(jobs.path, workflow, {"clip-1"})
    assert len(check_jobs(jobs.path, workflow, {"clip-1", "clip-2"})) == 2


def test_folder_instead_of_a_file_is_refused(tmp_path: Path, workflow: Workflow) -> None:
    with pytest.raises(JobFileError, match="is no file"):
        book(tmp_path, workflow, [line(1, picture=".")])


@pytest.mark.parametrize("content", ["[1]", "3", '"x"', "[" * 100_000])
def test_line_that_is_no_object_is_refused(tmp_path: Path, workflow: Workflow, content: str) -> None:
    with pytest.raises(JobFileError, match=r"line 1: (expected a JSON object|it is no JSON)"):
        book(tmp_path, workflow, [content])


def test_empty_and_missing_files_are_refused(tmp_path: Path, workflow: Workflow) -> None:
    with pytest.raises(JobFileError, match="holds no job"):
        book(tmp_path, workflow, [""])
    with pytest.raises(JobFileError, match="cannot be read"):
        check_jobs(tmp_path / "none.jsonl", workflow)


def test_jobs_with_equal_models_stay_together_in_their_order(tmp_path: Path, workflow: Workflow) -> None:
    models = ["b", None, "a", "b", None]
    lines = [
        line(number, **({"3.base_model": model} if model else {})) for number, model in enumerate(models)
    ]
    order = [job.id for job in book(tmp_path, workflow, lines).jobs()]
    assert order == ["clip-0", "clip-3", "clip-1", "clip-4", "clip-2"]


def test_digest_changes_with_a_value_and_with_the_workflow(tmp_path: Path, workflow: Workflow) -> None:
    def digest(seed: int, steps: int) -> str:
        workflow.nodes["8"]["inputs"]["steps"] = steps
        (job,) = book(tmp_path, workflow, [line(1, seed=seed)]).jobs()
        return job.digest

    first = digest(1, 4)
    assert digest(1, 4) == first
    assert len({first, digest(2, 4), digest(1, 5)}) == 3


def test_file_that_changed_under_the_batch_is_told(tmp_path: Path, workflow: Workflow) -> None:
    jobs = book(tmp_path, workflow, [line(1), line(2)])
    jobs.path.write_text("x" * 500)
    with pytest.raises(JobFileError, match="changed while the batch ran"):
        list(jobs.jobs())
