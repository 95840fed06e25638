"""Completion in real shells."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import need_program

BASH = r"""
source <(mcppool completion bash)
complete -p mcppool
ask() { COMP_WORDS=(mcppool "$@"); COMP_CWORD=$#; _mcppool; printf '%s\n' "${COMPREPLY[@]}"; }
"""
ZSH = r"""
autoload -Uz compinit; compinit -u -D
source <(mcppool completion zsh)
print -- ${_comps[mcppool]}
_describe() { print -l -- "${(@)${(@P)2}%%:*}" }  # the shell's own work, which needs a terminal
compset() { PREFIX=${PREFIX#${~2}} }
_files() { print -l -- $PREFIX*(N) }
ask() { words=(mcppool "$@"); CURRENT=$(($# + 1)); PREFIX=${@[-1]}; _mcppool }
"""
FISH = r"""
mcppool completion fish | source
function ask; complete -C "mcppool $argv" | string replace -r '\t.*' ''; end
"""
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-c"], BASH),
    "zsh": (["zsh", "-f", "-c"], ZSH),
    "fish": (["fish", "--no-config", "-c"], FISH),
}


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_subcommands_flags_values_and_names_of_pools(name: str, tmp_path: Path) -> None:
    need_program(name, "scripts/install-debian-packages installs it")
    (tmp_path / "pools.toml").write_text('[[pools]]\nname = "search"\n[[pools]]\nname = "mail"\n')
    lines = ("sta", "serve --adm", "status -o ", "tools pools.toml --pool ", "serve --config=po", "serve --config po")
    asked = [f"ask '{line}'" if name == "fish" else "ask " + re.sub(" $", " ''", line) for line in lines]
    start, prelude = SHELLS[name]
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [*start, "\n".join([prelude, *(f"{one}; echo ---" for one in asked)])],
        capture_output=True, text=True, timeout=300, cwd=tmp_path,
        env={"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8"},
    )  # fmt: skip
    assert done.stderr == ""
    commands, flags, values, pools, joined, apart, _ = (set(part.split()) for part in done.stdout.split("---\n"))
    assert "status" in commands
    assert "--admin-port" in flags
    assert {"text", "json"} <= values
    assert {"search", "mail"} <= pools
    if name != "bash":  # which adds the names of files itself
        assert joined == {"--config=pools.toml" if name == "fish" else "pools.toml"}
        assert apart == {"pools.toml"}
