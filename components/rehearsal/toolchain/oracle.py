"""The oracle: what istiod does with objects, in memory. Built on demand, because a stage does without it."""

from dataclasses import dataclass
from pathlib import Path

from ..progress import Progress
from .assemble import ensure_go_part
from .golang import ensure_go
from .recipes import ORACLE


@dataclass(frozen=True, kw_only=True)
class OracleFiles:
    """What is needed to start an oracle.

    Attributes:
        program: The program.
        definitions: Files of the CustomResourceDefinitions of Istio and of the Gateway API.
    """

    program: Path
    definitions: tuple[Path, ...]

    @property
    def command(self) -> list[str]:
        """What starts it."""
        return [str(self.program), *map(str, self.definitions)]


def find_oracle(cache: Path) -> OracleFiles | None:
    """Return the oracle of the cache; None when it is not built."""
    folder = cache / ORACLE.key()
    return _files(folder) if folder.is_dir() else None


def ensure_oracle(cache: Path, progress: Progress) -> OracleFiles:
    """Return the oracle; build it first where the cache has none.

    Raises:
        StageError: It could not be built.
    """
    found = find_oracle(cache)
    if found:
        return found
    # Found before the lock of the cache is taken: installing Go takes the same lock.
    return _files(ensure_go_part(cache, ORACLE, ensure_go(cache, progress), progress))


def _files(folder: Path) -> OracleFiles:
    definitions = tuple(folder / name for name in ORACLE.files)
    return OracleFiles(program=folder / "bin" / ORACLE.programs[0].name, definitions=definitions)
