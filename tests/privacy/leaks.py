"""Runs of the command line with marks planted in notes, file names and secrets, and everything that they say kept."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TEXT = "Qwyzzk"
NAME = "Zweibruck55512"
SECRET = "hunter2-s3cr3t"

NOTE = f"Mrs {TEXT} took aspirin 81 mg daily for her severe chest pain.\n"


@dataclass(frozen=True)
class Said:
    """What a run said, and what it left behind outside of its output folder."""

    code: int
    stdout: str
    stderr: str
    logs: str
    temporary: list[str]

    def holds(self, *marks: str) -> list[str]:
        """The marks that came out where logs are kept."""
        return [mark for mark in marks if mark in self.stderr or mark in self.logs]


def medllm(folder: Path, *words: str, crash: str = "", env: dict[str, str] | None = None, prefix: tuple[str, ...] = ()) -> Said:
    """Run a command in ``folder``, with a home and a place for temporary files of its own below it. ``crash`` is code run before."""
    home, temporary = folder / ".home", folder / ".tmp"
    home.mkdir(exist_ok=True)
    temporary.mkdir(exist_ok=True)
    known = {k: v for k, v in os.environ.items() if not k.startswith(("MEDLLM_", "XDG_")) or k == "MEDLLM_CACHE"}
    known |= {"HOME": str(home), "TMPDIR": str(temporary), "XDG_CONFIG_HOME": str(home / "config"), "MEDLLM_API_KEY": SECRET}
    known |= {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    code = f"{crash}\nfrom medllm.cli import main; main()"
    line = [*prefix, sys.executable, "-c", code, *words]
    done = subprocess.run(line, cwd=folder, env=known | (env or {}), capture_output=True, timeout=120)
    logs = [path.read_bytes().decode(errors="replace") for path in sorted(home.rglob("*")) if path.is_file()]
    left = [str(path.relative_to(temporary)) for path in temporary.rglob("*")]
    return Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), "\n".join(logs), left)


def notes(folder: Path) -> Path:
    """A folder with notes, some of them not readable, whose names name patients."""
    made = folder / "notes"
    (made / f"{NAME}-ward").mkdir(parents=True)
    (made / f"{NAME}-good.txt").write_text(NOTE)
    (made / f"{NAME}-bad.txt").write_bytes(NOTE.encode() + b"\xff\xfe\xff")
    (made / f"{NAME}-ward" / f"{NAME}-empty.txt").write_text("  \n")
    (made / f"{NAME}-docx.docx").write_text(NOTE)
    (made / f"{NAME}-pdf.pdf").write_text("%PDF-1.4\n" + NOTE)
    (made / f"{NAME}-hl7.hl7").write_text(
        f"MSH|^~\\&|A|B|C|D|1||ORU^R01|1|P|2.3\rOBR|1|||1^x\rOBX|1|TX|1^x||Mrs {TEXT} \\Xzz\\\rOBX|{TEXT}"
    )
    (made / f"{NAME}-jsonl.jsonl").write_text(f'{{"id": "{NAME}-1", "text": "{NOTE.strip()}"}}\n{{"id": "{NAME}-2", "text": "{TEXT}\n{{]')
    (made / f"{NAME}-csv.csv").write_text(f'id,text\n1,"{NOTE.strip()}"\n2,"{TEXT}\n3,{NAME}')
    return made
