# A checkout whose path make cannot take, one with a space for example, has a double elsewhere.
#
# The double holds copies of what is compiled, and the folder build: `build` of the checkout is a
# link to it. Everything is built there by the copy of setup.sh; .venv lies in the checkout.

COPIED="native device/priot host_tools/setup host_tools/priot/emulator/boards pyproject.toml"

# is_awkward PATH: make, shells that it starts or lists of paths would take it apart.
is_awkward() {
    case $1 in
        *[[:space:]\'\"\`\$\#:\;\&\|\(\)\<\>*?%\\]* | *\[* | *\]*) return 0 ;;
    esac
    return 1
}

# move_elsewhere ARGUMENT...: go on in the double, if this checkout needs one.
move_elsewhere() {
    local double path
    [ "$ROOT" = "$CHECKOUT" ] || return 0   # this is the double
    leave_strangers_build
    is_awkward "$ROOT" || return 0
    double=${XDG_CACHE_HOME:-${HOME:-}/.cache}
    if [ "${double:0:1}" != / ] || is_awkward "$double"; then double=/var/tmp/priot-$(id -u); fi
    double+=/priot/$(printf %s "$ROOT" | sha256sum | cut -c 1-12)
    mkdir -p "$double/build" && echo "$ROOT" >"$double/checkout" || fail "no folder $double"
    if [ ! -L "$ROOT/build" ]; then
        say "make cannot take the path $ROOT: build becomes a link to $double/build"
        [ ! -d "$ROOT/build" ] || cp -an "$ROOT/build/." "$double/build/"
        rm -rf "$ROOT/build"
        ln -s "$double/build" "$ROOT/build"
    fi
    take_lock   # nobody builds from the copies while they are made anew
    for path in $COPIED; do
        [ -e "$ROOT/$path" ] || continue
        rm -rf "${double:?}/$path"
        mkdir -p "$double/$(dirname "$path")"
        cp -a "$ROOT/$path" "$double/$path"
    done
    ln -sfn "$ROOT/.venv" "$double/.venv"
    [ -z "$MPY_DIR" ] || MPY_DIR=$(realpath "$MPY_DIR")
    [ -z "$PICO_UF2" ] || PICO_UF2=$(realpath "$PICO_UF2")
    export MPY_DIR PICO_UF2
    PRIOT_CHECKOUT=$ROOT exec "$double/host_tools/setup/setup.sh" "$@"
}

# A copy of a checkout has its link: to a folder that the other one builds in.
leave_strangers_build() {
    local owner=$ROOT/build/../checkout
    if [ -L "$ROOT/build" ] && [ -f "$owner" ] && [ "$(cat "$owner")" != "$ROOT" ]; then
        rm "$ROOT/build"
    fi
}
