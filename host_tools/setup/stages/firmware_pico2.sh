# build/rp2-RPI_PICO2/firmware.elf: the Pico 2's firmware, from which its heap is read. A board is
# given the official one: this is not what picotool makes of it.
NEEDS="sources mpy_cross"
INPUTS="$(cat "$HERE/rp2.sh")"
OUTPUTS="build/rp2-RPI_PICO2/firmware.elf"
SYSTEM="cmake=cmake ninja=ninja-build python3=python3 c c++ arm-c++"
[ -n "$MPY_DIR$PRIOT_MICROPYTHON_GIT" ] || SYSTEM+=" xz=xz-utils bzip2=bzip2 apt-lists"

build() {
    source "$HERE/rp2.sh"
    build_rp2 RPI_PICO2 rp2-RPI_PICO2
}
