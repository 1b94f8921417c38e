# build/anomaly: sounds of fans, for device/examples/anomaly.
NEEDS="python"
INPUTS="$(cat device/examples/anomaly/sounds.py)"
OUTPUTS="build/anomaly/sounds build/anomaly/learn.pcm build/anomaly/normal.pcm build/anomaly/other.pcm"

build() {
    rm -rf build/anomaly/sounds
    .venv/bin/python device/examples/anomaly/sounds.py build/anomaly
}
