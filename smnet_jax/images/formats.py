"""Picture files by suffix and by first bytes: which are read and written, and what to do about the rest."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

WRITTEN = {  # suffix -> Pillow's name; these are read as well
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
}
HEIF = (".heic", ".heif", ".hif")
RAW = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
    *(".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
)
READ = frozenset((*WRITTEN, *HEIF, *RAW))
PHOTOS = "pip install 'smnet-jax[photos]'"

_VIDEO = (".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm", ".wmv")
_OTHER_PICTURES = (
    *(
        ".apng",
        ".bpg",
        ".dds",
        ".exr",
        ".gif",
        ".hdr",
        ".heics",
        ".ico",
        ".j2k",
        ".jp2",
        ".jxl",
        ".jxr",
        ".pbm",
        ".pcx",
    ),
    *(".pdf", ".pfm", ".pgm", ".pnm", ".ppm", ".psb", ".psd", ".qoi", ".svg", ".tga", ".xcf"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_RAW_STARTS = (b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")


def readable(path: Path) -> bool:
    """Whether a file of this suffix is a picture that can be read here: HEIC and camera raw need the extra `photos`."""
    suffix = path.suffix.lower()
    needed = {**dict.fromkeys(HEIF, "pillow_heif"), **dict.fromkeys(RAW, "rawpy")}.get(suffix)
    return suffix in READ and (needed is None or importlib.util.find_spec(needed) is not None)


def result_suffix(suffix: str) -> str:
    """In what a picture of this suffix is written if nobody says otherwise.

    HEIC becomes JPEG, which opens everywhere; camera raw becomes PNG, which holds its 16 bits.
    """
    if suffix.lower() in WRITTEN:
        return suffix
    return ".jpg" if suffix.lower() in HEIF else ".png"


def kind(head: bytes) -> str:
    """What a file is, by its first 64 bytes: "HEIF", "RAW", "JXL", "GIF", "VIDEO", "PSD", "PDF", or "" for others.

    Camera raws that are TIFF files inside (NEF, DNG, ARW, ...) are told apart by their directories, not here.
    """
    if head[4:8] == b"ftyp":
        major, brands = head[8:12], {head[i : i + 4] for i in range(16, min(len(head), 64), 4)}
        if major == b"crx ":
            return "RAW"
        if major in (b"avif", b"avis") or (major in (b"mif1", b"msf1") and b"avif" in brands):
            return "AVIF"
        if major in _HEIF_BRANDS or major in (b"mif1", b"msf1") or brands & _HEIF_BRANDS:
            return "HEIF"
        return "VIDEO"
    if head.startswith(_RAW_STARTS) or (head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR"):
        return "RAW"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "JXL"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    starts = {b"8BPS": "PSD", b"%PDF": "PDF", b"\x1aE\xdf\xa3": "VIDEO"}
    return next((name for start, name in starts.items() if head.startswith(start)), "")


def remedy(kind: str) -> str:
    """What to do with a file of a kind that is not read; empty where nothing is known about it."""
    return {
        "JXL": "JPEG XL is not read; convert it to png (djxl)",
        "GIF": "GIF is not read; save the frame you want as png",
        "VIDEO": "this is a film; extract its frames as png first (ffmpeg)",
        "PSD": "Photoshop files are not read; save it as tiff or png",
        "PDF": "PDF is not read; save its picture as png",
    }.get(kind, "")


def passed_over(files: Sequence[Path]) -> str:
    """One sentence about the files of a folder that were not read, with the remedy; empty if there are none."""
    groups: dict[str, dict[str, int]] = {}
    for path in files:
        suffix = path.suffix.lower()
        if readable(path):
            remedy = "pipes, or links that lead nowhere"
        elif suffix in READ:
            remedy = f"to read them: {PHOTOS}"
        elif suffix in _VIDEO:
            remedy = "films: extract their frames as png first"
        elif suffix in _OTHER_PICTURES:
            remedy = "convert them to png"
        else:
            remedy = ""
        counts = groups.setdefault(remedy, {})
        name = suffix[:16] or "without suffix"
        counts[name] = counts.get(name, 0) + 1
    if not groups:
        return ""
    parts = []
    for remedy, counts in sorted(groups.items(), reverse=True):
        shown = ", ".join(f"{n} {name}" for name, n in sorted(counts.items())[:8])
        parts.append(f"{shown} ({remedy})" if remedy else f"{shown} (no pictures)")
    plural = "file" if len(files) == 1 else "files"
    return f"passed over {len(files)} {plural}: " + "; ".join(parts)
