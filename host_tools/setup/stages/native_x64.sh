# build/native/x64/priot_portable.mpy: the native module for the unix port.
NEEDS="python sources mpy_cross"
INPUTS="$(find native -type f | sort | xargs cat | sha256sum)"
OUTPUTS="build/native/x64/priot_portable.mpy"

build() {
    rm -rf build/native/x64 build/native/objects/x64-*
    make -C native ARCH=x64 MPY_DIR="$BUILD/micropython" PYTHON="$ROOT/.venv/bin/python"
}
