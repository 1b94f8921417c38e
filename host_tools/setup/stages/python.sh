# .venv with the project's dependencies and the command `priot`.
# Of pyproject.toml only the part before the tools' settings matters here.
INPUTS="$ROOT $PYTHON $(sed '/^\[tool\./,$d' pyproject.toml) $(grep __version__ device/priot/__init__.py)"
OUTPUTS=".venv/bin/priot"

build() {
    choose_python
    # A half-made environment is made anew; a complete one only gets what is new.
    [ -e .venv/complete ] && .venv/bin/python -c 'import pip' || "$PYTHON" -m venv --clear .venv
    rm -f .venv/complete
    .venv/bin/python -m pip install --progress-bar off -e '.[test,import]'
    touch .venv/complete
}

# Debian leaves ensurepip, which venv needs, to a package of its own.
choose_python() {
    local needed='import ensurepip, sys; assert sys.version_info >= (3, 11)'
    if "$PYTHON" -c "$needed"; then return; fi
    apt_install python3 python3-venv
    "$PYTHON" -c "$needed" || PYTHON=/usr/bin/python3
    "$PYTHON" -c "$needed" || fail "python: 3.11 or later is needed; give PYTHON=PATH"
}
