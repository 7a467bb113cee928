"""ShinkaEvolve with an instant model and evaluator: drive_shinka.py VARIANTS WORKERS BACKEND FOLDER.

Run by the Python of an environment that has shinka-evolve; BACKEND is ignored. Its model is asked over HTTP on
loopback (it has no hook for another client), its evaluator is a script, as it wants it; embeddings are off. Prints the
moments of its evaluations, one a line.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

PROGRAM = "# EVOLVE-BLOCK-START\nDIAL = {number}\n\n\ndef answer():\n    return DIAL\n# EVOLVE-BLOCK-END\n"
REPLY = (
    "<NAME>\ndial {number}\n</NAME>\n<DESCRIPTION>\nAnother number.\n</DESCRIPTION>\n"
    "<CODE>\n```python\n{program}```\n</CODE>"
)
EVALUATOR = """import argparse, json, os, time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--program_path")
parser.add_argument("--results_dir")
found, _ = parser.parse_known_args()
folder = Path(found.results_dir)
folder.mkdir(parents=True, exist_ok=True)
(folder / "correct.json").write_text(json.dumps({"correct": True, "error": None}))
(folder / "metrics.json").write_text(json.dumps({"combined_score": 0.5, "public": {}, "private": {}}))
with open(os.environ["BENCH_STAMPS"], "a") as file:
    file.write(f"{time.time()}\\n")
"""
_NUMBERS = itertools.count(1)


class Instant(BaseHTTPRequestHandler):
    """Another program at once, every time."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        number = next(_NUMBERS)
        text = REPLY.format(number=number, program=PROGRAM.format(number=number))
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 8, "completion_tokens": 8, "total_tokens": 16}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        answer = {"id": "x", "object": "chat.completion", "created": 0, "model": "instant", "usage": usage}
        body = json.dumps({**answer, "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None: ...


def main() -> None:
    variants, workers, _, place = sys.argv[1:]
    folder = Path(place)
    (folder / "initial.py").write_text(PROGRAM.format(number=0))
    (folder / "evaluate.py").write_text(EVALUATOR)
    stamps = folder / "stamps"
    os.environ["BENCH_STAMPS"] = str(stamps)
    os.environ["LOCAL_OPENAI_API_KEY"] = os.environ["OPENAI_API_KEY"] = "none"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Instant)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    core, database, launch = (import_module(f"shinka.{name}") for name in ("core", "database", "launch"))
    evolution = core.EvolutionConfig(
        num_generations=int(variants) + 1,  # the first is the starting program
        patch_types=["full"],
        patch_type_probs=[1.0],
        llm_models=[f"local/instant@http://127.0.0.1:{server.server_port}/v1"],
        llm_dynamic_selection=None,
        meta_rec_interval=None,
        embedding_model=None,
        init_program_path=str(folder / "initial.py"),
        results_dir=str(folder / "archive"),
        enable_controlled_oversubscription=False,
    )
    with contextlib.redirect_stdout(sys.stderr):
        core.ShinkaEvolveRunner(
            evo_config=evolution,
            job_config=launch.LocalJobConfig(eval_program_path=str(folder / "evaluate.py")),
            db_config=database.DatabaseConfig(),
            verbose=False,
            max_evaluation_jobs=int(workers),
            max_proposal_jobs=int(workers),
        ).run()
    print(*stamps.read_text().split()[1:], sep="\n")


if __name__ == "__main__":
    main()
