import json
import os
import shutil
import subprocess
import sys

FILES = "spec.json weights.safetensors predictions.npz history.csv result.json".split()

if config:
    print(
        "okd: no --config here: params.yaml says what is planned; change it with `okd plan --scale NAME ADDRESS --save`",
        file=sys.stderr,
    )
    sys.exit(2)
if not shutil.which("okd"):  # an environment that nobody activated
    os.environ.update(
        PATH=os.pathsep.join([*os.get_exec_path(), os.path.dirname(sys.executable)])
    )
if workflow.is_main_process:  # not in the job steps of a cluster
    command = ["okd", "plan", "--check-budget", "--slots"]
    # Only a cluster has --jobs and not just cores: there each training gets a GPU, whatever this login node has.
    if workflow.resource_settings.nodes:
        command += ["--device", "gpu"]
    plan = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if plan.returncode:
        sys.exit(plan.returncode)  # okd has said why in one line
    # Snakemake only counts GPUs, `okd train` leases them: as many trainers as slots, without a GPU as many as cores.
    if "gpu" not in workflow.global_resources and workflow.cores:
        workflow.register_resource("gpu", int(plan.stdout) or workflow.cores)

with open("plan/index.json") as handle:
    PLAN = json.load(handle)
RUNS = PLAN["run_index"]
RESULTS = PLAN["results"]


def files_of(run):
    return [f"{RESULTS}/{run}/{RUNS[run]['key']}/{name}" for name in FILES]


def inputs_of(run, key):
    row = RUNS.get(run, {})
    if key != row.get("key"):
        return f"no planned run has the id {run} and the key {key}: see okd status"
    files = [f"plan/runs/{run}.json", f"data/{row['dataset']}/READY"]
    if "teacher" in row:
        files.append(f"{row['teacher']}/weights.safetensors")
    return files


def keys_of(runs):
    """A pattern for the keys of these runs and of no other planned one. Snakemake reads it again for every file, so it names the fewer."""
    keys = {row["key"] for row in RUNS.values()}
    wanted = {RUNS[run]["key"] for run in runs}
    head = next(n for n in range(13) if len({key[:n] for key in keys}) == len(keys))
    few = min(keys - wanted, wanted, key=len)
    named = "|".join(sorted(key[:head] for key in few))
    if few == wanted:
        return f"(?:{named})[0-9a-f]{{{12 - head}}}" if few else "(?!)"
    return f"(?!{named})[0-9a-f]{{12}}" if few else "[0-9a-f]{12}"


OUTPUTS = [f"{RESULTS}/{{run}}/{{key}}/{name}" for name in FILES]
if workflow.is_main_process and not os.environ.get("OKD_FULL_DAG"):
    # A finished run is a leaf: its path names the hash of all that made it. Only missing runs get a job.
    PENDING = [run for run in RUNS if not all(map(os.path.exists, files_of(run)))]
else:
    PENDING = list(RUNS)
if not workflow.is_main_process:
    # A cluster may start a job again whose result is there: `okd train` leaves it alone, and so must Snakemake.
    OUTPUTS = [update(name) for name in OUTPUTS]
EVERY_RESULT = [file for run in RUNS for file in files_of(run)]


wildcard_constraints:
    run=r"[a-z0-9][a-z0-9.+-]*",
    key=r"[0-9a-f]{12}",


onstart:
    subprocess.Popen(
        ["okd", "status", "--watch"],
        stdout=sys.stderr,
        env=os.environ | {"OKD_PARENT": str(os.getpid())},
    )


onerror:
    shell("okd tables && okd report")
