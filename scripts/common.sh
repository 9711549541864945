# Sourced by the scripts beside it: finds a Python, makes an environment once, keeps pip quiet.

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
torch="torch==2.13.0"

say() { printf '== %s\n' "$*"; }

# The first interpreter that is new enough; $PYTHON goes before all others.
find_python() {
    for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Molehill needs Python 3.11 or newer; set PYTHON to one." >&2
    return 1
}

# make_environment FOLDER ARGUMENTS...: a virtual environment with torch and what pip is told to
# install. Made again only when the project's requirements or the arguments have changed.
make_environment() {
    folder=$1
    shift
    stamp=$(cat pyproject.toml constraints.txt scripts/common.sh | cksum)" $*"
    if [ -f "$folder/made-of" ] && [ "$(cat "$folder/made-of")" = "$stamp" ]; then
        return
    fi
    python=$(find_python)
    say "Making $folder with $("$python" --version)"
    if ! "$python" -m venv "$folder"; then
        echo "Python's venv module is missing (on Debian: apt-get install python3-venv)." >&2
        return 1
    fi
    # torch first and alone: whatever comes later finds it there and chooses no other build.
    "$folder/bin/python" -m pip install --quiet "$torch"
    "$folder/bin/python" -m pip install --quiet -c constraints.txt "$@"
    printf '%s' "$stamp" > "$folder/made-of"
}
