# build/micropython: MicroPython's source tree, of MPY_DIR, of a git clone or of the Debian archive.
INPUTS="$MPY_DIR $PRIOT_MICROPYTHON_GIT $PRIOT_MICROPYTHON_TAG $PRIOT_SOURCE_SUITE"
OUTPUTS="build/micropython/py/dynruntime.mk"
if [ -n "$PRIOT_MICROPYTHON_GIT" ]; then
    SYSTEM="git=git"
elif [ -z "$MPY_DIR" ]; then
    SYSTEM="xz=xz-utils apt-lists"
fi

build() {
    local new=$BUILD/micropython.new
    rm -rf "$new"
    if [ -n "$MPY_DIR" ]; then
        [ -f "$MPY_DIR/py/dynruntime.mk" ] || fail "sources: MPY_DIR=$MPY_DIR: not MicroPython's tree"
        ! is_awkward "$(realpath "$MPY_DIR")" ||
            fail "sources: MPY_DIR=$MPY_DIR: make cannot take such a path"
        ln -s "$(realpath "$MPY_DIR")" "$new"
    elif [ -n "$PRIOT_MICROPYTHON_GIT" ]; then
        git clone --depth 1 -b "$PRIOT_MICROPYTHON_TAG" "$PRIOT_MICROPYTHON_GIT" "$new"
    else
        source "$HERE/debian.sh"
        apt_private_update
        fetch_source micropython "$new"
    fi
    rm -rf "$BUILD/micropython"
    mv -T "$new" "$BUILD/micropython"
}
