# build/native/x64: the native modules for the unix port, and what plans for the Pico.
NEEDS="python sources mpy_cross"
INPUTS="$(find native device/priot/{fields,kinds,methods}.py -type f | sort | xargs cat | sha256sum)"
OUTPUTS="build/native/x64/priot_portable.mpy build/native/x64/priot_plan.mpy
build/native/x64/priot_features.mpy build/native/x64/priot_flash.mpy
build/native/x64-avx2/priot_portable.mpy"
SYSTEM="make=make c"

build() {
    rm -rf build/native/x64 build/native/x64-avx2 build/native/objects/x64-*
    for module in priot_portable priot_plan priot_features priot_flash; do
        make -C native ARCH=x64 MOD=$module MPY_DIR="$BUILD/micropython" \
            PYTHON="$ROOT/.venv/bin/python"
    done
    make -C native ARCH=x64 CPU=avx2 MOD=priot_portable MPY_DIR="$BUILD/micropython" \
        PYTHON="$ROOT/.venv/bin/python"
}
