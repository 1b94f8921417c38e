# build/bin/micropython: MicroPython on this machine; its own >= 1.23 where it has one, else built.
NEEDS="sources mpy_cross"
INPUTS="$(command -v micropython || true) $(find host_tools/setup/unix_variant -type f | sort | xargs cat)"
OUTPUTS="build/bin/micropython"

# The native module is built for x64 with .mpy version 6.3: 2822 is both in one number.
is_usable() {
    command -v "$1" && "$1" -X heapsize=240k -c '
import sys
assert sys.implementation.version >= (1, 23) and sys.implementation._mpy == 2822'
}
is_usable micropython >/dev/null 2>&1 || SYSTEM="make=make c pkg-config=pkg-config"

build() {
    if is_usable micropython; then
        ln -sf "$(realpath "$(command -v micropython)")" build/bin/micropython
        return
    fi
    export_micropython_version
    rm -rf build/unix   # changed options do not make the makefile compile again
    # Without TLS, the database and foreign functions: they need libraries and are not used here.
    make -C build/micropython/ports/unix -j"$JOBS" BUILD="$BUILD/unix" \
        VARIANT_DIR="$PWD/host_tools/setup/unix_variant" FROZEN_MANIFEST= \
        MICROPY_PY_SSL=0 MICROPY_SSL_MBEDTLS=0 MICROPY_PY_BTREE=0 MICROPY_PY_FFI=0 CFLAGS_EXTRA=-Wno-error
    ln -sf ../unix/micropython build/bin/micropython
}
