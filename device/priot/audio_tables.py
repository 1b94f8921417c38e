"""The tables of audio.py, computed from whole numbers when a LogMel is made."""

from array import array

# log2 of 1 + (i + 0.5) / 32 in eighths, i = 0..31
LOGARITHMS = (b"\x00\x01\x01\x01\x02\x02\x02\x02\x03\x03\x03\x04\x04\x04\x04\x05"
              b"\x05\x05\x05\x05\x06\x06\x06\x06\x07\x07\x07\x07\x07\x08\x08\x08")

_LOW_HZ = 100
_ONE = 1 << 48
# of a 512th of the circle, times 2^48
_COSINE = 281453782162583
_SINE = 3454130953177


def cosines(frame):
    """round(2^14 * cos(2 pi k / frame)), k = 0..frame / 2, as array('h')."""
    quarter, step = frame >> 2, 512 // frame
    found = array("h", bytes(2 * (2 * quarter + 1)))
    c, s = _ONE, 0
    for i in range(128):
        if i % step == 0:
            value = ((c >> 33) + 1) >> 1
            found[i // step] = value
            found[2 * quarter - i // step] = -value
        c, s = (c * _COSINE - s * _SINE) >> 48, (s * _COSINE + c * _SINE) >> 48
    return found


def places(frame, rate, mels):
    """Where the frequencies 1 .. frame / 2 - 1 lie among the bands, in 256ths, as array('H').

    256 * (j + 1) is the middle of band j; 0: below the first.
    """
    low = _log2((700 + _LOW_HZ) * frame)
    width = _log2(700 * frame + frame * rate // 2) - low
    found = array("H", bytes(frame - 2))
    for k in range(1, frame >> 1):
        found[k - 1] = max(0, (_log2(700 * frame + k * rate) - low) * 256 * (mels + 1) // width)
    return found


def _log2(x):
    """floor(2^16 * log2(x)), x >= 1, bit by bit, by squaring a mantissa of 30 bits."""
    result = 0
    while x >> result > 1:
        result += 1
    mantissa = (x << 30) >> result
    for _ in range(16):
        mantissa = mantissa * mantissa >> 30
        result = 2 * result + (mantissa >> 31)
        mantissa >>= mantissa >> 31
    return result


def empty_bands(found, mels):
    """Whether a band is so narrow that it has no frequency, of places `found`."""
    seen = bytearray(mels)
    for place in found:
        band = place >> 8
        if place and band <= mels:
            if band < mels and place & 255:
                seen[band] = 1
            if band:
                seen[band - 1] = 1
    return min(seen) == 0
