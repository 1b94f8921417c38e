# build/typings, typings-pico2: modules of MicroPython on boards with an RP2040 or RP2350, and on a
# Pico 2, for type checkers and editors, apart from CPython's own.
NEEDS="python"
OUTPUTS="build/typings/machine.pyi build/typings-pico2/machine.pyi"

build() {
    rm -rf build/typings build/typings-pico2
    .venv/bin/python -m pip install --progress-bar off --target build/typings micropython-rp2-stubs
    .venv/bin/python -m pip install --progress-bar off --target build/typings-pico2 \
        micropython-rp2-rpi-pico2-stubs
}
