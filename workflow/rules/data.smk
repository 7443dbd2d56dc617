rule fetch:
    output:
        "data/{dataset}/READY",
    log:
        "logs/fetch/{dataset}.log",
    wildcard_constraints:
        dataset=r"[a-z0-9-]+",
    shell:
        "okd fetch {wildcards.dataset:q} --log {log:q}"
