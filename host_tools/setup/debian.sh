# Sources from the Debian (or Ubuntu) archive, through an apt list of the project's own.
#
# A newer release than the machine's has the MicroPython that is wanted. The archive's address is
# read from the machine's apt configuration; nothing of that configuration is changed, and no
# rights are needed: lists, cache and state lie in build/apt.

APT=$BUILD/apt

# apt_private ARGUMENT...: apt-get on the private list alone.
apt_private() {
    apt-get -oDir::Etc::sourcelist="$APT/private.sources" -oDir::Etc::sourceparts=- \
        -oDir::State="$APT/state" -oDir::State::status=/var/lib/dpkg/status \
        -oDir::Cache="$APT/cache" -oAPT::Sandbox::User= -oAcquire::Languages=none -qq "$@"
}

apt_private_update() {
    local uri origin suite components keyring
    command -v apt-get >/dev/null ||
        fail "sources: no apt here; give PRIOT_MICROPYTHON_GIT=URL or MPY_DIR=FOLDER"
    read -r uri origin < <(archive_of_this_machine) ||
        fail "sources: no Debian archive in apt's lists; give PRIOT_MICROPYTHON_GIT=URL or MPY_DIR=FOLDER"
    case $origin in
        Debian) suite=trixie components=main keyring=debian ;;
        Ubuntu) suite=resolute components='main universe' keyring=ubuntu ;;
    esac
    mkdir -p "$APT"/{state/lists/partial,cache/archives/partial}
    printf '%s\n' "Types: deb deb-src" "URIs: $uri" "Suites: ${PRIOT_SOURCE_SUITE:-$suite}" \
        "Components: $components" "Signed-By: /usr/share/keyrings/$keyring-archive-keyring.gpg" \
        >"$APT/private.sources"
    apt_private update
}

archive_of_this_machine() {
    local found
    found=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN)' 'Created-By: Packages')
    awk '($2 == "Debian" || $2 == "Ubuntu") && $1 !~ /security/ { print; exit }' <<<"$found"
}

# fetch_source PACKAGE FOLDER: unpack the upstream part of a source package.
fetch_source() {
    local name=$1 folder=$2 archive
    mkdir -p "$BUILD/download" "$folder"
    (cd "$BUILD/download" && apt_private source --download-only "$name")
    archive=$(ls -t "$BUILD/download/$name"_*.orig.tar.* | head -n 1)
    tar xf "$archive" -C "$folder" --strip-components=1
}

# fetch_package PACKAGE FOLDER: unpack a binary package, without installing it.
fetch_package() {
    local name=$1 folder=$2
    mkdir -p "$BUILD/download"
    (cd "$BUILD/download" && apt_private download "$name")
    dpkg -x "$(ls -t "$BUILD/download/$name"_*.deb | head -n 1)" "$folder"
}
