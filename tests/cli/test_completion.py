"""Completion knows every command and option, and the shell understands it."""

import shutil
import subprocess

import pytest

from smnet_jax.cli import COMMANDS, main

pytest.importorskip("shtab", reason="needs the extra completion")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_options_are_there(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "strength", "learning-rate", "lol_small"):
        assert word in script, word


def test_bash_completes(capsys, tmp_path):
    if not (bash := shutil.which("bash")):
        pytest.skip("needs bash")
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "smnet"
    script.write_text(capsys.readouterr().out)

    def completed(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        function = "$(complete -p smnet | grep -o -e '-F [^ ]*' | cut -c 4-)"
        ask = f'source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; {function} smnet "{words[-1]}"'
        ask += '; echo "${COMPREPLY[@]}"'
        done = subprocess.run([bash, "-c", ask], capture_output=True, text=True, cwd=tmp_path)
        return done.stdout.split()

    (tmp_path / "dark.jpg").touch()
    assert completed("smnet", "ev") == ["evaluate"]
    assert completed("smnet", "enhance", "--stre") == ["--strength"]
    assert completed("smnet", "enhance", "da") == ["dark.jpg"]
    assert completed("smnet", "train", "smo") == ["smoke"]
    assert completed("smnet", "train", "lol", "--dtype", "bf") == ["bfloat16"]
