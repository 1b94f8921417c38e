"""On the PC: synthesises fans in rooms, normal and with a fault, as wav files of 8 kHz.

    .venv/bin/python device/examples/anomaly/sounds.py FOLDER [PLACES]

FOLDER/sounds/PLACE/normal/N.wav and FOLDER/sounds/PLACE/other/FAULT-N.wav, 2 s each, and of place
2 what anomaly.py plays, FOLDER/learn.pcm, normal.pcm and other.pcm. A place is a fan in a room:
speed, number of blades, strength of every harmonic, colour of the air stream, resonances of the
housing, echoes, a background of other machines, the microphone. Within a place the load changes
from file to file. What a place sounds like follows from its number.

It is a model, not a recording: tones at multiples of the rotation and of the blades, hum at
multiples of 100 Hz, noise of the air, and a fault on top:

    bearing    short blows, 3.6 a turn, each of which makes the housing ring
    rub        a hiss once a turn, for a fifth of it
    unbalance  the lowest multiples of the rotation are stronger, all blades swing with it
    loose      half multiples of the rotation, and a rattle that comes and goes
"""

import sys
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import signal

RATE = 8000
SECONDS = 2
N = RATE * SECONDS
FAULTS = ("bearing", "rub", "unbalance", "loose")
N_NORMAL, N_OTHER = 60, 10  # files of a place: normal ones, and of each fault
PLACES = 10


@dataclass
class Place:
    """What is fixed at a place. turns: a second; ringing: (Hz, damping) of the housing."""

    turns: float
    blades: int
    tones: np.ndarray  # amplitudes of multiples of the rotation
    blade_tones: np.ndarray  # of multiples of the blades' frequency
    hum: np.ndarray  # of multiples of 100 Hz
    air: float  # Hz above which the stream's noise falls
    air_level: float
    ringing: list[tuple[float, float]]
    room: np.ndarray  # impulse response, the microphone's colour in it
    background: np.ndarray  # what other machines hum: rows of Hz, amplitude
    background_level: float
    loudness: float


def place(number: int) -> Place:
    """The place of that number."""
    rng = np.random.RandomState(1000 + number)  # numpy froze it
    echo = rng.uniform(0.05, 0.3)  # seconds until an echo is 60 dB down
    n = int(echo * RATE)
    room = rng.normal(size=n) * 10.0**(-3 * np.arange(n) / n) * rng.uniform(0.1, 0.4)
    room[0] = 1
    tilt = rng.uniform(-0.6, 0.6)
    return Place(
        turns=rng.uniform(15, 45), blades=rng.randint(3, 10),
        tones=rng.uniform(0.05, 0.4, 6) / np.arange(1, 7),
        blade_tones=rng.uniform(0.2, 1.0, 8) / np.arange(1, 9)**rng.uniform(0.3, 1),
        hum=rng.uniform(0, 0.4, 4), air=rng.uniform(300, 1500), air_level=rng.uniform(0.5, 2),
        ringing=[(rng.uniform(400, 3600), rng.uniform(0.01, 0.05)) for _ in range(3)],
        room=signal.lfilter([1, tilt], [1], room),
        background=np.stack([rng.uniform(80, 2500, 5), rng.uniform(0, 0.3, 5)]),
        background_level=rng.uniform(0.02, 0.1), loudness=rng.uniform(0.03, 0.2))


def ring(at: Place, x: np.ndarray) -> np.ndarray:
    """What the housing makes of a force."""
    y = np.zeros_like(x)
    for hertz, damping in at.ringing:
        b, a = signal.iirpeak(hertz, 0.5 / damping, RATE)
        y += signal.lfilter(b, a, x)
    return y


