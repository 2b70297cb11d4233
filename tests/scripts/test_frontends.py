import zipfile
from pathlib import Path

import pytest
from evertalk_pack.scripts import frontends
from host import SetupError


def make_wheel(file: Path, *names: str) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return file


def test_editor_is_unpacked_alone(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path / "a.whl", "comfyui_frontend_package/__init__.py", f"{frontends.INSIDE}index.html"
    )
    frontends.unpack_editor(wheel, tmp_path / "1.2.3")
    assert [file.name for file in (tmp_path / "1.2.3").iterdir()] == ["index.html"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["1.2.3", "a.whl"]


def test_wheel_without_an_editor_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "b.whl", "other/__init__.py")
    with pytest.raises(SetupError, match=r"b\.whl holds no editor"):
        frontends.unpack_editor(wheel, tmp_path / "1.2.3")
    assert [file.name for file in tmp_path.iterdir()] == ["b.whl"]


def test_frontend_that_is_there_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(frontends, "CACHE", tmp_path)
    frontends.folder_of().mkdir(parents=True)
    assert frontends.main() == 0
    assert capsys.readouterr().out == f"frontends: {frontends.NEWEST} is there\n"
