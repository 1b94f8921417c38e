# build/watch: readings of a watch, of PyPI's seglearn (BSD licence), for device/examples/watch.
# The package's code is not installed: it wants libraries that nothing here needs.
NEEDS="python"
SEGLEARN=seglearn==1.2.5
INPUTS="$SEGLEARN $(cat device/examples/watch/data.py)"
OUTPUTS="build/watch/watch.npz build/watch/minute.imu build/watch/later.imu"

build() {
    local wheel=$BUILD/watch/wheel
    rm -rf "$wheel"
    mkdir -p "$wheel"
    .venv/bin/python -m pip install --progress-bar off --no-deps --target "$wheel" "$SEGLEARN"
    .venv/bin/python device/examples/watch/data.py \
        "$wheel/seglearn/data/watch_dataset.npy" build/watch
    rm -rf "$wheel"
}
