"""`mcppool completion`: scripts by which a shell completes the arguments of the command."""

from __future__ import annotations

import argparse
from typing import Final

from mcppool.cli.parsing import Commands, Parser

BASH: Final = r"""# Completion of mcppool in bash:  source <(mcppool completion bash)
_mcppool() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files) compopt -o default -o bashdefault 2>/dev/null ;;
            ?*) COMPREPLY+=("$(printf %q "${line%%$'\t'*}")") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _mcppool mcppool
"""
ZSH: Final = r"""#compdef mcppool
# Completion of mcppool in zsh:  source <(mcppool completion zsh)
_mcppool() {
    local line files=
    local -a found
    for line in "${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            :files) files=1 ;;
            ?*) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
        esac
    done
    (( $#found )) && _describe mcppool found
    if [[ -n $files ]]; then
        compset -P '--*='  # of --flag=FILE
        _files
    fi
    return 0
}
if [[ $funcstack[1] == _mcppool ]]; then
    _mcppool "$@"
else
    compdef _mcppool mcppool
fi
"""
FISH: Final = r"""# Completion of mcppool in fish:  mcppool completion fish | source
function __mcppool_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] 2>/dev/null)
        if test "$line" = :files
            set -l flag (string match -r -- '^--[^=]+=' $words[-1])  # of --flag=FILE
            string join -n \n -- "$flag"(__fish_complete_path (string replace -- "$flag" '' $words[-1]))
        else
            printf '%s\n' $line
        end
    end
end
complete -c mcppool -f -a '(__mcppool_complete)'
"""
SCRIPTS: Final = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script that completes arguments in a shell",
        description="Print a script by which a shell completes subcommands, flags, their values and names of pools. "
        "Exit status 0: printed; 2: unknown shell.",
        examples=(
            "source <(mcppool completion bash)",
            "mcppool completion zsh > ~/.zfunc/_mcppool",
            "mcppool completion fish > ~/.config/fish/completions/mcppool.fish",
        ),
    )
    parser.add_argument("shell", choices=tuple(SCRIPTS), help="bash, zsh or fish")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script and return the exit status."""
    print(SCRIPTS[args.shell], end="")
    return 0
