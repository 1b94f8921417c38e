# build/bin/mpy-cross: the compiler to .mpy. It is built where MicroPython's makefiles look for it.
NEEDS="sources"
OUTPUTS="build/bin/mpy-cross build/micropython/mpy-cross/build/mpy-cross"
SYSTEM="make=make c python3=python3"

build() {
    export_micropython_version
    make -C build/micropython/mpy-cross -j"$JOBS" CFLAGS_EXTRA=-Wno-error
    ln -sf ../micropython/mpy-cross/build/mpy-cross build/bin/mpy-cross
}
