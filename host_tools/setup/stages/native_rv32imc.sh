# build/native/rv32imc: the native modules for RISC-V boards.
NEEDS="python sources mpy_cross"
INPUTS="$(find native device/priot/{fields,kinds,methods}.py -type f | sort | xargs cat | sha256sum)"
OUTPUTS="build/native/rv32imc/priot_portable.mpy build/native/rv32imc/priot_features.mpy"
SYSTEM="make=make riscv newlib"

build() {
    rm -rf build/native/rv32imc build/native/objects/rv32imc-*
    for module in priot_portable priot_features; do
        make -C native ARCH=rv32imc MOD=$module MPY_DIR="$BUILD/micropython" \
            PYTHON="$ROOT/.venv/bin/python"
    done
}
