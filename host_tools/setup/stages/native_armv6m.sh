# build/native/armv6m: the native modules for the Pico.
NEEDS="python sources mpy_cross"
INPUTS="$(find native device/priot/{fields,kinds,methods}.py -type f | sort | xargs cat | sha256sum)"
OUTPUTS="build/native/armv6m/priot_native.mpy build/native/armv6m/priot_layers.mpy
build/native/armv6m/priot_portable.mpy build/native/armv6m/priot_features.mpy
build/native/armv6m/priot_backward.mpy build/native/armv6m/priot_flash.mpy"
SYSTEM="make=make arm"

build() {
    rm -rf build/native/armv6m build/native/objects/armv6m-*
    for module in priot_native priot_layers priot_backward priot_portable priot_features \
            priot_flash; do
        make -C native ARCH=armv6m MOD=$module MPY_DIR="$BUILD/micropython" \
            PYTHON="$ROOT/.venv/bin/python"
    done
}
