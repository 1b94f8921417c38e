#!/usr/bin/env bash
# setup.sh STAGE... : bring each stage, and what it needs, up to date.
#
# A stage is a file stages/NAME.sh that sets
#   NEEDS    stages that come first
#   INPUTS   text; the stage is redone when it changes, or the stage file, or a stage it needs
#   OUTPUTS  paths from the repository's root; the stage is redone when one is missing
#   SYSTEM   what it needs of this machine, see lacks() of common.sh
# and a function build(). A stamp in build/stamps is written only after build() succeeded, so an
# interrupted stage is redone. One lock serialises set-ups that are started at the same time.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
CHECKOUT=${PRIOT_CHECKOUT:-$ROOT}   # another where this is its double, see elsewhere.sh
cd "$ROOT"
BUILD=$ROOT/build
unset MFLAGS MAKELEVEL
export MAKEFLAGS=--no-print-directory   # in place of a caller's -j and variables
: "${PYTHON:=python3}" "${JOBS:=$(nproc)}" "${MPY_DIR:=}" "${PICO_UF2:=}"
: "${PRIOT_MICROPYTHON_GIT:=}" "${PRIOT_MICROPYTHON_TAG:=v1.25.0}" "${PRIOT_SOURCE_SUITE:=}"
source "$HERE/common.sh"
source "$HERE/elsewhere.sh"

load_stage() {
    NEEDS='' INPUTS='' OUTPUTS='' SYSTEM=''
    [ -f "$HERE/stages/$1.sh" ] || fail "no stage $1"
    source "$HERE/stages/$1.sh"
}

# The key of a stage covers everything that it is made from, the keys of earlier stages included.
stage_key() {
    local need
    load_stage "$1"
    {
        cat "$HERE/stages/$1.sh"
        printf '%s\n' "$INPUTS"
        for need in $NEEDS; do (stage_key "$need"); done
    } | sha256sum
}

is_fresh() {
    local path
    load_stage "$1"
    for path in $OUTPUTS; do
        [ -e "$path" ] || return 1
    done
    [ "$(cat "$BUILD/stamps/$1" 2>/dev/null)" = "$(stage_key "$1")" ]
}

take_lock() {
    [ -z "${LOCKED:-}" ] || return 0
    exec 9>"$BUILD/.lock"
    if ! flock -n 9; then
        say "waiting for another set-up"
        flock 9
    fi
    LOCKED=yes
}

run_stage() {
    local log=$BUILD/log/$1.log start=$SECONDS status key
    key=$(stage_key "$1")   # of what is there now: it may be edited during the build
    load_stage "$1"
    rm -f "$BUILD/stamps/$1"
    say "$1"
    exec 3>&2
    # In a subshell of its own, not behind || or if: those would switch set -e off inside it.
    set +e
    (trap 'exit 130' INT; set -e; build) >"$log" 2>&1 </dev/null 9>&-
    status=$?
    set -e
    exec 3>&-
    if [ $status = 130 ]; then
        exit 130   # Ctrl-C
    elif [ $status = 90 ]; then
        exit 1   # fail() has said why
    elif [ $status != 0 ]; then
        echo "setup: $1: $(telling_line "$log") (log: ${log#"$ROOT"/})" >&2
        exit 1
    fi
    echo "$key" >"$BUILD/stamps/$1.new"
    mv "$BUILD/stamps/$1.new" "$BUILD/stamps/$1"
    say "$1: done in $((SECONDS - start)) s"
}

ensure() {
    local stage=$1 need needs
    load_stage "$stage"
    needs=$NEEDS
    for need in $needs; do ensure "$need"; done
    if is_fresh "$stage"; then return; fi
    take_lock
    if is_fresh "$stage"; then return; fi   # somebody else made it meanwhile
    run_stage "$stage"
}

# stale STAGE...: those that are to be done, and stages that they need.
stale() {
    local stage need
    for stage in "$@"; do
        load_stage "$stage"
        for need in $NEEDS; do (stale "$need"); done
        is_fresh "$stage" || echo "$stage"
    done
}

# What stages need of this machine, all at once, before the first of them begins.
prepare_system() {
    local stage things missing
    things=$(for stage in "$@"; do load_stage "$stage"; printf '%s\n' $SYSTEM; done)
    missing=$(lacks $things)
    [ -n "$missing" ] || return 0
    apt_install $missing
    missing=$(lacks $things)
    [ -z "$missing" ] || fail "still missing after installing by apt:" $missing
}

# Without a trap bash goes on after Ctrl-C when the running command ends as if nothing had happened.
trap 'exit 130' INT
move_elsewhere "$@"
mkdir -p "$BUILD"/{stamps,log,bin}
todo=$(stale "$@")
[ -n "$todo" ] || exit 0
take_lock
prepare_system $todo
for stage in "$@"; do ensure "$stage"; done
