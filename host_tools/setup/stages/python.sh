# .venv with the project's dependencies and the command `priot`.
# Of pyproject.toml only the part before the tools' settings matters here.
INPUTS="$CHECKOUT $PYTHON $(sed '/^\[tool\./,$d' pyproject.toml) $(grep __version__ device/priot/__init__.py)"
OUTPUTS=".venv/bin/priot"
SYSTEM="venv"

build() {
    local python
    python=$(find_python) || fail "python: 3.11 or later is needed; give PYTHON=PATH"
    cd "$CHECKOUT"
    # A half-made environment is made anew; a complete one only gets what is new.
    [ -e .venv/complete ] && is_at_home .venv && .venv/bin/python -c 'import pip' ||
        "$python" -m venv --clear .venv
    rm -f .venv/complete
    .venv/bin/python -m pip install --progress-bar off -e '.[test,import,dask]'
    touch .venv/complete
}

# The commands of an environment begin with its path: in a moved or copied checkout, with that of
# the old place.
is_at_home() {
    local VIRTUAL_ENV=
    VIRTUAL_ENV=$(set +u; source "$1/bin/activate" && echo "$VIRTUAL_ENV")
    [ "$VIRTUAL_ENV" -ef "$1" ]
}
