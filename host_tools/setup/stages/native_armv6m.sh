# build/native/armv6m/priot_native.mpy: the native module for the Pico.
NEEDS="python sources mpy_cross"
INPUTS="$(find native -type f | sort | xargs cat | sha256sum)"
OUTPUTS="build/native/armv6m/priot_native.mpy"

build() {
    require_arm_gcc
    make -C native ARCH=armv6m MPY_DIR="$BUILD/micropython" PYTHON="$ROOT/.venv/bin/python"
}
