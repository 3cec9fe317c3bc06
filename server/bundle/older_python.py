"""What the wheels of a folder require besides each other on the first release of this Python, such as 3.11.0.

pip looks at the Python that it runs on, and a bundle is for all releases of it: where some module came with 3.11.3, a
package may want another one on 3.11.2, which Debian 12 has. Run by make.sh; prints one requirement a line.
"""

from __future__ import annotations

import sys
from importlib.metadata import PathDistribution
from pathlib import Path
from zipfile import Path as ZipPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename


def missing(folder: Path) -> list[str]:
    """Requirements that no wheel in `folder` meets by its name, as pip takes them."""
    wheels = sorted(folder.glob("*.whl"))
    there = {parse_wheel_filename(wheel.name)[0] for wheel in wheels}
    first = {"python_full_version": f"{sys.version_info.major}.{sys.version_info.minor}.0", "extra": ""}
    found = set()
    for wheel in wheels:
        (metadata,) = (entry for entry in ZipPath(wheel).iterdir() if entry.name.endswith(".dist-info"))
        for text in PathDistribution(metadata).requires or []:
            wanted = Requirement(text)
            applies = wanted.marker is None or wanted.marker.evaluate(first)
            if applies and canonicalize_name(wanted.name) not in there:
                found.add(f"{wanted.name}{wanted.specifier}")
    return sorted(found)


if __name__ == "__main__":
    print("\n".join(missing(Path(sys.argv[1]))))
