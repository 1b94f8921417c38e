# build/typings: MicroPython's modules for type checkers and editors, apart from CPython's own.
NEEDS="python"
OUTPUTS="build/typings/machine.pyi"

build() {
    rm -rf build/typings
    .venv/bin/python -m pip install --progress-bar off --target build/typings micropython-rp2-stubs
}
