"""Log-mel columns in viper, line for line the twin of native/features/log_mel.c. See AUDIO.md.

Viper checks nothing: only audio.py calls this. Numbers below 0 are read as kernels_viper.py says.
"""

import micropython


@micropython.viper
def log_mel(operands) -> int:
    """One column of a frame; returns the bits of the largest distance from the mean."""
    column = ptr8(operands[0])
    samples = ptr16(operands[1])
    scratch = ptr32(operands[2])
    frame = int(len(operands[1]))
    mels = int(len(operands[0]))
    half = frame >> 1
    bits = 0
    while (frame >> bits) > 1:
        bits += 1
    total = 0
    for n in range(frame):
        total += (int(samples[n]) ^ 0x8000) - 0x8000
    mean = total >> bits
    largest = 0
    for n in range(frame):
        v = ((int(samples[n]) ^ 0x8000) - 0x8000) - mean
        if v < 0:
            v = 0 - v
        if v > largest:
            largest = v
    level = 0
    while largest >> level:
        level += 1
    scale = level - bits
    seen = int(_put_windowed(operands, mean, level))
    size = 1
    while size < half:
        halve = 1 if seen >= 0x2000 else 0
        scale += halve
        seen = int(_stage(operands, size, 14 + halve))
        size <<= 1
    for i in range(2 * mels):
        scratch[half + i] = 0
    halve = 1 if seen >= 0x2000 else 0
    _add_powers(operands, 15 + halve)
    for i in range(mels):
        column[i] = int(_logarithm(operands, half + 2 * i, scale + halve))
    return level


@micropython.viper
def _put_windowed(operands, mean: int, level: int) -> int:
    """The frame less its mean, windowed, at places of reversed bits; the bits of all together."""
    samples = ptr16(operands[1])
    points = ptr16(operands[2])
    cosines = ptr16(operands[3])
    frame = int(len(operands[1]))
    half = frame >> 1
    place = 0
    seen = 0
    for n in range(frame):
        c = (int(cosines[n if n <= half else frame - n]) ^ 0x8000) - 0x8000
        window = (16384 - c + 1) >> 1
        v = (((int(samples[n]) ^ 0x8000) - 0x8000) - mean) * window
        if level:
            v = ((v >> (level - 1)) + 1) >> 1
        seen |= v if v >= 0 else -1 - v
        if n & 1 == 0:
            points[2 * place] = v
        else:
            points[2 * place + 1] = v
            bit = half >> 1
            while place & bit:
                place ^= bit
                bit >>= 1
            place |= bit
    return seen


@micropython.viper
def _stage(operands, size: int, shift: int) -> int:
    """One stage of the transform: a and b, `size` apart, become a + w b and a - w b."""
    points = ptr16(operands[2])
    cosines = ptr16(operands[3])
    half = int(len(operands[1])) >> 1
    quarter = half >> 1
    step = half // size
    seen = 0
    for k in range(size):
        at = k * step
        c = (int(cosines[at]) ^ 0x8000) - 0x8000
        s = (int(cosines[quarter - at if at < quarter else at - quarter]) ^ 0x8000) - 0x8000
        a = 2 * k
        while a < 2 * half:
            b = a + 2 * size
            br = (int(points[b]) ^ 0x8000) - 0x8000
            bi = (int(points[b + 1]) ^ 0x8000) - 0x8000
            v = br * c + bi * s
            w = bi * c - br * s
            ar = ((int(points[a]) ^ 0x8000) - 0x8000) << 14
            ai = ((int(points[a + 1]) ^ 0x8000) - 0x8000) << 14
            br = (((ar - v) >> (shift - 1)) + 1) >> 1
            bi = (((ai - w) >> (shift - 1)) + 1) >> 1
            ar = (((ar + v) >> (shift - 1)) + 1) >> 1
            ai = (((ai + w) >> (shift - 1)) + 1) >> 1
            points[a] = ar
            points[a + 1] = ai
            points[b] = br
            points[b + 1] = bi
            seen |= ar if ar >= 0 else -1 - ar
            seen |= ai if ai >= 0 else -1 - ai
            seen |= br if br >= 0 else -1 - br
            seen |= bi if bi >= 0 else -1 - bi
            a += 4 * size
    return seen


@micropython.viper
def _add_powers(operands, shift: int):
    """The power of every frequency into the two bands that it lies between."""
    points = ptr16(operands[2])
    bands = ptr32(operands[2])
    cosines = ptr16(operands[3])
    places = ptr16(operands[4])
    half = int(len(operands[1])) >> 1
    mels = int(len(operands[0]))
    for k in range(1, half):
        j = half - k
        ar = (int(points[2 * k]) ^ 0x8000) - 0x8000
        ai = (int(points[2 * k + 1]) ^ 0x8000) - 0x8000
        br = (int(points[2 * j]) ^ 0x8000) - 0x8000
        bi = (int(points[2 * j + 1]) ^ 0x8000) - 0x8000
        c = (int(cosines[k]) ^ 0x8000) - 0x8000
        v = k - (half >> 1)
        s = (int(cosines[v if v >= 0 else 0 - v]) ^ 0x8000) - 0x8000
        odd = ai + bi
        odd_i = br - ar
        v = ((ar + br) << 14) + (c * odd + s * odd_i)
        w = ((ai - bi) << 14) + (c * odd_i - s * odd)
        v = ((v >> (shift - 1)) + 1) >> 1
        w = ((w >> (shift - 1)) + 1) >> 1
        power = v * v + w * w
        place = int(places[k - 1])
        band = place >> 8
        weight = place & 255
        if place == 0 or band > mels:
            continue
        high = power >> 15
        low = power & 0x7FFF
        i = half + 2 * band
        if band < mels:
            bands[i] = int(bands[i]) + high * weight
            bands[i + 1] = int(bands[i + 1]) + low * weight
        if band > 0:
            weight = 256 - weight
            bands[i - 2] = int(bands[i - 2]) + high * weight
            bands[i - 1] = int(bands[i - 1]) + low * weight


@micropython.viper
def _logarithm(operands, at: int, scale: int) -> int:
    """Eighths of octaves of a sum."""
    bands = ptr32(operands[2])
    logarithms = ptr8(operands[5])
    low = int(bands[at + 1])
    value = int(bands[at]) + (low >> 15)
    below = 0
    if value < 0x8000:
        value = value << 15 | (low & 0x7FFF)
    else:
        below = 15
    if value == 0:
        return -127
    whole = 0
    while value >> whole > 1:
        whole += 1
    if whole >= 5:
        value >>= whole - 5
    else:
        value <<= 5 - whole
    v = 8 * (whole + below) + int(logarithms[value & 31]) + 16 * scale - 369
    return -127 if v < -127 else 127 if v > 127 else v