def sound(at: Place, fault: str, rng: np.random.RandomState) -> np.ndarray:
    """int16 [N]: a recording at a place; fault: "" or one of FAULTS."""
    load = rng.uniform(0.85, 1)
    wander = np.cumsum(rng.normal(size=N)) * 2e-5
    turn = np.cumsum(at.turns * load * (1 + wander)) / RATE + rng.uniform()  # rotations so far
    severity = rng.uniform(0.6, 1.4)
    tones, swing = at.tones.copy(), 0.05
    if fault == "unbalance":
        tones[:3] += severity * np.array([2, 1, 0.5])
        swing += 0.5 * severity
    swinging = 1 + swing * np.sin(2 * np.pi * turn)
    x = load**2 * (_multiples(turn, tones, rng)
                   + swinging * _multiples(turn * at.blades, at.blade_tones, rng))
    x += _multiples(100 * np.arange(N) / RATE, at.hum, rng)
    air = signal.lfilter(*signal.butter(1, at.air, fs=RATE), rng.normal(size=N))
    x += load**3 * at.air_level * swinging * air
    force = np.zeros(N)
    if fault == "bearing":
        slip = np.cumsum(1 + 0.02 * rng.normal(size=N)) / np.arange(1, N + 1)
        blow = np.flatnonzero(np.diff(np.floor(3.6 * turn * slip)) > 0)
        force[blow] = 6 * severity * rng.uniform(0.5, 1, len(blow)) * swinging[blow]
    elif fault == "rub":
        force = 0.8 * severity * rng.normal(size=N) * (turn % 1 < 0.2)
    elif fault == "loose":
        x += severity * _multiples(turn / 2, np.array([0.6, 0, 0.4, 0, 0.3, 0, 0.2]), rng)
        rattle = rng.normal(size=N) * (np.sin(2 * np.pi * turn / 2) > 0.6)
        force = 0.8 * severity * rattle * (np.sin(2 * np.pi * rng.uniform(1, 3)
                                                  * np.arange(N) / RATE) > 0)
    x += 0.3 * ring(at, x) + ring(at, force)
    x = signal.fftconvolve(x, at.room)[:N]
    hertz, level = at.background
    other = level @ np.sin(2 * np.pi * (np.outer(hertz, np.arange(N) / RATE)
                                        + rng.uniform(size=(5, 1))))
    x += at.background_level * (other + rng.normal(size=N)) * rng.uniform(0.7, 1.4)
    return np.clip(np.rint(8000 * at.loudness * x), -0x8000, 0x7FFF).astype(np.int16)


def _multiples(turn: np.ndarray, amplitudes: np.ndarray, rng: np.random.RandomState,
               ) -> np.ndarray:
    """Sines at multiples 1, 2, .. of what turns; those above 4 kHz are left out."""
    x = np.zeros(len(turn))
    for k, amplitude in enumerate(amplitudes, 1):
        if k * (turn[-1] - turn[0]) < len(turn) / 2:
            x += amplitude * np.sin(2 * np.pi * (k * turn + rng.uniform()))
    return x


def main(folder: str, places: str = str(PLACES)) -> None:
    for number in range(int(places)):
        at, rng = place(number), np.random.RandomState(number)
        kinds = [("normal", "", N_NORMAL), *(("other", fault, N_OTHER) for fault in FAULTS)]
        for kind, fault, n in kinds:
            where = Path(folder) / "sounds" / str(number) / kind
            where.mkdir(parents=True, exist_ok=True)
            for i in range(n):
                with wave.open(str(where / f"{fault}{'-' * bool(fault)}{i}.wav"), "wb") as file:
                    file.setparams((1, 2, RATE, 0, "NONE", ""))
                    file.writeframes(sound(at, fault, rng).astype("<i2").tobytes())
    for_board(Path(folder), place(2), np.random.RandomState(PLACES))


def for_board(folder: Path, at: Place, rng: np.random.RandomState) -> None:
    """What anomaly.py plays: samples int16 of a place, normal for 20 s, for 8 s, with faults."""
    for name, faults in (("learn", [""] * 10), ("normal", [""] * 4), ("other", FAULTS)):
        samples = [sound(at, fault, rng) for fault in faults]
        (folder / f"{name}.pcm").write_bytes(np.concatenate(samples).astype("<i2").tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
