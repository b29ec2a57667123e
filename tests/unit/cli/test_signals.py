"""Signals: what they end, and what they leave."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lutra.files import temporary_name
from lutra.imaging.images import write_image
from tests.golden import cases
from tests.unit.cli.calls import lutra


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_temporary_file(model: Path, tmp_path: Path, number: signal.Signals) -> None:
    write_image(tmp_path / "in.png", cases.image(9, 7))
    code = (
        "import os, signal, sys, time; signal.signal(signal.SIGHUP, signal.SIG_DFL); "  # nohup's tests ignore it
        "from lutra.cli import main; os.replace = lambda *_: time.sleep(60); "
        f"sys.argv = ['lutra', 'restore', '-m', {str(model)!r}, '-i', {str(tmp_path / 'in.png')!r}, "
        f"'-o', {str(tmp_path / 'out' / 'a.png')!r}]; sys.exit(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("out/.*")):
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number and list((tmp_path / "out").iterdir()) == []
    assert said == ("interrupted\n" if number == signal.SIGINT else "")


def test_a_hangup_that_nohup_ignores_does_not_end_a_run(model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in.png", cases.image(9, 7))
    code = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); from lutra.cli import main; "
        "place = os.replace; os.replace = lambda *names: (os.kill(os.getpid(), signal.SIGHUP), place(*names)); "
        f"sys.argv = ['lutra', 'restore', '-m', {str(model)!r}, '-i', {str(tmp_path / 'in.png')!r}, "
        f"'-o', {str(tmp_path / 'out' / 'a.png')!r}]; sys.exit(main())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_what_an_ended_run_left_is_removed_by_the_next(model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in.png", cases.image(9, 7))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = temporary_name(tmp_path / "out.png")
    left = left.with_name(left.name.replace(str(os.getpid()), ended.stdout.decode().strip()))
    left.touch()
    lutra("restore", "-m", model, "-i", tmp_path / "in.png", "-o", tmp_path / "out.png", before="pass")
    assert not left.exists() and (tmp_path / "out.png").exists()
