"""What a file is by its first bytes: for the error that a file of the wrong kind ends in."""

_STARTS = (
    (b"PRIM", "model"), (b"PRID", "dataset"), (b"PRIA", "adapter"),
    (b"PK", "a zip archive, as .npz files are"), (b"\x93NUMPY", "a numpy array (.npy)"),
    (b"\x1f\x8b", "a gzip file (unpack it first)"), (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"), (b"GIF8", "a GIF picture"), (b"BM", "a BMP picture"),
    (b"\x89HDF", "an HDF5 file"), (b"%PDF", "a PDF file"), (b"\x7fELF", "an executable file"),
    (b"RIFF", "a RIFF file, as .wav"), (b"\x80", "a pickle"), (b"\0\0\x08", "an idx file"),
    (b"version https://git-lf", "a pointer of Git LFS (run 'git lfs pull')"),
    (b"<", "HTML or XML, perhaps of a failed download"), (b"{", "text, as JSON"),
)
START_BYTES = 24  # that `what_is` wants to see


def what_is(start: bytes) -> str:
    """A few words on a file that begins so: "model", "a PNG picture", "text", "another file"."""
    if not start:
        return "an empty file"
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite file"
    if start[:1] == b"\x08" and start[2:3] == b"\x12":  # ir_version, producer_name
        return "an ONNX file"
    for magic, words in _STARTS:
        if start.startswith(magic):
            return words
    is_text = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)
    return "text" if is_text else "another file"
