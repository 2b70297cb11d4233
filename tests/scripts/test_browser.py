from pathlib import Path

import pytest
from evertalk_pack.scripts import browser


def program(folder: Path, name: str, text: str = "exit 0") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a browser: a folder that alone is on the path."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_browser_that_the_user_names_is_taken_before_all_others(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare, "chromium")
    named = program(bare, "my_own")
    monkeypatch.setenv("CHROMIUM", str(named))
    assert browser.find_browser() == str(named)


def test_browser_that_is_there_is_left_alone(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chromium = program(bare, "chromium")
    program(bare, "apt-get", "exit 9")
    assert browser.main() == 0
    assert capsys.readouterr().out == f"browser: {chromium} is there\n"


def test_machine_without_apt_is_told_what_to_do(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert browser.find_browser() is None, bare
    assert browser.main() == 0
    told = capsys.readouterr().err
    assert "skipped (this system has no apt-get)" in told
    assert "CHROMIUM=/path/to/it make test" in told


def test_user_without_root_is_told_so(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(bare, "apt-get")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert browser.main() == 0
    assert "apt-get needs root" in capsys.readouterr().err


def test_browser_is_installed_where_it_can_be(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = bare / "log"
    made = bare / "chromium"
    body = (
        f'echo "$@" >> {log}; [ "$1" = install ] || exit 0; echo "#!/bin/sh" > {made}; /bin/chmod +x {made}'
    )
    program(bare, "apt-get", body)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert browser.main() == 0
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["update", "install"]
    assert capsys.readouterr().err == ""
    assert browser.find_browser() == str(made)


@pytest.mark.parametrize(
    ("body", "told"), [("echo no net; exit 100", "update failed: no net"), ("exit 0", "not on")]
)
def test_failed_installation_says_why(
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    body: str,
    told: str,
) -> None:
    program(bare, "apt-get", body)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert browser.main() == 0
    assert told in capsys.readouterr().err
