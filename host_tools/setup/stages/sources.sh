# build/micropython: MicroPython's source tree, of MPY_DIR, of a git clone or of the Debian archive.
INPUTS="$MPY_DIR $PRIOT_MICROPYTHON_GIT $PRIOT_MICROPYTHON_TAG $PRIOT_SOURCE_SUITE"
OUTPUTS="build/micropython/py/dynruntime.mk"

build() {
    local new=$BUILD/micropython.new
    rm -rf "$new"
    if [ -n "$MPY_DIR" ]; then
        [ -f "$MPY_DIR/py/dynruntime.mk" ] || fail "sources: MPY_DIR=$MPY_DIR: not MicroPython's tree"
        ln -s "$(realpath "$MPY_DIR")" "$new"
    elif [ -n "$PRIOT_MICROPYTHON_GIT" ]; then
        require git=git
        git clone --depth 1 -b "$PRIOT_MICROPYTHON_TAG" "$PRIOT_MICROPYTHON_GIT" "$new"
    else
        source "$HERE/debian.sh"
        require xz=xz-utils
        apt_private_update
        fetch_source micropython "$new"
    fi
    rm -rf "$BUILD/micropython"
    mv -T "$new" "$BUILD/micropython"
}
