rule train:
    input:
        lambda wildcards: inputs_of(wildcards.run, wildcards.key),
    output:
        OUTPUTS,
    log:
        "logs/train/{run}.{key}.log",
    benchmark:
        "logs/benchmarks/{run}.{key}.tsv"
    wildcard_constraints:
        key=keys_of(PENDING),
    retries: 1
    resources:
        gpu=1,
        processes=1,  # of one run, a GPU each: --set-resources train:processes=4 train:gpu=8 (4 GPUs of 2 slots)
        mem_mb=8000,
        runtime=lambda wildcards, attempt: 240 * attempt,
    shell:
        "OKD_PROCESSES={resources.processes} OKD_PARENT=$PPID exec okd train {wildcards.run:q} --log {log:q}"
